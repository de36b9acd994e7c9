"""The settings of a search in groups that travel together, documented field by field."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES, split_names, unknown
from bmnas.space.primitives import PAPER_PRIMITIVES, REFERENCE_PRIMITIVES

SWITCHES: dict[str, dict[str, Any]] = {
    "paper": {
        "primitives": PAPER_PRIMITIVES,
        "cells_as_inputs": True,
        "pair_rule": "paper",
        "score_mode": "eval",
        "schedule": "restarts",
        "ties": "earlier",
    },
    "reference": {
        "primitives": REFERENCE_PRIMITIVES,
        "cells_as_inputs": False,
        "pair_rule": "reference",
        "score_mode": "train",
        "schedule": "release",
        "ties": "later",
    },
}
"""What each mode stands for, switch by switch; a field of `SearchConfig` that is not None overrides its switch."""


def _check_pool(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and (not names or len(set(names)) != len(names)):
        raise ConfigError(f"primitives is {names!r}; expected at least one name, and none twice")
    for name in names or ():
        if name not in PRIMITIVES:
            raise ConfigError(f"primitives is {names!r}: {unknown('primitive', name, PRIMITIVES)}")
    return names


# An int stays an int: `dropout=0` and `dropout=0.0` have had different digests since the first version.
# Each has an upper end that nobody means to pass: a slip of the keyboard is named at once, not by torch or after hours.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Natural = Annotated[int, Field(ge=0, le=1_000_000)]
Width = Annotated[int, Field(ge=1, le=2**16)]
Depth = Annotated[int, Field(ge=1, le=16)]
Threads = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Rate = Natural | Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Probability = Annotated[int, Field(ge=0, lt=1)] | Annotated[float, Field(ge=0, lt=1)]
Pool = Annotated[tuple[str, ...] | None, BeforeValidator(split_names), AfterValidator(_check_pool)]


@dataclass(frozen=True)
class SpaceSettings:
    """The size of the search space."""

    C: Width = 16
    """Channels of all inner representations (Table 8)."""
    L: Width = 4
    """Length of all inner representations (Table 8); stored features must have it."""
    N: Depth = 2
    """Number of Cells."""
    M: Depth = 1
    """Number of Steps in a Cell."""
    r: Count | None = None
    """How many of a Cell's last states its output concatenates (node_multiplier); M when None."""

    @property
    def depth(self) -> int:
        """r, or M where r is None."""
        return self.M if self.r is None else self.r


@dataclass(frozen=True)
class OptimiserSettings:
    """How Algorithm 1 trains weights and architecture."""

    epochs: Count = 10
    """Epochs of Algorithm 1 (Ep in Table 8)."""
    batch_size: Count = 64
    """Samples in a batch (BS)."""
    dropout: Probability = 0.1
    """Dropout probability (Drpt)."""
    arch_lr: Rate = 3e-4
    """Learning rate of alpha, beta, gamma."""
    arch_weight_decay: Rate = 1e-3
    """L2 of alpha, beta, gamma."""
    arch_passes: Count = 1
    """Passes over the validation split an epoch that train alpha, beta, gamma; 1 in Algorithm 1."""
    warmup_epochs: Natural = 0
    """First epochs that train the weights alone; 0 in Algorithm 1."""
    max_lr: Rate = 1e-3
    """Largest learning rate of the weights (MaxLR)."""
    min_lr: Rate = 1e-6
    """Smallest learning rate of the weights (MinLR)."""
    weight_decay: Rate = 1e-4
    """L2 of the weights."""
    Ti: Count = 1
    """First period of the warm restarts, in epochs."""
    Tm: Count = 2
    """Factor from one period to the next."""


@dataclass(frozen=True)
class RuleSettings:
    """What is computed: the equations of the paper, or what the authors' release does instead."""

    mode: Literal["paper", "reference"] = "paper"
    """"paper" (the equations) or "reference" (what the authors' release computes); presets the switches below."""
    primitives: Pool = None
    """The pool of a Step; the mode's when None."""
    cells_as_inputs: bool | None = None
    """Whether earlier Cells may feed later ones in the derivation."""
    pair_rule: Literal["paper", "reference"] | None = None
    """"paper": no pair twice; "reference": a pair holds a node that no Cell has taken."""
    score_mode: Literal["eval", "train"] | None = None
    """"eval": score the validation split in eval mode after the epoch; "train": in train mode, batch by batch."""
    schedule: Literal["restarts", "release"] | None = None
    """"restarts": after whole epochs; "release": as the release computes it, which seldom restarts."""
    ties: Literal["earlier", "later"] | None = None
    """Which of two epochs with equal validation scores is kept, the "earlier" or the "later"."""
    relaxation: Literal["shared", "two_slots", "gumbel"] = "shared"
    """Whether both inputs of a Cell and of a Step are one mixture ("shared", as in the paper and the release), or each
    has softmax weights of its own, so that the order of operands is learnt ("two_slots"). "gumbel" is
    GDAS: such weights too, and each step draws a sample of them. Both are computed by the plain formula, one seed at a
    time. So "two_slots" takes longer than "shared" where the hypernet is large; "gumbel", which computes its sample
    alone, does not."""
    train_reshape: bool = True
    """Whether the search trains the reshape layers (the release's NTU search does not)."""
    tokeniser: Literal["copy", "learned"] = "copy"
    """How a vector feature becomes L tokens: "copy" (the release) or "learned"."""

    def switch(self, name: str) -> Any:
        """Returns the value of a switch: the field's own, or the mode's."""
        own = getattr(self, name)
        return SWITCHES[self.mode][name] if own is None else own


@dataclass(frozen=True)
class ComputationSettings:
    """How the hypernet is computed; other values round differently or draw other dropout masks."""

    fast: bool = False
    """Without effect: `bmnas.space.algebra` computes every search. Older versions had other shortcuts, and
    configurations that name them are still read."""
    compile: Literal["default", "reduce-overhead"] | None = None
    """torch.compile of the hypernet: "default", or "reduce-overhead", which is CUDA graphs; None: none."""
    bf16: bool = False
    """Whether the hypernet's matrix products are in bfloat16 (autocast): less memory, on GPUs less time."""
    accumulate: Count = 1
    """Micro-batches that a batch of a search goes in, for less memory; BatchNorm sees each by itself."""


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is minimised and what selects, in searches, read-outs, evaluations and rivals alike."""

    class_weight: Literal["balanced"] | Annotated[dict[str, Rate], Field(min_length=1)] | None = None
    """Weights of the classes in every loss: "balanced" (n / (classes * n_k) of the training split), or by name."""
    metric: Annotated[str, Field(pattern=r"^[A-Za-z0-9 ]+$")] | None = None
    """The score that selects, by its full name, such as "balanced accuracy"; that of the kind of task when None."""
    modality_dropout: Probability | None = None
    """How often training hides a modality of a sample; when None 0.2 where some are missing, and 0 elsewhere."""
    patience: Count | None = None
    """Epochs without a better validation score after which a search ends; None searches all epochs."""


@dataclass(frozen=True)
class SearcherSettings:
    """Which searcher is at work, and what it may spend."""

    searcher: str = "algorithm1"
    """"algorithm1", or a name in `bmnas.SEARCHERS`, which scores the genotypes that it proposes."""
    budget: Count | None = None
    """What another searcher than Algorithm 1 may spend; 20 trainings when None. MFAS ends by itself after 195 or so,
    DC-NAS after 448 at most; SPOS spends it on its supernet, which has `path_epochs` when None."""
    budget_unit: Literal["trainings", "epochs", "seconds"] = "trainings"
    """What the budget counts: short trainings, epochs of these, or seconds spent in them."""


ReadOut = Literal["algorithm1", "shortlist", "best_ranked", "darts_pt"]
"""The rules by which an answer is read out; a function each in `bmnas.searching.read_outs.READ_OUTS`."""


@dataclass(frozen=True)
class ReadOutSettings:
    """How the answer is read out of a finished search."""

    selection: ReadOut = "shortlist"
    """How the answer is read: "algorithm1" (best validation epoch), "shortlist" (successive halving), "best_ranked"
    (the best of the hypernet's ranking, trained alike), or "darts_pt" (what the hypernet misses most); see
    `bmnas.searching.read_outs`."""
    shortlist_size: Count = 5
    """Genotypes that are trained at length; the shortlist first trains about three times as many briefly."""
    shortlist_epochs: Count = 5
    """Epochs of these trainings: "best_ranked" so many; the shortlist half of it, then 5/2 of it or more, see
    `bmnas.searching.shortlisting.halving.rungs`; "darts_pt" tunes the hypernet so long between two decisions."""
    path_epochs: Natural | None = None
    """Epochs that the shortlist trains the hypernet's weights on single paths; None: twice the search's epochs."""
    seed: Seed = 0
    """Seed of everything random."""


@dataclass(frozen=True)
class MachineSettings:
    """Where a search is computed; never part of a result's identity."""

    device: str = "auto"
    """"auto" (CUDA where there is one), "cpu", "cuda" ..."""
    threads: Threads = 1
    """CPU threads of torch; one is fastest for networks of this size."""
    show_progress: bool | None = None
    """Whether bars of epochs are printed; when None where errors go to a terminal."""
    features_in: Literal["auto", "memory", "disk"] = "auto"
    """Where features are during a search, its read-out and an evaluation: in "memory", on the "disk" with batches read
    ahead, or "auto": in memory where they fit. The results are the same."""

    @property
    def on_disk(self) -> bool | None:
        """Returns whether features stay in their files; None where what fits decides."""
        return {"memory": False, "disk": True}.get(self.features_in)
