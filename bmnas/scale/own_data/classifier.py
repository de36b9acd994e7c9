"""FusionClassifier: search, training, rivals and prediction on one's own arrays, in scikit-learn's manner."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, get_type_hints

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, FeatureError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.subset_scores import subset_scores
from bmnas.evaluation.trained_network import train_and_save
from bmnas.features.checks import check_mappings
from bmnas.features.convert import check_order
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import as_groups
from bmnas.features.labels import as_labels, label_name
from bmnas.features.weights import as_weights
from bmnas.rivals.field.contest import Contest
from bmnas.rivals.field.rows import CHOICES, field_rows
from bmnas.rivals.field.table import evaluate_field
from bmnas.scale.own_data.inputs import as_arrays, by_feature, check_samples, columns_of
from bmnas.scale.own_data.report import leaderboard, report
from bmnas.scale.own_data.splitting import check_classes, split_rows
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import Trace
from bmnas.space.enumeration import Space
from bmnas.storage.arguments import matches, wording
from bmnas.training.metrics import METRICS, THRESHOLD, named_score
from bmnas.training.progress import seldom

OWN = {
    "L": "L",
    "metric": "metric",
    "class_weight": "class_weight",
    "seed": "random_state",
}  # what `search` may not say
LARGEST_SEED = 2**32 - 2  # of two in a row, as scikit-learn takes them
LEARNING_RATE = 3e-3  # of small data: a few hundred steps have to do


class FusionClassifier(ClassifierMixin, BaseEstimator):
    """Finds how to fuse several modalities, and says whether that is worth it.

    `fit` splits the samples, searches (Algorithm 1), reads the answer out, trains it from scratch over several seeds,
    compares it with every quick rival on the same splits, and prints a report.

    X is a dictionary: feature -> array, memory map, tensor or data frame (n, C), (n, C, T) or (n, C, H, W), or a list
    of n samples (C, T) of different T. The part of a name before its last "_" is the modality. A sample that lacks a
    modality has NaN in all of the row (None in a list): there stands a learnt placeholder, the same in training and
    prediction. Sequences and images are pooled to L positions by one adaptive max pool. What indexes X by row, as
    `GridSearchCV` does, takes a data frame with a sample in each cell, `pandas.DataFrame({"Image": list(image), ...})`,
    or data frames joined to one with two levels of columns, `pandas.concat(X, axis=1)`.

    Args:
        modalities, features: names of those that are used; all when None.
        class_weight: "balanced", class -> weight, or None; alike in search, training and rivals.
        metric: full name of the score that selects and ranks, such as "balanced accuracy"; accuracy (weighted F1 of
            labels) when None.
        L: positions of sequences and images.
        val_size, test_size: shares of the samples.
        search: settings of `bmnas.SearchConfig` by name.
        budget: settings of `bmnas.EvalConfig` by name: epochs, seeds ...
        rivals: which rows the leaderboard has beside the searched one: "quick", "paper", "all"; None for none.
        run: folder that keeps everything, so that an interrupted fit resumes; None keeps nothing on the disk.
        random_state: seed of splits and search.
        verbose: 0 prints nothing, 1 progress and the report.

    Attributes:
        classes_: the labels, sorted.
        features_: the `bmnas.FeatureSet` with its splits.
        search_: the `bmnas.Trace` of the search.
        selection_, genotype_: the answer that was read out.
        network_: the `bmnas.TrainedNetwork` of the first seed, which predicts.
        results_: a `bmnas.Evaluation` a method.
        leaderboard_: a table, best method first.
        subsets_: the network's score with every subset of modalities; None where it was trained without placeholders.
        report_: what was printed.

    Raises:
        FeatureError, ConfigError: of `fit` and `predict`; say which input or setting is wrong, and what to do.
    """

    def __init__(
        self,
        *,
        modalities: Sequence[str] | None = None,
        features: Sequence[str] | None = None,
        class_weight: str | Mapping[Any, float] | None = None,
        metric: str | None = None,
        L: int = 4,
        val_size: float = 0.2,
        test_size: float = 0.2,
        search: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
        rivals: str | None = "quick",
        run: str | Path | None = None,
        random_state: int = 0,
        verbose: int = 1,
    ) -> None:
        self.modalities, self.features = modalities, features
        self.class_weight, self.metric = class_weight, metric
        self.L, self.val_size, self.test_size = L, val_size, test_size
        self.search, self.budget, self.rivals, self.run = search, budget, rivals, run
        self.random_state, self.verbose = random_state, verbose

    def fit(
        self,
        X: Mapping[str, Any] | pd.DataFrame,
        y: ArrayLike,
        groups: ArrayLike | None = None,
        masks: Mapping[str, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Splits, searches, reads out, trains, compares and reports.

        Args:
            X: feature -> samples, see the class.
            y: (n,) labels of any kind, or (n, labels) of 0 and 1.
            groups: (n,) equal for samples that must not be torn apart, such as those of one person.
            masks: modality or feature -> (n,), True where a sample has it.
            sample_weight: (n,) of at least 0, how much each sample counts in every loss of search, training and rivals.
                Samples of weight 0 are in no split. Scores count all samples of a split alike.
        """
        X = by_feature(X)
        self._check_settings()
        self.columns_ = columns_of(X)
        self.features_ = self._feature_set(X, y, groups, masks, sample_weight)
        config = self._config()
        budget = EvalConfig(epochs=15, seeds=3, max_lr=LEARNING_RATE).change(**dict(self.budget or {}))
        if self.run is None:
            with TemporaryDirectory() as folder:
                self._fit(Run(Path(folder) / "run"), config, budget)
        else:
            self._fit(Run(self.run), config, budget)
        return self

    def predict_proba(self, X: Mapping[str, Any] | pd.DataFrame) -> np.ndarray:
        """Computes probabilities (n, classes), in the order of `classes_`; labels have one each.

        X may leave modalities out, or be NaN in the rows of samples that lack them, if the network was trained so
        (`network_.takes_subsets`). It may always leave out features that the answer does not depend on
        (`network_.ignored`) or that the network does not have.
        """
        check_is_fitted(self, "network_")
        X = by_feature(X)
        check_samples(X, {name: array.shape[1] for name, array in self.features_.arrays.items()})
        arrays = as_arrays(X, self.L)
        for name, columns in columns_of(X).items():
            if self.columns_.get(name, columns) != columns:
                raise FeatureError(f"feature {name!r} has the columns {columns}; fit had {self.columns_[name]}")
        unknown = [name for name in arrays if name not in self.all_features_]
        if unknown:
            raise FeatureError(f"X has {unknown}; fit had {list(self.all_features_)}")
        return self.network_.probabilities(arrays)

    def predict(self, X: Mapping[str, Any] | pd.DataFrame) -> np.ndarray:
        """Predicts a label of `classes_` a sample, or (n, labels) of 0 and 1."""
        probabilities = self.predict_proba(X)
        if self.features_.kind == "multilabel":
            return (probabilities > THRESHOLD).astype(int)
        return self.classes_[probabilities.argmax(1)]

    def score(self, X: Mapping[str, Any] | pd.DataFrame, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Computes the score that `metric` names; a sample counts `sample_weight` times, (n,), or once."""
        X = by_feature(X)
        probabilities, kind = self.predict_proba(X), self.features_.kind
        parts = {f"feature {name!r}": values for name, values in X.items()}
        check_order({**parts, "y": y, "sample_weight": sample_weight})
        labels = as_labels("y", y)
        if labels.ndim != (2 if kind == "multilabel" else 1):
            raise FeatureError(f"y has the shape {labels.shape}; fit had {self.features_.targets.shape}")
        if labels.shape[:1] != probabilities.shape[:1]:
            raise FeatureError(f"X has {len(probabilities)} samples, y {labels.shape}")
        are_texts = [each.dtype.kind in "US" for each in (labels, self.classes_)]
        seen = self.classes_ if are_texts[0] == are_texts[1] else ()  # 1 is no "1"
        unseen = [] if kind == "multilabel" else np.setdiff1d(labels, seen).tolist()
        if unseen:
            raise FeatureError(f"y has {unseen[0]!r}; fit had the labels {self.classes_.tolist()}")
        targets = labels.astype(np.float32) if kind == "multilabel" else np.searchsorted(self.classes_, labels)
        logits = torch.from_numpy(probabilities).double().clamp(1e-12, 1 - 1e-12)
        logits = logits.log() if kind == "multiclass" else logits.logit()
        weights = None if sample_weight is None else as_weights("sample_weight", sample_weight, len(labels))
        return named_score(kind, self.metric or METRICS[kind], logits, torch.from_numpy(targets), weights)

    def _feature_set(
        self,
        X: Mapping[str, Any],
        y: ArrayLike,
        groups: ArrayLike | None,
        masks: Mapping[str, ArrayLike] | None,
        sample_weight: ArrayLike | None,
    ) -> FeatureSet:
        check_mappings({}, {"masks": masks})
        marks = {f"masks[{name!r}]": values for name, values in (masks or {}).items()}
        parts = {f"feature {name!r}": values for name, values in X.items()} | marks
        check_order({**parts, "y": y, "groups": groups, "sample_weight": sample_weight})
        labels = as_labels("y", y)
        weights = None if sample_weight is None else as_weights("sample_weight", sample_weight, len(labels))
        used = np.arange(len(labels)) if weights is None else np.flatnonzero(weights)
        if labels.ndim == 1:
            self.classes_, targets = np.unique(labels, return_inverse=True)
            names = [label_name(label) for label in self.classes_]
            check_classes(labels[used], self.classes_)
        else:
            self.classes_, targets = np.arange(labels.shape[1]), labels
            names = [str(name) for name in getattr(y, "columns", self.classes_)]
        arrays = as_arrays(X, self.L)
        self.all_features_ = tuple(arrays)
        count = len(next(iter(arrays.values())))
        if count != len(labels):
            raise FeatureError(f"X has {count} samples, y {len(labels)}")
        members = None if groups is None else as_groups(groups)
        if members is not None and members.shape != (count,):
            wrong = f"groups has the shape {members.shape}; expected one for each of {len(labels)} samples"
            raise FeatureError(f"{wrong}. Where a sample is of several, make the splits and use FeatureSet.from_arrays")
        its_groups = None if members is None else members[used]
        splits = split_rows(targets[used], its_groups, self.val_size, self.test_size, self.random_state)
        rows = {name: used[part] for name, part in splits.items()}
        positions = {array.shape[2] for array in arrays.values() if array.ndim == 3} - {1}
        features = FeatureSet.from_arrays(
            arrays, targets, rows, classes=names, masks=masks, groups=members, weights=weights,
            L=self.L if positions else None, report=False,
        )  # fmt: skip
        if self.modalities is not None or self.features is not None:
            features = features.choose(self.modalities, self.features)
        if len(features.names) < 2:
            raise FeatureError(
                f"there is one feature, {', '.join(features.names)}; fusion takes two at least: another modality, "
                "or another layer of the same network"
            )
        return features

    def _check_settings(self) -> None:
        for name, hint in get_type_hints(FusionClassifier.__init__).items():
            if name != "return" and not matches(getattr(self, name), hint):
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected {wording(hint)}")
        if self.L < 1:
            raise ConfigError(f"L is {self.L}; expected 1 position at least")
        if not 0 <= self.random_state <= LARGEST_SEED:
            raise ConfigError(f"random_state is {self.random_state}; expected a number of 0 to {LARGEST_SEED}")
        for name in (name for name in OWN if name in (self.search or {})):
            raise ConfigError(f"search has {name}; give {OWN[name]} to FusionClassifier itself")
        if self.rivals is not None and self.rivals not in CHOICES:
            raise ConfigError(f"rivals is {self.rivals!r}; expected {', '.join(CHOICES)}, or None for none")

    def _config(self) -> SearchConfig:
        pairs = len(self.features_.names) * (len(self.features_.names) - 1) // 2
        weights: Any = self.class_weight
        if isinstance(weights, Mapping):
            one_label = self.features_.kind == "multiclass"
            names = dict(zip(self.classes_.tolist(), self.features_.classes, strict=True)) if one_label else {}
            weights = {names.get(label, label_name(label)): weight for label, weight in weights.items()}
        start = SearchConfig(
            C=16, L=self.features_.L, N=min(2, pairs), M=1, epochs=15, arch_lr=1e-2, max_lr=LEARNING_RATE,
            seed=self.random_state, class_weight=weights, metric=self.metric, show_progress=False,
        )  # fmt: skip
        return start.change(**dict(self.search or {}))

    def _fit(self, run: Run, config: SearchConfig, budget: EvalConfig) -> None:
        features = self.features_
        self._print(repr(features))
        events = []
        for event in search(features, config, run):
            events.append(event)
            score = f"validation {event.metric} {100 * event.val_score:.1f} %"
            self._print(f"search, epoch {event.epoch} of {event.epochs}: {score} (best {100 * event.best_score:.1f} %)")
        self.search_ = Trace(events)
        self._print(f"choosing among {Space.of(features.names, config).size(10**6):,} networks or fewer")
        progress = seldom(self._print)
        self.selection_ = read_out(run, features, progress)
        self.genotype_ = self.selection_.chosen
        self.network_ = train_and_save(run, self.genotype_, features, config, budget)
        contest = Contest(
            run, features, config, budget, self.genotype_, self.selection_, command="FusionClassifier.fit"
        )
        rows = [row for row in field_rows(contest, self.rivals or "quick") if self.rivals or row.name == SEARCHED]
        self.results_ = []
        for result in evaluate_field(contest, rows, progress):
            self._print(f"{result.name}: {result.metric} {100 * result.mean:.1f} %")
            self.results_.append(result)
        self.leaderboard_: pd.DataFrame = leaderboard(self.results_)
        self.subsets_ = None
        if self.network_.takes_subsets:
            self.subsets_ = subset_scores(self.network_, features, self.metric)
        self.report_ = report(features, self.network_.network, self.results_, self.leaderboard_, self.subsets_)
        self._print("\n" + self.report_)

    def _print(self, line: str) -> None:
        if self.verbose:
            print(line, flush=True)
