"""bmnas: an explorer for bilevel multimodal neural architecture search (BM-NAS, AAAI 2022).

The names below follow the sections of the paper.
"""

from bmnas import tasks as _tasks  # fills TASKS

# 3.1 unimodal features
from bmnas.backbones.checkpoints import load_checkpoint
from bmnas.extract import Tap, extract, pool
from bmnas.features import FeatureSet
from bmnas.prepare import prepare
from bmnas.reshape import Reshape

# 3.2 and 3.3 the search space: Cells, Steps, primitives
from bmnas.architecture import Architecture
from bmnas.derivation import derive
from bmnas.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.hypernet import Hypernet
from bmnas.network import FusionNetwork
from bmnas.primitives import Attention, ConcatFC, LinearGLU, Sum, Zero
from bmnas.registry import PRIMITIVES, TASKS
from bmnas.space import Space

# 3.4 search and evaluation
from bmnas.config import PAPER_CONFIGS, EvalConfig, SearchConfig
from bmnas.estimate import Estimate, estimate
from bmnas.evaluation import evaluate
from bmnas.release_score import score_by_epoch
from bmnas.results import Evaluation, verdict
from bmnas.schedule import WarmRestarts
from bmnas.joint import JointNetwork, joint_network
from bmnas.joint_evaluation import evaluate_joint
from bmnas.joint_training import train_and_test_joint
from bmnas.search import Search, search
from bmnas.seeds.search import drift, search_seeds, seed_runs
from bmnas.selection import Selection, load_selection, read_out, select
from bmnas.trace import EpochEvent, Trace
from bmnas.trained import TrainedNetwork, load, train_and_save

# 4.5 ablations, and appendix C: the published genotypes
from bmnas.ablation import SEARCHED, TABLE_6, TABLE_7, ablate, ablation_table
from bmnas.baselines.late_fusion import baselines
from bmnas.published import PUBLISHED
from bmnas.reference import (
    from_release_indices,
    load_reference_architecture,
    load_reference_state,
    reference_architecture,
)

# run folders
from bmnas.errors import BmnasError
from bmnas.runs import Run, list_runs, open_run, run_name

__version__ = "0.1.0"
