"""The last step of section 3.4 for a run: backbones and fusion network trained together on the raw train + val.

The backbones start from the weights that made the stored features, the fusion network from its seed; each seed is
trained, then scored on the raw test split once. What needs raw data does not work for stand-ins and for arrays of
one's own: for these, `bmnas.train_and_test_joint` takes a network and Datasets.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Dataset, Subset

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.evaluation.evaluation import identity_of_genotype, identity_of_seed
from bmnas.evaluation.joint.network import JointNetwork, RawNetwork, joint_network
from bmnas.evaluation.joint.sources import backbone_weights, known_backbones, raw_samples, raw_task
from bmnas.evaluation.joint.training import RawSamples, of_splits, train_and_test_joint
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation, combine_seeds, digest_of, once
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.searching.filling import objective_of, placeholders_for
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import Genotype
from bmnas.tasks.preparation import own_recipe
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
    samples: Dataset[Any] | None = None,
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
        samples: of `bmnas.evaluation.joint.sources.raw_samples`, where they are opened already.
        workers: processes that read samples; as many as help when None.
        progress: called after each epoch.

    Raises:
        ConfigError, DataError, FeatureError: see `check_joint`.
    """
    training = RawTraining.open(run, features, config, budget, batch_size, root, samples, workers, progress)
    result = evaluate_raw_networks(
        JOINT,
        lambda seed: build_joint(genotype, features, config, training.samples, seed),
        identity_of_genotype(genotype, config),
        training,
        progress,
    )
    origin = Origin(run=run.name, source="section 3.4", network=genotype.describe(), genotype=genotype.to_dict())
    result = replace(result, origin=origin)
    about = {"note": NOTE, "source": features.source, "notes": features.notes, "budget": budget.to_dict()}
    run.save_json("joint.json", {**about, "batch_size": training.batch_size, "method": result.to_dict()})
    return result


@dataclass(frozen=True)
class RawTraining:
    """What the trainings of several seeds on raw samples share.

    Attributes:
        run: keeps the result of each seed, and the checkpoint of one that is not finished.
        features, config, budget: see `evaluate_joint`.
        samples: of the features, from `raw_samples`.
        batch_size: samples of a step.
        workers: see `evaluate_joint`.
    """

    run: Run
    features: FeatureSet
    config: SearchConfig
    budget: EvalConfig
    samples: Any
    batch_size: int
    workers: int | None

    @classmethod
    def open(
        cls,
        run: Run,
        features: FeatureSet,
        config: SearchConfig,
        budget: EvalConfig,
        batch_size: int | None,
        root: str | Path | None,
        samples: Dataset[Any] | None,
        workers: int | None,
        progress: Progress | None,
    ) -> "RawTraining":
        """Checks that these features can be trained jointly, and opens their samples; arguments of `evaluate_joint`."""
        check_joint(features, budget)
        opened = raw_samples(features, root, progress) if samples is None else samples
        size = config.batch_size if batch_size is None else batch_size
        return cls(
            run=run,
            features=features,
            config=config,
            budget=budget,
            samples=opened,
            batch_size=size,
            workers=workers,
        )


def evaluate_raw_networks(
    name: str,
    build: Callable[[int], RawNetwork],
    identity: Mapping[str, Any],
    training: RawTraining,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests any network on raw samples with the seeds 0, 1, ... of the budget.

    Args:
        name: of the method, for tables.
        build: seed -> network.
        identity: what the network is, in JSON values; with budget, features and seed it names the result.
        training: data, budget and the run folder.
        progress: called after each epoch.
    """
    run, features, config, budget = training.run, training.features, training.config, training.budget
    objective = objective_of(features, config)
    size = training.batch_size
    identity = {**identity, "joint": True, "batch_size": size, **own_recipe(raw_task(features))}
    settings = {"epochs": budget.epochs, "max_lr": budget.max_lr, "min_lr": budget.min_lr, "Ti": budget.Ti}
    settings |= {"weight_decay": budget.weight_decay, "Tm": budget.Tm, "device": config.device, "batch_size": size}
    seeds = []
    for seed in range(budget.seeds):
        about = identity_of_seed(identity, features, budget, seed, config)
        checkpoint = run.path(f"scores/{digest_of(about)}.safetensors")

        def compute(seed: int = seed, checkpoint: Path = checkpoint) -> dict[str, Any]:
            with use_threads(config.threads):
                result = train_and_test_joint(
                    build(seed),
                    of_splits(training.samples, "train", "val"),
                    of_splits(training.samples, "test"),
                    kind=objective,
                    workers=_workers(training),
                    checkpoint=checkpoint,
                    progress=renamed(f"{name}, seed {seed}", progress),
                    seed=seed,
                    **settings,
                )
            return {
                "scores": result.scores,
                "per_class": result.per_class,
                "parameters": result.parameters["trained"],
                "answers": result.answers,
                "seconds": result.seconds,
            }

        seeds.append(once(run, about, features, compute))
        checkpoint.unlink(missing_ok=True)
    return combine_seeds(name, seeds, features, objective.metric)


def check_joint(features: FeatureSet, budget: EvalConfig) -> None:
    """Checks, before anything is computed, that these features can be trained jointly.

    Raises:
        DataError: there are no raw samples behind them: stand-ins, planted features, arrays of one's own.
        FeatureError: the weights of their backbones are not there.
        ConfigError: the budget does not ask for the last epoch on train + val.
    """
    raw_task(features)
    if features.weights is not None:
        raise ConfigError("the features have weights of samples, which joint training does not; leave weights= out")
    if budget.select != "last":
        raise ConfigError(
            f"select is {budget.select!r}; joint training takes the last epoch on train + val (section 3.4): 'last'"
        )
    for modality in features.modalities:
        backbone_weights(features, modality)


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


def _workers(training: RawTraining) -> int:
    if training.workers is not None:
        return training.workers
    return 0 if isinstance(training.samples, RawSamples) else min(MAX_WORKERS, (os.cpu_count() or 1) - 1)
