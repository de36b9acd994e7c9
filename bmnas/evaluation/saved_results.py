"""The result files of a run folder: `evaluation.json`, and `ablation.csv` for Tables 6 and 7."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from bmnas.config import EvalConfig
from bmnas.errors import RunError
from bmnas.evaluation.ablation import AblationRow, ablation_table
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.outcomes import Outcomes, digest_of_split, pack, unpack
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.storage.reading import read_text
from bmnas.storage.validation import validate

EVALUATION = "evaluation.json"
ABLATION = "ablation.csv"
NUMBERS = ("mean", "std", "seeds")  # columns of ablation.csv
TEXTS = ("table", "method", "metric")


def save_evaluation(run: Run, results: Sequence[Evaluation], features: FeatureSet, budget: EvalConfig) -> None:
    """Writes the test scores of all methods to `evaluation.json`.

    Args:
        run: of the search.
        results: one for each method.
        features: that the methods were trained on.
        budget: of each training.

    Raises:
        RunError: the file cannot be written; what was there before is kept.
    """
    about = {"source": features.source, "notes": features.notes, "budget": budget.to_dict()}
    rows = features.rows("test")
    groups = features.recorded_together(rows)
    test = {
        "features": features.fingerprint,
        "split": digest_of_split(features),
        "kind": features.kind,
        "targets": pack(features.targets[rows] if features.kind == "multiclass" else features.targets[rows] > 0.5),
        "groups": np.unique(groups, return_inverse=True)[1].reshape(groups.shape).tolist(),
        "labels": len(features.classes),
    }
    run.save_json(EVALUATION, {**about, "test": test, "methods": [result.to_dict() for result in results]})


def load_evaluation(run: Run) -> list[Evaluation]:
    """Reads the test scores of all methods from `evaluation.json`; seconds are not kept there.

    A file of an older version has no answers of test samples, so that its methods are compared by seeds alone.

    Raises:
        RunError: there is no such file, or it is damaged; names the field.
    """
    content, where = run.load_json(EVALUATION), f"{run.path(EVALUATION)}"
    methods = content.get("methods")
    if not isinstance(methods, list):
        raise RunError(f"{run.path(EVALUATION)}: methods is {methods!r}; expected a list. Run notebook 04 again")
    test = None if "test" not in content else validate(TypeAdapter(_Test), content["test"], RunError, f"{where}: test")
    return [_evaluation(method, test, f"{where}: methods[{i}]") for i, method in enumerate(methods)]


def save_ablation(
    run: Run, tables: Mapping[str, Iterable[tuple[AblationRow, Evaluation]]], features: FeatureSet
) -> None:
    """Writes the ablations to `ablation.csv`.

    Args:
        run: of the search.
        tables: table name -> its rows and their results, from `ablate`.
        features: that the rows were trained on.

    Raises:
        RunError: the file cannot be written; what was there before is kept.
    """
    run.save_text(ABLATION, ablation_table(tables).assign(source=features.source).to_csv(index=False))


def load_ablation(run: Run) -> pd.DataFrame:
    """Reads `ablation.csv`: table, method, mean, std, seeds, metric, parameters and the paper's score, one line a row.

    Raises:
        RunError: there is no such file, or it is damaged; names the column.
    """
    path = run.path(ABLATION)
    try:
        frame = pd.read_csv(io.StringIO(read_text(path)))
    except pd.errors.ParserError as error:
        raise RunError(f"{path}: not a table ({error}); run notebook 05 again") from error
    except pd.errors.EmptyDataError as error:
        raise RunError(f"{path} is empty; run notebook 05 again") from error
    for column in (*TEXTS, *NUMBERS):
        if column not in frame:
            raise RunError(f"{path}: the column {column!r} is missing; run notebook 05 again")
    for column in NUMBERS:
        if not pd.api.types.is_numeric_dtype(frame[column]) or frame[column].hasnans:
            raise RunError(f"{path}: the column {column!r} holds something else than numbers; run notebook 05 again")
    return frame


@dataclass(frozen=True)
class _Test:
    """The test split as `evaluation.json` keeps it: once, for all methods."""

    features: str
    split: str
    kind: Literal["multiclass", "multilabel"]
    targets: str
    groups: list[int] | list[list[int]]
    labels: int

    def outcomes(self, answers: list[str], metric: str) -> Outcomes:
        """Joins the packed answers of a method's seeds; raises ValueError where they are damaged."""
        n = len(self.groups)
        shape = (n,) if self.kind == "multiclass" else (n, self.labels)
        targets, *seeds = (unpack(text, self.kind, shape) for text in (self.targets, *answers))
        return Outcomes(self.kind, np.stack(seeds), targets, np.array(self.groups), self.split, metric)


def _evaluation(method: Any, test: _Test | None, where: str) -> Evaluation:
    """Checks one method; a class without test samples has the score null, which stands for NaN."""
    if isinstance(method, dict) and isinstance(method.get("per_class"), dict):
        per_class = {label: math.nan if score is None else score for label, score in method["per_class"].items()}
        method = method | {"per_class": per_class}
    evaluation = validate(TypeAdapter(Evaluation), method, RunError, where)
    if not evaluation.scores:
        raise RunError(f"{where}: scores is empty; expected one score a seed")
    answers = method.get("answers")
    if test is None or answers is None:
        return replace(evaluation, outcomes=None)
    try:
        outcomes = test.outcomes(answers, evaluation.metric)
    except (ValueError, TypeError) as error:
        raise RunError(f"{where}: answers: {error}; run notebook 04 again") from error
    if outcomes.seeds != len(evaluation.scores):
        raise RunError(f"{where}: answers of {outcomes.seeds} seeds, scores of {len(evaluation.scores)}")
    origin = replace(evaluation.origin or Origin(), features=test.features)
    return replace(evaluation, outcomes=outcomes, origin=origin)
