"""Is fusion worth it? What can be said of a feature set before a search, and of a trained network after one."""

from dataclasses import dataclass

import numpy as np

from bmnas.errors import FeatureError, how_many
from bmnas.evaluation.network_inputs import check_features
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import count_independent
from bmnas.machine import use_threads
from bmnas.searching.run_folder import Run
from bmnas.training.progress import Progress
from bmnas.trust.decomposition import Decomposition, decompose_codes
from bmnas.trust.knowledge import Knowledge, known, known_by, known_of_labels, measure_with_patience
from bmnas.trust.modality_use import ModalityUse, modality_use
from bmnas.trust.opinions import Opinions, ask_probes
from bmnas.trust.probes import ProbeData, probe_data
from bmnas.trust.redundancy import RedundancyMap, similarities

LEAST_ROWS = 2  # of the validation split, of which a half chooses for the other; or groups of rows
STAGES = 3
VERDICT = "diagnosis.json"


PROBES = (
    "Late fusion here is that of probes, small models fitted for this diagnosis, and is measured in bits on validation "
    "rows. Tables of test scores have late fusion of other models, and compare methods that were trained; a selection "
    "compares its network with one modality alone."
)


@dataclass(frozen=True)
class Diagnosis:
    """What modalities and features know.

    Attributes:
        task, notes: of the features.
        multilabel: whether bits are means over labels.
        knowledge: what each modality knows, what late fusion and a joint probe know, and the headroom between them.
        decomposition: redundancy, uniqueness and synergy; of more than two modalities that of the best one and the
            rest. None of a single modality.
        redundancy: how alike the features are, beside the merit of each.
        use: how a trained network uses its modalities; None where no network was given.
    """

    task: str
    notes: str
    multilabel: bool
    knowledge: Knowledge
    decomposition: Decomposition | None
    redundancy: RedundancyMap
    use: ModalityUse | None

    def sentence(self) -> str:
        """Says in one line whether fusion can help here, and by how much."""
        return self.knowledge.sentence()

    def __str__(self) -> str:
        use = [self.use.sentence()] if self.use else []
        return "\n".join([*use, self.redundancy.sentence(), PROBES, self.sentence()])


@use_threads()
def diagnose(
    features: FeatureSet, trained: TrainedNetwork | None = None, progress: Progress | None = None
) -> Diagnosis:
    """Finds out, in seconds and without a search, whether fusing features can help.

    Probes are trained on the training split and compared on the validation split; the test split is not read. Rows that
    were recorded together (`FeatureSet.groups`) are one in the intervals. A feature that a sample lacks is its mean.
    All equations stand in `bmnas.trust.knowledge` and `bmnas.trust.opinions` (bits), `bmnas.trust.decomposition`
    (redundancy, uniqueness, synergy), `bmnas.trust.redundancy` (CKA) and `bmnas.trust.modality_use` (EMAP, Shapley).

    Args:
        features: of one modality or more, of classes or of several labels.
        trained: a network on these features; one that did not train on the validation split is best.
        progress: called as progress(what, done, of).

    Raises:
        FeatureError: the validation split is too small to compare anything, or the network is of other features.
    """
    if trained is not None:  # before the work
        check_features(features, trained.shapes, trained.classes, trained.preprocessing)
    report = progress or (lambda what, done, of: None)
    report("diagnosis", 0, STAGES)
    opinions, knowledge = measure_with_patience(_opinions(features))
    report("diagnosis", 1, STAGES)
    decomposition = _decomposition(opinions, knowledge)
    report("diagnosis", 2, STAGES)
    diagnosis = Diagnosis(
        task=features.task,
        notes=features.notes,
        multilabel=features.kind == "multilabel",
        knowledge=knowledge,
        decomposition=decomposition,
        redundancy=_redundancy(features, opinions.data, knowledge),
        use=modality_use(trained, features) if trained else None,
    )
    report("diagnosis", STAGES, STAGES)
    return diagnosis


@use_threads()
def knowledge_of(features: FeatureSet) -> Knowledge:
    """Measures what the modalities know, the part of `diagnose` on which its verdict stands; raises as that does."""
    return measure_with_patience(_opinions(features))[1]


def save_verdict(run: Run, diagnosis: Diagnosis) -> None:
    """Writes the verdict of a diagnosis into a run folder."""
    run.save_json(VERDICT, {"task": diagnosis.task, "sentence": diagnosis.sentence()})


def load_verdict(run: Run) -> str:
    """Reads the verdict that 06 left in a run folder; "" where there is none.

    Raises:
        RunError: the file is damaged.
    """
    return str(run.load_json(VERDICT).get("sentence", "")) if run.path(VERDICT).exists() else ""


def _opinions(features: FeatureSet) -> Opinions:
    """Asks the probes of all modalities, if two validation rows or more are independent of each other."""
    rows = features.rows("val")
    independent = count_independent(features.recorded_together(rows))
    if independent < LEAST_ROWS:
        groups = "" if features.groups is None else f" in {how_many(independent, 'group')} recorded together"
        raise FeatureError(
            f"the validation split has {len(rows)} rows{groups}; a diagnosis needs at least {LEAST_ROWS} that are "
            "independent. Make the split larger"
        )
    return ask_probes(probe_data(features, features.modalities), list(features.modalities))


def _decomposition(opinions: Opinions, knowledge: Knowledge) -> Decomposition | None:
    """Of two modalities, or of the best one and the rest."""
    names = list(opinions.alone)
    if len(names) == 1:
        return None
    first = names[0] if len(names) == 2 else knowledge.best
    rest = [name for name in names if name != first]
    of_rest = opinions.own[rest[0]] if len(rest) == 1 else opinions.pooled_probe(rest)
    codes = {
        first: opinions.joint.codes[first],
        rest[0] if len(rest) == 1 else "the rest": np.concatenate([opinions.joint.codes[n] for n in rest], axis=1),
    }
    amounts = knowledge.own[first].mean, known(opinions, of_rest).mean, knowledge.joint.mean
    if not opinions.data.multilabel:
        return decompose_codes(codes, opinions.together.softmax(-1).mean(0).numpy(), amounts)
    sources = opinions.own[first], of_rest, opinions.together
    of_labels = np.stack([known_of_labels(opinions, logits) for logits in sources])
    return decompose_codes(codes, opinions.together.sigmoid().mean(0).numpy(), amounts, of_labels)


def _redundancy(features: FeatureSet, data: ProbeData, knowledge: Knowledge) -> RedundancyMap:
    """The merit of the only feature of a modality is the modality's."""
    own = {members[0]: knowledge.own[m].mean for m, members in features.modalities.items() if len(members) == 1}
    others = probe_data(features, {name: (name,) for name in features.names if name not in own})
    own |= {name: known_by(others, name).mean for name in others.inputs}
    return RedundancyMap(
        names=features.names,
        similarity=similarities(features, data),
        merits={name: own[name] for name in features.names},
    )
