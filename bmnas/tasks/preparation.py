"""From a data set's name to its feature set: made once, cached, opened at once the next time (section 3.1).

Backbones are trained on their own labels, frozen, run once over all samples, and their taps stored.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmnas.errors import DataError, FeatureError, warn
from bmnas.features.backbone_training import InputBatches, train_unimodal, weights_fingerprint
from bmnas.features.backbones.weight_files import load_backbone, save_backbone, weight_file
from bmnas.features.extraction import extract
from bmnas.features.extraction_folder import work_folder
from bmnas.features.extraction_timing import TIMING, Pace, note
from bmnas.features.feature_set import FeatureSet
from bmnas.features.subsets import Names, check_names
from bmnas.machine import check_threads, data_root, resolve_device, runs_root, use_threads
from bmnas.registry import TASKS
from bmnas.storage.digests import json_sha256
from bmnas.storage.lock import hold
from bmnas.storage.own_code import own_code
from bmnas.storage.paths import given_path
from bmnas.storage.whole_files import cannot_write
from bmnas.tasks.base import Modality, RawData, Task
from bmnas.tasks.real_data.earlier_features import extracted, extracted_before
from bmnas.tasks.real_data.extraction import HOW, RealRun, present
from bmnas.training.progress import Progress, renamed


def prepare(
    dataset: str,
    *,
    seed: int = 0,
    L: int | None = None,
    samples: int | str | None = None,
    source: str | None = None,
    root: str | Path | None = None,
    cache: str | Path | None = None,
    device: str | torch.device = "auto",
    threads: int = 1,
    modalities: Names = None,
    features: Names = None,
    progress: Progress | None = None,
    **options: Any,
) -> FeatureSet:
    """Returns the features of a data set, from the cache or made now.

    The cache folder is `<cache>/<dataset>-<hash of all options>`; it is written whole or not at all. The same options
    give bit-identical features on a CPU. Real features stay in use where they cannot be made again, as when their raw
    data is gone: the newest in the cache that have every option asked for; a warning and their notes say so. Where
    files of real data were replaced since, new features are made beside the old ones, with a warning.

    Args:
        dataset: a name in TASKS.
        seed: of everything random: degradation, pairing, initial weights, order of the batches.
        L: length of the features; the data set's own when None.
        samples: size of the training split; the data set's own when None, everything where real data was found. Data
            sets say what else they take ("full").
        source: "real" or "stand-in" where a data set has both; when None, what is found under the data root, or
            in the cache, decides.
        root: folder of the raw data; `bmnas.machine.data_root()` when None.
        cache: folder of the feature sets; `bmnas.machine.runs_root() / "_features"` when None.
        device: where backbones run. It belongs to no hash: a cache made elsewhere is used.
        threads: CPU threads while features are made; one is fastest for networks of this size.
        modalities, features: those of the set that are wanted, see `FeatureSet.choose`; all are made and stored.
        progress: called as progress(what, done, total) while features are made.
        options: the data set's own, see `TASKS[dataset].options`.

    Raises:
        UnknownNameError: unknown data set, option, modality or feature; lists the known ones.
        ConfigError: an option out of its range.
        DataError: raw data is missing or damaged.
        FeatureError: the cached feature set is damaged.
    """
    task: Task = TASKS[dataset]
    target = resolve_device(device)
    check_threads(threads)
    check_names("modality", modalities)
    check_names("feature", features)
    place = data_root() if root is None else given_path("root", root)
    folder = runs_root() / "_features" if cache is None else given_path("cache", cache)
    if task.real is not None and source is None and (present(task.real, place) or extracted(task.name, folder)):
        source = "real"
    elif task.real is not None and source is None and _is_named(root, place):
        warn(
            f"no {task.real.title} under {place / task.real.folder}, so the features are a stand-in, NOT real data; "
            f"root, or BMNAS_DATA, is the folder that holds {task.real.folder}/"
        )
    wishes = {"seed": seed, "L": L, "samples": samples, **options}
    if task.real is not None and source == "real" and samples is None:
        samples = "full"
    chosen = task.resolve({"seed": seed, "L": L, "samples": samples, "source": source, **options})
    real = RealRun(task, task.real, chosen, place) if task.real and chosen["source"] == "real" else None
    if real is None:
        folder = folder / f"{task.name}-{key(task, chosen)}"
    else:
        try:
            real.check()
        except DataError as error:
            earlier = extracted_before(task.name, wishes, folder, error, real.samples_if_present(), chosen)
            return earlier.choose(modalities, features)
        folder = real.newest(folder / f"{task.name}-{key(task, real.identity)}")
    if not folder.exists():
        with hold(folder.parent / f".{folder.name}.making.lock", wait=real is None), use_threads(threads):
            if folder.exists():  # another process made it meanwhile
                pass
            elif real is not None:
                real.extract(folder, target, progress)
            else:
                _make(task, chosen, place, folder, target, progress)
    return FeatureSet.open(folder).choose(modalities, features)


def _is_named(root: str | Path | None, place: Path) -> bool:
    """Returns whether somebody said where raw data is: by `root`, or by a BMNAS_DATA that is no folder."""
    by_variable = bool(os.environ.get("BMNAS_DATA")) and not place.is_dir()
    return by_variable or (root is not None and place != data_root())


def key(task: Task, options: Mapping[str, Any]) -> str:
    """Ten hexadecimal digits of the options that make the features others, and the task's recipe and own code."""
    deciding = {name: value for name, value in options.items() if name not in HOW}
    grouped = {"grouped_by": task.grouped_by} if task.grouped_by else {}
    recipe = {"task": task.name, "recipe": task.recipe, "options": deciding, **grouped}
    return json_sha256(recipe | own_recipe(task))[:10]


def own_recipe(task: Task) -> dict[str, Any]:
    """Returns what else decides the features of a task of one's own, whose code is edited under its name."""
    makers = (task.make, task.open_raw, task.real and task.real.open, task.choose_modalities)
    networks = ((modality.backbone, modality.imagenet, modality.pretrained) for modality in task.modalities)
    code = own_code((*makers, *networks))
    if code is None:
        return {}
    settings = [
        [modality.name, dict(modality.training), {name: asdict(tap) for name, tap in modality.taps.items()}]
        for modality in task.modalities
    ]
    return {"code": code, "modalities": settings}


def _make(
    task: Task, options: Mapping[str, Any], root: Path, folder: Path, device: torch.device, progress: Progress | None
) -> None:
    """Makes a feature set's folder: arrays, manifest, and the weights of the backbones.

    All lies in a folder beside it first, where the next process resumes if one was killed.
    """
    work = work_folder(folder)
    made = work / "features"
    if not made.exists():
        build(task, options, root, work, device, progress).save(made)
    for path in (*work.glob("backbone_*"), *work.glob(TIMING)):
        os.replace(path, made / path.name)
    try:
        os.rename(made, folder)
    except OSError as error:
        if not folder.exists():  # else a process that knows no locks was faster
            raise FeatureError(cannot_write(folder, error, f"all lies in {work}")) from error
    shutil.rmtree(work, ignore_errors=True)


def _check_made(features: FeatureSet, task: Task, options: Mapping[str, Any]) -> None:
    """Checks that features say of themselves what their task says of them."""
    expected = {"task": task.name, "source": options["source"], "L": options["L"]}
    others = {name: value for name, value in expected.items() if getattr(features, name) != value}
    if others:
        given = ", ".join(f"{name} = {getattr(features, name)!r}" for name in others)
        wanted = ", ".join(f"{name}={value!r}" for name, value in others.items())
        raise FeatureError(
            f"the features that the task {task.name!r} makes have {given}; write FeatureSet.from_arrays(..., {wanted})"
        )


def build(
    task: Task, options: Mapping[str, Any], root: Path, work: Path, device: torch.device, progress: Progress | None
) -> FeatureSet:
    """Makes the feature set of a task in memory, without looking at the cache.

    Args:
        work: folder of the trained backbones; those that lie there are not trained again.
    """
    if task.make is not None:
        features = task.make(options, root, progress)
        _check_made(features, task, options)
        features.manifest["options"] = {**options, **features.manifest["options"]}
        return features
    assert task.open_raw is not None, f"the task {task.name!r} has neither open_raw nor make"
    raw = task.open_raw(options, root, progress)
    rows = np.sort(np.concatenate(list(raw.splits.values())))  # those of any split; the splits count in these
    splits = {name: np.searchsorted(rows, members) for name, members in raw.splits.items()}
    modalities = task.modalities_of(options)
    for modality in modalities:  # taps that do not fit show now, not after the training
        first = [torch.from_numpy(raw.inputs[modality.name][:2])]
        extract(untrained(modality, 0), modality.taps, first, L=options["L"], device=device)
    arrays = {}
    logits = {}
    reports = {}
    for i, modality in enumerate(modalities):
        model, reports[modality.name] = backbone(modality, raw, [options["seed"], i], work, device, progress)
        pace = Pace()
        loader = pace.batches(InputBatches(raw.inputs[modality.name][rows], modality.batch_size), len)
        report = renamed(f"extract {modality.name}", progress)
        pooled, logits[modality.name] = extract(
            model, modality.taps, loader, L=options["L"], device=device, progress=report
        )
        note(work, f"extract {modality.name}", **pace.record())
        arrays |= pooled
    return FeatureSet.from_arrays(
        arrays,
        raw.labels[rows],
        splits,
        kind=task.kind,
        classes=task.classes,
        modalities={modality.name: modality.features for modality in modalities},
        logits=logits,
        L=options["L"],
        task=task.name,
        source=task.source,
        notes=raw.notes,
        backbones=reports,
        pooling={name: asdict(tap) for modality in modalities for name, tap in modality.taps.items()},
        options=options,
        groups=None if raw.groups is None else raw.groups[rows],
    )


def backbone(
    modality: Modality, raw: RawData, seed: list[int], work: Path, device: torch.device, progress: Progress | None
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Returns a modality's network, trained on its own labels, and how: a `UnimodalReport` without the seconds.

    Of a pretrained network only the classifier is trained. A training that was killed resumes after its last whole
    epoch.
    """
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    model = untrained(modality, number)
    weights = weight_file(work, modality.name)
    if weights.exists():
        return model.eval(), load_backbone(model, weights)
    checkpoint = work / f"training_{modality.name}.safetensors"
    trained: torch.nn.Module = model
    rows = {"fit": raw.backbone_rows, **raw.splits}
    inputs, labels = raw.inputs[modality.name], raw.own_labels[modality.name]
    if modality.pretrained is not None:
        used = np.unique(np.concatenate(list(rows.values())))  # the body need not run on any other
        rows = {name: np.searchsorted(used, members) for name, members in rows.items()}
        inputs, labels = inputs[used], labels[used]
        modality.pretrained(model)
        trained = model.get_submodule("classifier")
        body = model.get_submodule("body")
        _, inputs = extract(body, {}, InputBatches(inputs, modality.batch_size), L=1, device=device)
    report = train_unimodal(
        trained,
        inputs,
        labels,
        rows,
        seed=number,
        device=device,
        progress=renamed(f"train {modality.name} backbone", progress),
        checkpoint=checkpoint,
        **modality.training,
    )
    about = {name: value for name, value in asdict(report).items() if name != "seconds"}
    about |= {
        "backbone": type(model).__name__,
        "fingerprint": weights_fingerprint(model),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    note(work, f"train {modality.name} backbone", seconds=report.seconds)
    save_backbone(model, weights, about)
    checkpoint.unlink()
    return model, about


def untrained(modality: Modality, seed: int) -> torch.nn.Module:
    """Makes a modality's network, its initial values decided by `seed` alone."""
    assert modality.backbone is not None, f"the modality {modality.name!r} has no backbone"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return modality.backbone()
