"""The last step of section 3.4 for a run: backbones and fusion network trained together on the raw train + val.

The backbones start from the weights that made the stored features, the fusion network from its seed; each seed is
trained, then scored on the raw test split once. What needs raw data does not work for stand-ins and for arrays of
one's own: for these, `bmnas.train_and_test_joint` takes a network and Datasets.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.utils.data import DataLoader, Subset

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, DataError, FeatureError
from bmnas.evaluation.evaluation import identity_of_genotype, identity_of_seed
from bmnas.evaluation.joint.network import JointNetwork, Taps, joint_network
from bmnas.evaluation.joint.training import RawSamples, of_splits, train_and_test_joint
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation, combine_seeds, digest_of, once
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.weight_files import load_backbone, weight_file
from bmnas.features.extraction import Backbone
from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import NAMES, changed_samples
from bmnas.machine import data_root, use_threads
from bmnas.registry import TASKS, unknown
from bmnas.searching.filling import objective_of, placeholders_for
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import Genotype
from bmnas.storage.reading import read_text
from bmnas.tasks.base import Task
from bmnas.tasks.preparation import own_recipe, untrained
from bmnas.tasks.real_data.extraction import MAX_WORKERS
from bmnas.training.progress import Progress, renamed

JOINT = "searched, trained with its backbones"
NOTE = "Backbones and fusion network, trained on raw train + val; the last epoch of each seed met the test split once."


def evaluate_joint(
    run: Run,
    genotype: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    *,
    batch_size: int | None = None,
    root: str | Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests backbones and fusion network together with the seeds 0, 1, ... of the budget.

    The result is written to `joint.json` in the run folder. A finished seed is not computed again, and one that was
    killed resumes after its last epoch and ends in the same bits.

    Args:
        genotype, features, config: as for `evaluate`; the features say which raw data, splits and backbones.
        budget: of each seed: epochs, learning rates, weight decay.
        batch_size: that of the search when None; raw videos may need less.
        root: folder of the raw data; `bmnas.machine.data_root()` when None.
        workers: processes that read samples; as many as help when None.
        progress: called after each epoch.

    Raises:
        ConfigError, DataError, FeatureError: see `check_joint`.
    """
    check_joint(features, budget)
    task = _task(features)
    objective = objective_of(features, config)
    size = config.batch_size if batch_size is None else batch_size
    samples = raw_samples(features, root, progress)
    seeds = []
    for seed in range(budget.seeds):
        identity = {**identity_of_genotype(genotype, config), "joint": True, "batch_size": size, **own_recipe(task)}
        about = identity_of_seed(identity, features, budget, seed, config)
        checkpoint = run.path(f"scores/{digest_of(about)}.safetensors")

        def compute(seed: int = seed, checkpoint: Path = checkpoint) -> dict[str, Any]:
            with use_threads(config.threads):
                return trained(seed, checkpoint)

        def trained(seed: int, checkpoint: Path) -> dict[str, Any]:
            network = build_joint(genotype, features, config, samples, seed)
            settings = {"epochs": budget.epochs, "max_lr": budget.max_lr, "min_lr": budget.min_lr, "Ti": budget.Ti}
            settings |= {"weight_decay": budget.weight_decay, "Tm": budget.Tm, "seed": seed, "device": config.device}
            result = train_and_test_joint(
                network, of_splits(samples, "train", "val"), of_splits(samples, "test"), kind=objective,
                batch_size=size, workers=_workers(samples, workers), checkpoint=checkpoint,
                progress=renamed(f"{JOINT}, seed {seed}", progress), **settings,
            )  # fmt: skip
            return {
                "scores": result.scores,
                "per_class": result.per_class,
                "parameters": result.parameters["trained"],
                "answers": result.answers,
                "seconds": result.seconds,
            }

        seeds.append(once(run, about, features, compute))
        checkpoint.unlink(missing_ok=True)
    origin = Origin(run=run.name, source="section 3.4", network=genotype.describe(), genotype=genotype.to_dict())
    result = replace(combine_seeds(JOINT, seeds, features, objective.metric), origin=origin)
    about = {"note": NOTE, "source": features.source, "notes": features.notes, "budget": budget.to_dict()}
    run.save_json("joint.json", {**about, "batch_size": size, "method": result.to_dict()})
    return result


def check_joint(features: FeatureSet, budget: EvalConfig) -> None:
    """Checks, before anything is computed, that these features can be trained jointly.

    Raises:
        DataError: there are no raw samples behind them: stand-ins, planted features, arrays of one's own.
        FeatureError: the weights of their backbones are not there.
        ConfigError: the budget does not ask for the last epoch on train + val.
    """
    _task(features)
    if features.weights is not None:
        raise ConfigError("the features have weights of samples, which joint training does not; leave weights= out")
    if budget.select != "last":
        raise ConfigError(
            f"select is {budget.select!r}; joint training takes the last epoch on train + val (section 3.4): 'last'"
        )
    for modality in features.modalities:
        _weights(features, modality)


def build_joint(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, samples: Any, seed: int
) -> JointNetwork:
    """Builds the joint network: backbones as they made the features, the fusion network as `evaluate` starts it.

    Raises:
        FeatureError: the weights of a backbone are damaged, or not those that made the features.
    """
    backbones, taps = known_backbones(features, seed)
    rows = samples.splits["train"][:2].tolist()  # readable, as those outside the splits need not be
    two = next(iter(DataLoader(Subset(samples, rows), 2)))[0]
    return joint_network(
        genotype, backbones, taps, two, len(features.classes), C=config.C, L=config.L, dropout=config.dropout,
        mode=config.mode, tokeniser=config.tokeniser, placeholders=placeholders_for(features, config), seed=seed,
    )  # fmt: skip


def known_backbones(features: FeatureSet, seed: int = 0) -> tuple[dict[str, nn.Module], Taps]:
    """Loads the backbones that made stored features, and says where they are tapped.

    Args:
        seed: of what the weights leave open; nothing does, where all of them are stored.

    Raises:
        DataError: no backbones made these features.
        FeatureError: the weights of a backbone are gone, damaged, or not those that made the features.
    """
    task = _task(features)
    chosen = task.modalities_of({**task.options, **features.manifest["options"]})
    used = [modality for modality in chosen if modality.name in features.modalities]
    backbones: dict[str, nn.Module] = {}
    for modality in used:
        path = _weights(features, modality.name)
        backbones[modality.name] = model = untrained(modality, seed)
        load_backbone(model, path)
        about = features.manifest["backbones"].get(modality.name)
        if not isinstance(about, dict) or weights_fingerprint(model) != about.get("fingerprint"):
            raise FeatureError(f"{path}: other weights than those that made the features; restore it")
    return backbones, {modality.name: modality.taps for modality in used}


def own_backbones(features: FeatureSet, backbones: Mapping[str, Backbone]) -> tuple[dict[str, nn.Module], Taps]:
    """Returns backbones of one's own and their taps, if they are those that made the features.

    Their weights are compared where the manifest of the features has a fingerprint of them.

    Raises:
        UnknownNameError: a modality that the features do not have.
        FeatureError: other weights than those that made the features.
    """
    for modality, backbone in backbones.items():
        if modality not in features.modalities:
            raise unknown("modality", modality, features.modalities)
        about = features.manifest.get("backbones", {}).get(modality)
        fingerprint = about.get("fingerprint") if isinstance(about, dict) else None
        if fingerprint is not None and weights_fingerprint(backbone.model) != fingerprint:
            raise FeatureError(f"the backbone of {modality} has other weights than the one that made the features")
    return {name: one.model for name, one in backbones.items()}, {name: one.taps for name, one in backbones.items()}


def _weights(features: FeatureSet, modality: str) -> Path:
    """Returns the file of a backbone's weights, which is there."""
    if features.folder is None or not weight_file(features.folder, modality).exists():
        raise FeatureError(
            f"{features.folder} has no weights of the backbone of {modality}, which raw samples go through; delete "
            "that folder and run notebook 01 again: the features will be the same"
        )
    return weight_file(features.folder, modality)


def raw_samples(features: FeatureSet, root: str | Path | None = None, progress: Progress | None = None) -> Any:
    """Opens the samples that the features were made of: a Dataset with `splits`, ordered as the features' own.

    Raises:
        DataError: there are none, they are absent, or others.
    """
    task = _task(features)
    place = data_root() if root is None else Path(root).absolute()
    options = features.manifest["options"]
    if task.real is not None:
        real = task.real.open(place / task.real.folder, options)
        real.splits = _named_rows(features, real.names)
        changed = [] if features.folder is None else changed_samples(features.folder, real)
        if changed:
            raise DataError(
                f"the files of {len(changed):,} samples, first {changed[0]}, are not those that the features in "
                f"{features.folder} were made from; restore them, or make the features again with notebook 01"
            )
        return real
    assert task.open_raw is not None
    samples = RawSamples(task.open_raw(options, place, progress))
    for name, rows in samples.splits.items():
        if not np.array_equal(samples.targets[rows].numpy(), features.targets[features.rows(name)]):
            raise DataError(
                f"the raw data of {task.name!r} is not that of which {features.folder} was made; restore it"
            )
    return samples


def _named_rows(features: FeatureSet, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Returns the rows of each split in the raw data, by the names that the extraction wrote down."""
    assert features.folder is not None
    made_of = read_text(features.folder / NAMES, DataError, "restore it").splitlines()
    if len(made_of) != len(features):
        raise DataError(f"{features.folder / NAMES}: {len(made_of)} names of {len(features)} samples; restore it")
    rows = {name: row for row, name in enumerate(names)}
    chosen = {split: [made_of[row] for row in features.rows(split)] for split in features.splits}
    for name in (name for split in chosen.values() for name in split):
        if name not in rows:
            raise DataError(f"the sample {name!r} of {features.folder} is not in the raw data any more; restore it")
    return {split: np.array([rows[name] for name in members]) for split, members in chosen.items()}


def _task(features: FeatureSet) -> Task:
    """Returns the task that has the raw samples of these features."""
    task: Task | None = TASKS.get(features.task)
    if task is not None and (task.open_raw is not None or (task.real is not None and features.source == "real")):
        return task
    why = f"the features of {features.task!r} ({features.source}) have no raw samples and no backbones behind them"
    ask = f"; ask for {task.real.title} at {task.real.request}" if task is not None and task.real is not None else ""
    raise DataError(
        f"raw data is needed, but {why}{ask}. For data of your own, bmnas.joint_network and "
        "bmnas.train_and_test_joint take backbones and Datasets, and with_backbones(...) takes backbones; on stored "
        "features everything else works"
    )


def _workers(samples: Any, workers: int | None) -> int:
    if workers is not None:
        return workers
    return 0 if isinstance(samples, RawSamples) else min(MAX_WORKERS, (os.cpu_count() or 1) - 1)
