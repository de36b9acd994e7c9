"""The result files of a run folder: `evaluation.json`, and `ablation.csv` for Tables 6 and 7."""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from bmnas.config import EvalConfig
from bmnas.errors import RunError
from bmnas.evaluation.ablation import AblationRow, ablation_table
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
    run.save_json(EVALUATION, {**about, "methods": [result.to_dict() for result in results]})


def load_evaluation(run: Run) -> list[Evaluation]:
    """Reads the test scores of all methods from `evaluation.json`; seconds are not kept there.

    Raises:
        RunError: there is no such file, or it is damaged; names the field.
    """
    methods = run.load_json(EVALUATION).get("methods")
    if not isinstance(methods, list):
        raise RunError(f"{run.path(EVALUATION)}: methods is {methods!r}; expected a list. Run notebook 04 again")
    return [_evaluation(method, f"{run.path(EVALUATION)}: methods[{i}]") for i, method in enumerate(methods)]


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


def _evaluation(method: Any, where: str) -> Evaluation:
    """Checks one method; a class without test samples has the score null, which stands for NaN."""
    if isinstance(method, dict) and isinstance(method.get("per_class"), dict):
        per_class = {label: math.nan if score is None else score for label, score in method["per_class"].items()}
        method = method | {"per_class": per_class}
    evaluation = validate(TypeAdapter(Evaluation), method, RunError, where)
    if not evaluation.scores:
        raise RunError(f"{where}: scores is empty; expected one score a seed")
    return evaluation
