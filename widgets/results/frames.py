"""Data frames for tables: settings, backbones, primitives, choices of a derivation, published genotypes."""

from collections.abc import Iterable
from dataclasses import fields
from itertools import combinations

import pandas as pd

from bmnas.config import SWITCHES, EvalConfig, SearchConfig
from bmnas.evaluation.ablation import AblationRow
from bmnas.evaluation.results import Evaluation
from bmnas.features.checks import SPLITS
from bmnas.features.extraction_timing import noted
from bmnas.features.feature_set import FeatureSet
from bmnas.paper.published import PUBLISHED
from bmnas.paper.sizes import table_8
from bmnas.registry import PRIMITIVES
from bmnas.searching.trace import TYPED, Trace
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import Genotype, step_name
from bmnas.space.layers import count_parameters
from widgets.results.methods import ablation_scores, score_frame

BEST_PAIRS = 3  # a Cell
EXTRACTION = ["stage", "seconds", "samples", "samples a second", "backbones alone", "share [%]", "bound by"]


def config_table(config: SearchConfig | EvalConfig) -> pd.DataFrame:
    """Makes one row a setting; a switch that is None shows what its mode stands for."""
    rows = []
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(config, SearchConfig) and value is None and field.name in SWITCHES[config.mode]:
            value = config.switch(field.name)
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append({"setting": field.name, "value": shown})
    return pd.DataFrame(rows)


def unimodal_table(features: FeatureSet) -> pd.DataFrame:
    """Makes one row a modality: its backbone and how it does alone, in per cent; empty where nothing was trained.

    What the manifest does not say, as that of one's own features need not, is None.
    """
    rows = []
    for modality, about in features.manifest.get("backbones", {}).items():
        if features.chosen is not None and modality not in features.modalities:
            continue
        said = about if isinstance(about, dict) else {}
        saved = said["scores"] if isinstance(said.get("scores"), dict) else {}
        scores = {split: 100 * saved[split] if TYPED[float](saved.get(split)) else None for split in SPLITS}
        facts = {name: said.get(name) for name in ("backbone", "parameters", "epochs")}
        rows.append({"modality": modality, **facts, **scores})
    return pd.DataFrame(rows, columns=None if rows else ["modality", "backbone", "train", "val", "test"])


def extraction_table(features: FeatureSet) -> pd.DataFrame:
    """Makes a row a stage that made the features: seconds, and the pace of an extraction against its backbones' own."""
    rows = []
    for line in noted(features.folder):
        row = {"stage": line["what"], "seconds": line["seconds"]}
        if "share" in line:
            row |= {
                "samples": f"{line['samples']:,}",
                "samples a second": line["rate"],
                "backbones alone": line["bare"],
            }
            row |= {"share [%]": 100 * line["share"], "bound by": line["bound"]}
        rows.append(row)
    return pd.DataFrame(rows, columns=EXTRACTION)


def primitive_table(names: Iterable[str]) -> pd.DataFrame:
    """Makes one row a primitive: its formula, its number of inputs, and its parameters at C = 16, L = 4."""
    return pd.DataFrame(
        [
            {
                "primitive": name,
                "formula": getattr(PRIMITIVES[name], "formula", ""),
                "inputs": PRIMITIVES[name].arity,
                "parameters at C = 16, L = 4": count_parameters(PRIMITIVES[name](16, 4, 0.0, "paper")),
            }
            for name in names
        ]
    )


def all_scores_table(results: Iterable[Evaluation]) -> pd.DataFrame:
    """Makes one row a method, one column a score of the kind (weighted, macro, micro and samples F1), in per cent."""
    return pd.DataFrame(
        {"method": result.name, **{name: 100 * value for name, value in result.all_scores.items()}}
        for result in results
    )


def movement_table(trace: Trace) -> pd.DataFrame:
    """Makes a row a kind of weight: the largest distance from undecided and the mean entropy after the last epoch.

    Of a kind that has no choice, as beta where M = 1, the entropy is "no choice".
    """
    entropy = trace.events[-1].architecture.entropy()
    words = {kind: "no choice" if value is None else value for kind, value in entropy.items()}
    rows = [(kind, far, words[kind]) for kind, far in trace.movement().items()]
    return pd.DataFrame(rows, columns=["weights", "largest distance", "entropy"])


def pair_table(weights: Architecture, genotype: Genotype) -> pd.DataFrame:
    """Lists the pairs of largest product of each Cell (Eq. 3), and the one that was taken."""
    rows = []
    for (cell, edges), chosen in zip(weights.alpha.items(), genotype.cells, strict=True):
        ranked = sorted(combinations(edges, 2), key=lambda pair: -edges[pair[0]] * edges[pair[1]])
        for rank, (i, j) in enumerate(ranked, start=1):
            if rank <= BEST_PAIRS or (i, j) == chosen.inputs:
                mark = "taken" if (i, j) == chosen.inputs else ""
                both = {"weight of x": edges[i], "weight of y": edges[j], "product": edges[i] * edges[j]}
                rows.append({"Cell": cell, "rank": rank, "x": i, "y": j, **both, "": mark})
    return pd.DataFrame(rows)


def step_table(weights: Architecture, genotype: Genotype) -> pd.DataFrame:
    """Lists the primitive of each Step with its softmax weight, the runner-up, and the inputs with theirs (Eq. 11)."""
    rows = []
    for (cell, steps), chosen in zip(weights.gamma.items(), genotype.cells, strict=True):
        for m, step in enumerate(chosen.steps, start=1):
            gamma = steps[step_name(m)]
            others = sorted(gamma, key=lambda name: -gamma[name])[1:]  # none in a pool of one primitive
            beta = weights.beta[cell][step_name(m)]
            inputs = ", ".join(f"{node} ({beta[node]:.3f})" for node in step.inputs)
            first = f"{step.primitive} ({gamma[step.primitive]:.3f})"
            runner_up = f"{others[0]} ({gamma[others[0]]:.3f})" if others else "-"
            place = f"{cell}.{step_name(m)}"
            rows.append({"Step": place, "primitive (γ)": first, "runner-up": runner_up, "inputs (β)": inputs})
    return pd.DataFrame(rows)


def published_table() -> pd.DataFrame:
    """Lists the nine published genotypes: our count of parameters in `reference` mode beside Table 8's."""
    rows = []
    for row in table_8().to_dict("records"):
        if row["own"]:
            shape = {name: row[name] for name in ("C", "L", "N", "M", "r")}
            agrees = "yes" if row["agrees"] else f"no: {row['note']}"
            counted = {"parameters": row["total"], "Table 8": f"{row['printed']:.2f} M", "agrees": agrees}
            figure = PUBLISHED[row["genotype"]].figure
            rows.append({"genotype": row["genotype"], "figure": figure, **shape, **counted})
    return pd.DataFrame(rows)


def ablation_view(results: Iterable[tuple[AblationRow, Evaluation]]) -> pd.DataFrame:
    """Makes one line a row: its mean with the 95 % interval in per cent, the searched row's lead over it with its
    verdict, and what the paper prints for NTU.
    """
    pairs = list(results)
    frame = score_frame(ablation_scores(pairs)).rename(columns={"method": "row"})
    return frame.assign(
        parameters=[one.parameters for _, one in pairs], **{"paper, NTU [%]": [row.paper for row, _ in pairs]}
    )
