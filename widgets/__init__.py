"""The views of bmnas: record -> Info -> figure. Nothing imports them but notebooks and tests."""

# while a search runs
from widgets.live import is_live, live, stop_requested
from widgets.watching import SearchDashboard

# for demos, without code
from widgets.app import SearchApp

# figures that stay
from widgets.show import prepare_images, show

# what goes in
from widgets.samples import feature_bars, feature_maps, feature_rows, sample_grid, sample_rows

# how the search went
from widgets.dashboard import search_figure
from widgets.scores import score_curves, scores_info
from widgets.weights import weight_heatmap, weight_lines, weights_info

# the networks
from widgets.dag import genotype_figure, hypernet_figure

# what came out
from widgets.results import ablation_scores, score_bars, score_table, scores_of_methods
from widgets.classes import class_dots, class_scores
from widgets.shortlist import candidate_figure, candidate_rows, candidate_table
from widgets.table import table

# the library's own source
from widgets.source import show_source

# what every notebook begins with
from widgets.notebook import banner, check_parameters, progress_bar

# data frames for tables
from widgets.sizes import compared_sizes, size_tables
from widgets.tables import (
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
from widgets.twin import picture, view
from widgets.epochs import comparable_runs, explorer_info
from widgets.explorer import GenotypeExplorer
from widgets.choices import choice_counts, choice_sheet, choice_text, genotypes_of
from widgets.seeds import seeds_table
from widgets.building import builder_info
from widgets.builder import GenotypeBuilder
from widgets.by_hand import by_hand_rows, save_genotype
from widgets.run_rows import browser_info
from widgets.browser import ResultsBrowser
from widgets.lab import PrimitiveLab
from widgets.gap import Gap, GapSlider
from widgets.wins import win_labels, win_pictures, wins, wins_frame
