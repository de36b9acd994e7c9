"""bmnas: an explorer for bilevel multimodal neural architecture search (BM-NAS, AAAI 2022).

The names below follow the sections of the paper.
"""

from typing import TYPE_CHECKING, Any

from bmnas import tasks as _tasks  # fills TASKS
from bmnas.scale import engines as _engines  # fills ENGINES
from bmnas.scale import jobs as _jobs  # fills JOB_ENGINES
from bmnas.searching.searchers import known as _searchers  # fills SEARCHERS

# 3.1 unimodal features
from bmnas.features.backbones.checkpoints import load_checkpoint
from bmnas.features.extraction import extract
from bmnas.features.taps import Tap, pool
from bmnas.features.feature_set import FeatureSet
from bmnas.features.joining import join_features
from bmnas.tasks.preparation import prepare
from bmnas.space.reshape import Reshape

# 3.2 and 3.3 the search space: Cells, Steps, primitives
from bmnas.space.architecture import Architecture
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import Attention, ConcatFC, LinearGLU, Sum, Zero
from bmnas.registry import PRIMITIVES, SEARCHERS, TASKS
from bmnas.space.enumeration import Space

# 3.4 search and evaluation
from bmnas.config import PAPER_CONFIGS, EvalConfig, SearchConfig
from bmnas.searching.cost_estimate import Estimate, estimate
from bmnas.evaluation.evaluation import evaluate
from bmnas.paper.release_score import score_by_epoch
from bmnas.evaluation.results import Evaluation, verdict
from bmnas.evaluation.seed_jobs import use_workers
from bmnas.evaluation.saved_results import load_ablation, load_evaluation, save_ablation, save_evaluation
from bmnas.training.learning_rates import WarmRestarts
from bmnas.evaluation.joint.network import JointNetwork, joint_network
from bmnas.evaluation.joint.evaluation import evaluate_joint
from bmnas.evaluation.joint.training import train_and_test_joint
from bmnas.searching.algorithm1 import Search, search
from bmnas.scale.seeds.search import drift, search_seeds, seed_runs
from bmnas.searching.searchers.recorded_search import search_trials
from bmnas.searching.selection import Selection, load_selection
from bmnas.searching.read_outs import read_out, select
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.evaluation.trained_network import TrainedNetwork, load, train_and_save

# 4.5 ablations, and appendix C: the published genotypes
from bmnas.evaluation.ablation import SEARCHED, TABLE_6, TABLE_7, ablate, ablation_table
from bmnas.rivals.late_fusion import baselines
from bmnas.rivals.live_mmtm import evaluate_live_mmtm
from bmnas.rivals.networks import RIVALS, evaluate_rivals
from bmnas.rivals.field.contest import Contest
from bmnas.rivals.field.rows import field_rows
from bmnas.rivals.field.table import evaluate_field, field_table, merge_results, winners_sentence
from bmnas.rivals.field.sweep import SIZES, sweep, sweep_table
from bmnas.paper.published_scores import PUBLISHED_SCORES, published_scores
from bmnas.paper.published import PUBLISHED
from bmnas.paper.reference import (
    from_release_indices,
    load_reference_architecture,
    load_reference_state,
    reference_architecture,
)

# is fusion worth it, and is the answer right: all networks of a small space
from bmnas.trust.diagnosis import Diagnosis, diagnose
from bmnas.trust.benchmark import bench
from bmnas.trust.truth_table import Standing, standing, truth

# one's own data, in scikit-learn's manner
from bmnas.evaluation.subset_scores import subset_scores

if TYPE_CHECKING:  # made at its first use, below
    from bmnas.scale.own_data.classifier import FusionClassifier

# run folders
from bmnas.errors import BmnasError, report_briefly
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import list_runs, open_run, run_name
from bmnas.storage.arguments import check_public_calls as _check_public_calls

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports FusionClassifier when it is first asked for: scikit-learn's base classes take a second."""
    if name != "FusionClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bmnas.scale.own_data.classifier import FusionClassifier

    return FusionClassifier


_THEIR_OWN = ("FeatureSet", "FeatureFields", "FeatureSet.from_arrays", "TrainedNetwork", "EpochEvent")
_check_public_calls(globals(), __name__, besides=_THEIR_OWN)
for _registry in (PRIMITIVES, RIVALS, SEARCHERS, TASKS):
    _registry.seal()
report_briefly()
