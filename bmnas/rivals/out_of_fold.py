"""Unimodal answers to every sample from heads that were not fitted to it, for late fusion.

The samples of train and val are dealt into folds, those that were recorded together into the same one. A head of each
modality is trained on all folds but one and answers that one. A head of train + val answers everything else. What is
trained on these answers so sees in training what it will see on the test split; answers of heads to their own training
samples would be too good.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.evaluation import identity_of_seed
from bmnas.evaluation.results import digest_of
from bmnas.features.feature_set import FeatureSet, FeatureTensors
from bmnas.features.groups import kept_whole
from bmnas.machine import use_threads
from bmnas.rivals.feature_head import FeatureHead
from bmnas.searching.filling import filled, objective_of
from bmnas.searching.run_folder import Run
from bmnas.storage.checkpoint import load_tensors, save_tensors
from bmnas.storage.lock import hold
from bmnas.training.network_training import fit
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import predict, seeded

FOLDS = 5
WIDTH = 128  # of a head's hidden layer


def with_heads(
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    seed: int,
    run: Run | None = None,
    progress: Progress | None = None,
) -> FeatureSet:
    """Returns the features with the answers of such heads as the unimodal outputs, (n, classes) a modality.

    Args:
        features: any, with stored outputs or without.
        config: dropout, batch size, device and threads.
        budget: of each training.
        seed: of the folds and of each training.
        run: keeps the answers; an interrupted call resumes with the next modality.
        progress: called as progress(what, done, of) before each modality.
    """
    report = progress or (lambda what, done, of: None)
    logits = {}
    for done, modality in enumerate(features.modalities):
        report(f"heads of the modalities, seed {seed}", done, len(features.modalities))
        logits[modality] = _kept(modality, features, config, budget, seed, run)
    report(f"heads of the modalities, seed {seed}", len(logits), len(logits))
    return replace(features, logits=logits)


def _kept(
    modality: str, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int, run: Run | None
) -> np.ndarray:
    """Reads the answers from the run folder, or computes and writes them."""
    if run is None:
        return head_logits(modality, features, config, budget, seed)
    head = {"out of fold": modality, "width": WIDTH, "dropout": config.dropout, "batch_size": config.batch_size}
    digest = digest_of(identity_of_seed(head, features, budget, seed, config))
    path = run.path(f"scores/heads-{digest}.safetensors")
    with hold(run.path(f"scores/heads-{digest}.lock"), wait=True):
        if not path.exists():
            logits = head_logits(modality, features, config, budget, seed)
            save_tensors(path, {"logits": torch.from_numpy(logits)}, head)
        return load_tensors(path)[0]["logits"].numpy()


def head_logits(modality: str, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int) -> np.ndarray:
    """Answers every sample by a head of one modality that was not fitted to it, float32 (n, classes)."""
    labelled_rows = np.concatenate([features.rows("train"), features.rows("val")])
    parts = folds(kept_whole(features.recorded_together(labelled_rows)), seed)
    others = np.setdiff1d(np.arange(len(features)), labelled_rows)
    jobs = [(labelled_rows[parts != fold], labelled_rows[parts == fold]) for fold in range(FOLDS)]
    jobs.append((labelled_rows, others))
    logits = np.zeros((len(features), len(features.classes)), np.float32)
    tensors = features.tensors(config.device)
    with use_threads(config.threads):
        for fitted, answered in jobs:
            if len(answered):
                logits[answered] = _answers(modality, features, tensors, fitted, answered, config, budget, seed)
    return logits


def build_head(modality: str, features: FeatureSet, config: SearchConfig, seed: int) -> nn.Module:
    """Builds the head of a modality, its initial values decided by `seed` alone."""
    with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
        names = features.modalities[modality]
        classes = len(features.classes)
        return FeatureHead(features.channels, names, classes, WIDTH, config.dropout)


def folds(groups: np.ndarray, seed: int) -> np.ndarray:
    """Deals groups into FOLDS parts of about equal size, int64 (n,); a group stays whole."""
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    filled = np.zeros(FOLDS, np.int64)
    part = np.zeros(len(names), np.int64)
    for group in order:
        part[group] = filled.argmin()
        filled[part[group]] += sizes[group]
    return part[codes]


def _answers(
    modality: str,
    features: FeatureSet,
    tensors: FeatureTensors,
    fitted: np.ndarray,
    answered: np.ndarray,
    config: SearchConfig,
    budget: EvalConfig,
    seed: int,
) -> np.ndarray:
    """Trains a head on some rows and answers others."""
    head = filled(build_head(modality, features, config, seed), features, config)
    head.to(tensors.device)
    rows, answered_rows = (torch.from_numpy(part).to(tensors.device) for part in (fitted, answered))
    fit(head, tensors, objective_of(features, config), rows, config.batch_size, budget, seed)
    return predict(head, tensors, answered_rows)[0].cpu().numpy()
