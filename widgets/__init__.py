"""The views of bmnas: record -> Info -> figure. Nothing imports them but notebooks and tests."""

# while a search runs
from widgets.live.cell import is_live, live, stop_requested
from widgets.search.dashboard import SearchDashboard
from widgets.search.trials import TrialsView, trials_figure

# for demos, without code
from widgets.app import SearchApp

# figures that stay
from widgets.static.display import prepare_images, show

# what goes in
from widgets.inputs.samples import feature_bars, feature_maps, feature_rows, sample_grid, sample_rows

# how the search went
from widgets.search.figure import search_figure
from widgets.search.scores import score_curves, scores_info
from widgets.search.weight_figures import weight_heatmap, weight_lines
from widgets.search.weights import weights_info

# the networks
from widgets.networks.dag import genotype_figure, hypernet_figure
from widgets.networks.titles import network_title

# what came out
from widgets.results.methods import ablation_scores, score_bars, score_table, scores_of_methods
from widgets.results.leaderboard.info import leaderboard_info
from widgets.results.leaderboard.leaderboard import Leaderboard
from widgets.results.field import as_they_come, field_styler, sources_styler
from widgets.results.sweep import correlation_text, sweep_sheet
from widgets.results.classes import class_dots, class_scores
from widgets.results.projection import projection_table
from widgets.results.shortlist import candidate_figure, candidate_rows, candidate_table
from widgets.static.html_table import table

# can the answer be trusted
from widgets.results.diagnosis_figures import (
    headroom_figure,
    knowledge_figure,
    knowledge_table,
    redundancy_figure,
    use_figure,
)
from widgets.results.decisions import decisions_table
from widgets.results.search_cost import regret_figure, searchers_table
from widgets.results.truth_explorer import TruthExplorer, truth_info

# the library's own source
from widgets.notebook.source_listing import show_source

# what every notebook starts with
from widgets.notebook.cells import banner, check_parameters, command, progress_bar

# data frames for tables
from widgets.results.sizes import compared_sizes, size_tables
from widgets.results.frames import (
    ablation_view,
    config_table,
    extraction_table,
    all_scores_table,
    movement_table,
    pair_table,
    primitive_table,
    published_table,
    step_table,
    unimodal_table,
)

# views to play with; without a watcher each leaves a picture of the same content
from widgets.static.static_twin import picture, view
from widgets.explorer.info import comparable_runs, explorer_info
from widgets.explorer.explorer import GenotypeExplorer
from widgets.explorer.choices import choice_counts, choice_sheet, choice_text, genotypes_of
from widgets.results.seeds import seeds_table
from widgets.builder.info import builder_info
from widgets.builder.builder import GenotypeBuilder
from widgets.builder.saved import by_hand_rows, save_genotype
from widgets.runs.rows import browser_info
from widgets.runs.browser import ResultsBrowser
from widgets.labs.primitive import PrimitiveLab
from widgets.labs.gap import Gap, GapSlider
from widgets.results.fusion_wins import win_labels, win_pictures, wins, wins_frame

from bmnas.storage.arguments import check_public_calls as _check_public_calls

_check_public_calls(globals(), __name__)
