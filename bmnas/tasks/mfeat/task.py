"""`mfeat`: handwritten numerals in six views, real and embedded (Duin 1998; Jain, Duin, Mao 2000).

The views differ in what they see: Fou and Zer are the same for a turned drawing, Mor nearly, so they confuse 6 and 9;
Fac, Kar and Pix never do. Two good views say much the same, and the weakest one completes the best.

`views="raw"`: the views themselves are the features (K = 6). The modalities' own answers, which late fusion starts
from, are logistic regressions. Those of train and val are out of fold. Those of test come from a model of train + val,
which is what a fusion network is trained on.

`views="mlp"`: an MLP a view, trained on 500 drawings that serve nothing else; its two hidden layers are the features
(K = 12).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.backbone_training import InputBatches, train_unimodal
from bmnas.features.extraction import extract
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import one_blas_thread
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, Options, Task
from bmnas.tasks.mfeat.samples import (
    BACKBONES,
    CLASSES,
    PICTURE,
    TRAIN,
    VIEWS,
    read_views,
    split_drawings,
    standardise,
)
from bmnas.training.progress import Progress

SAMPLES = 200  # labelled drawings that a search trains on, unless it is told otherwise
HIDDEN = 64  # width of the backbones' hidden layers
REGULARISATION = 0.1  # scikit-learn's C of the logistic regressions
FOLDS = 5


def make(options: Options, root: Path, progress: Progress | None) -> FeatureSet:
    """Makes the features; options: `samples` (training drawings, at most 600) and `views` ("raw" or "mlp").

    Raises:
        ConfigError: samples or views out of range.
        DataError: the embedded file is damaged, foreign or missing.
    """
    samples = options["samples"]
    views = options["views"]
    if type(samples) is not int or not 10 * CLASSES <= samples <= TRAIN:
        raise ConfigError(f"samples is {samples!r}; expected a whole number from {10 * CLASSES} to {TRAIN}")
    if views not in ("raw", "mlp"):
        raise ConfigError(f"views is {views!r}; expected 'raw' (six features) or 'mlp' (twelve)")
    tables, digits = read_views()
    splits, backbone_rows = split_drawings(options["seed"], samples, BACKBONES if views == "mlp" else 0)
    fit_rows = backbone_rows if views == "mlp" else splits["train"]
    inputs = {view: standardise(table, fit_rows) for view, table in tables.items()}
    if views == "raw":
        arrays = {f"{view}_1": array for view, array in inputs.items()}
        logits = {view: _out_of_fold(array, digits, splits) for view, array in inputs.items()}
        reports = {}
    else:
        arrays, logits, reports = _tapped(inputs, digits, splits, backbone_rows, options, progress)
    return FeatureSet.from_arrays(
        arrays,
        digits,
        splits,
        classes=TASK.classes,
        logits=logits,
        L=options["L"],
        task=TASK.name,
        source=TASK.source,
        notes=f"UCI Multiple Features, {'the six views' if views == 'raw' else 'two layers of an MLP a view'}",
        backbones=reports,
        options=options,
    )


def _out_of_fold(view: np.ndarray, digits: np.ndarray, splits: dict[str, np.ndarray]) -> np.ndarray:
    """Returns the log-probabilities of a logistic regression, (n, classes), none from a row that it was fitted to."""
    from sklearn.linear_model import LogisticRegression  # here: a second that stored features do not need
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    fitted = np.concatenate([splits["train"], splits["val"]])
    model = LogisticRegression(C=REGULARISATION, max_iter=1000)
    answers = np.full((len(digits), CLASSES), -np.log(CLASSES), np.float32)
    folds = StratifiedKFold(FOLDS)
    with one_blas_thread():  # so that the features do not depend on the number of threads
        votes = cross_val_predict(model, view[fitted], digits[fitted], cv=folds, method="predict_log_proba")
        answers[fitted] = np.asarray(votes)
        answers[splits["test"]] = model.fit(view[fitted], digits[fitted]).predict_log_proba(view[splits["test"]])
    return np.round(answers, 3)


def pictures(features: FeatureSet, rows: Sequence[int]) -> dict[str, np.ndarray]:
    """Draws the drawings as Pix sees them: (rows, 16, 15), 0 to 6 pixels of ink a window."""
    tables, _ = read_views()
    return {"Pix": tables["Pix"][np.asarray(rows)].reshape(-1, *PICTURE)}


class ViewMLP(nn.Sequential):
    """Two hidden layers with BatchNorm, ReLU and dropout, and a Linear; `hidden_1` and `hidden_2` are the taps."""

    def __init__(self, length: int) -> None:
        super().__init__()
        for number, width in ((1, length), (2, HIDDEN)):
            layers = nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()
            self.add_module(f"hidden_{number}", nn.Sequential(*layers))
            self.add_module(f"dropout_{number}", nn.Dropout(0.5))
        self.add_module("classifier", nn.Linear(HIDDEN, CLASSES))


def _tapped(
    inputs: dict[str, np.ndarray],
    digits: np.ndarray,
    splits: dict[str, np.ndarray],
    backbone_rows: np.ndarray,
    options: Options,
    progress: Progress | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, dict]]:
    """Trains an MLP a view; returns its hidden layers by feature, its logits and its report by view."""
    arrays = {}
    logits = {}
    reports = {}
    for number, (view, array) in enumerate(inputs.items()):
        if progress:
            progress("train the MLPs of the views", number, len(inputs))
        seed = int(np.random.SeedSequence([options["seed"], number]).generate_state(1)[0])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = ViewMLP(array.shape[1])
        rows = {"fit": backbone_rows, **splits}
        training = {"epochs": 30, "batch_size": 50, "max_lr": 1e-2, "weight_decay": 1e-3}
        report = train_unimodal(model, array, digits, rows, seed=seed, device="cpu", **training)
        taps = {f"{view}_{layer}": f"hidden_{layer}" for layer in (1, 2)}
        pooled, logits[view] = extract(model, taps, InputBatches(array), L=options["L"], device="cpu")
        arrays |= pooled
        reports[view] = {"backbone": report.backbone, "fingerprint": report.fingerprint, "scores": report.scores}
    return arrays, logits, reports


TASK = TASKS.register(
    Task(
        name="mfeat",
        title="Multiple Features: handwritten numerals in six views",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=tuple(Modality(view, (f"{view}_1",)) for view in VIEWS),
        source="real",
        search_config=SearchConfig(
            C=64,
            L=1,
            N=1,
            M=1,
            epochs=30,
            batch_size=50,
            dropout=0.3,
            arch_lr=1e-2,
            max_lr=1e-2,
            weight_decay=1e-3,
            primitives=("Sum", "LinearGLU", "ConcatFC"),
        ),
        eval_config=EvalConfig(epochs=30, seeds=5, max_lr=1e-2, weight_decay=1e-3),
        options={"seed": 0, "L": 1, "samples": SAMPLES, "source": "real", "views": "raw"},
        make=make,
        pictures=pictures,
    )
)
