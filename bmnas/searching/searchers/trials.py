"""What all black-box searchers share: proposals, short trainings within a budget, and events.

A searcher is a Python generator. It yields a genotype, and receives the validation score of its network:

    def propose_at_random(space, generator):
        while True:
            score = yield space.random(generator)

It knows nothing of trainings, budgets or files. A `Proposal` in the place of a genotype names a part of the training
split that its network is trained on. Networks that are equal (`network_key`) are trained once; a proposal of
a network that was trained before is answered from memory and costs nothing.

A searcher that ends by itself may return further proposals, for a budget that it has not spent:

    return propose_at_random(space, generator)
"""

import inspect
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

from bmnas.errors import ConfigError, RunError
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype


@dataclass(frozen=True)
class Proposal:
    """A genotype, and what its network is trained on.

    Attributes:
        genotype: what is proposed.
        part: of the training split, see `bmnas.searching.searchers.training_parts`; None for all of it.
    """

    genotype: Genotype
    part: int | None = None


Further = Generator[Genotype | Proposal, float, None]
Proposals = Generator[Genotype | Proposal, float, Further | None]
Searcher = Callable[[Space, random.Random], Proposals]
Trainer = Callable[[Genotype, int, int | None], float]  # genotype, seed, part -> score on validation
Unit = Literal["trainings", "epochs", "seconds"]

PATIENCE = 2_000  # proposals in a row of networks that are trained already, after which a search ends


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Args:
        amount: how much; None: no limit, the searcher ends by itself.
        unit: "trainings" (short trainings), "epochs" (of these trainings) or "seconds" (spent in them).
        epochs_each: epochs of a short training.

    Raises:
        ConfigError: the amount is not positive, or the unit is unknown.
    """

    amount: float | None
    unit: Unit = "trainings"
    epochs_each: int = 1

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"the budget's unit is {self.unit!r}; expected one of {', '.join(get_args(Unit))}")
        if self.amount is not None and not self.amount > 0:
            raise ConfigError(f"the budget is {self.amount!r} {self.unit}; expected a number above 0")

    def spent(self, trainings: int, seconds: float) -> float:
        """Returns the cost of so many trainings in the budget's unit."""
        return {"trainings": trainings, "epochs": trainings * self.epochs_each, "seconds": seconds}[self.unit]

    def allows_another(self, trainings: int, seconds: float) -> bool:
        """Says whether one more training may start.

        In trainings and epochs the budget is never exceeded. In seconds the last training may end after it.
        """
        if self.amount is None:
            return True
        if self.unit == "seconds":
            return seconds < self.amount
        return self.spent(trainings + 1, seconds) <= self.amount


@dataclass(frozen=True)
class Trial:
    """One short training of a search.

    Attributes:
        trial: counted from 1; so the cost so far in short trainings.
        genotype: what was proposed.
        score: of its network on validation.
        best_trial, best_score: the best so far; of equal scores the earlier.
        seconds: wall time of the training; kept apart, as it may differ between equal searches.
        part: of the training split that it was trained on; None for all of it.
    """

    trial: int
    genotype: Genotype
    score: float
    best_trial: int
    best_score: float
    seconds: float = 0.0
    part: int | None = None

    @property
    def is_best(self) -> bool:
        """Returns whether it is the best so far."""
        return self.best_trial == self.trial

    def record(self) -> dict[str, Any]:
        """Returns what is the same in every equal search, for JSON."""
        data = {name: value for name, value in asdict(self).items() if name != "seconds"}
        if self.part is None:
            del data["part"]
        return {**data, "genotype": self.genotype.to_dict()}

    @classmethod
    def from_record(cls, data: dict[str, Any], seconds: float = 0.0) -> "Trial":
        """Inverts `record`.

        Raises:
            TypeError, ValueError, KeyError, GenotypeError: a field is missing, unknown or wrong.
        """
        plain: dict[str, Any] = {**data, "genotype": Genotype.from_dict(data["genotype"]), "seconds": seconds}
        trial = cls(**plain)
        if type(trial.score) not in (int, float) or not 1 <= trial.best_trial <= trial.trial:
            raise ValueError(f"score {trial.score!r}, trial {trial.trial!r}, best {trial.best_trial!r}")
        return trial


def lacks(searcher: Searcher) -> str:
    """Says which package a searcher needs and does not find; "" where it can be used."""
    package = getattr(searcher, "package", None)
    return f"needs pip install 'bmnas[{package}]'" if package and find_spec(package) is None else ""


def run_searcher(
    searcher: Searcher,
    space: Space,
    trainer: Trainer,
    budget: Budget,
    seed: int,
    recorded: Sequence[Trial] = (),
) -> Iterator[Trial]:
    """Runs a searcher until the budget is spent; yields a trial a short training.

    Args:
        searcher: proposes; may end by itself, and then return what to propose while a budget is left.
        space: of the genotypes.
        trainer: scores a genotype's network on validation, trained on a part of the training split or on all of it.
        budget: see `Budget`; a search also ends after PATIENCE known networks in a row, when the space is used up.
        seed: of the searcher's choices, and of the trainings.
        recorded: trials of the same search that was interrupted. They are yielded again, and nothing is trained
            for them.

    Raises:
        ConfigError: the searcher is no generator function, or proposes something else than genotypes of the space.
        RunError: the searcher proposes another genotype than the recorded one.
    """
    scores: dict[tuple, float] = {}
    best: Trial | None = None
    seconds, repeats = 0.0, 0
    proposals = _started(searcher, space, seed)
    score: float | None = None  # the first `send` of a generator takes None
    while repeats < PATIENCE:
        try:
            proposed = next(proposals) if score is None else proposals.send(score)
        except StopIteration as end:
            if end.value is None or budget.amount is None:
                return
            if not isinstance(end.value, Generator):
                raise ConfigError(
                    f"the searcher ends by returning {end.value!r}; expected nothing, or a generator of what to "
                    "propose while a budget is left"
                ) from None
            proposals, score = end.value, None
            continue
        proposal = proposed if isinstance(proposed, Proposal) else Proposal(proposed)
        _check_proposed(proposal.genotype, space)
        key = network_key(proposal.genotype)
        if key in scores:
            score, repeats = scores[key], repeats + 1
            continue
        if not budget.allows_another(len(scores), seconds):
            return
        trial = _trial(proposal, trainer, seed, len(scores) + 1, best, recorded)
        repeats, seconds = 0, seconds + trial.seconds
        score = scores[key] = trial.score
        best = trial if trial.is_best else best
        yield trial


def _started(searcher: Searcher, space: Space, seed: int) -> Proposals:
    try:
        inspect.signature(searcher).bind(space, None)
    except (TypeError, ValueError) as error:  # ValueError: a builtin that does not say what it takes
        raise ConfigError(f"the searcher cannot be called as searcher(space, generator): {error}") from error
    proposals = searcher(space, random.Random(int(seed)))
    if not isinstance(proposals, Generator):
        kind = type(proposals).__name__
        raise ConfigError(
            f"the searcher returns {kind}; expected a generator, so a function with `score = yield genotype`"
        )
    return proposals


def _check_proposed(genotype: object, space: Space) -> None:
    """Checks that a proposal is a genotype of the space; it may have fewer Cells, as networks that grow do."""
    if not isinstance(genotype, Genotype):
        raise ConfigError(f"the searcher proposes {genotype!r}; expected a Genotype of the space")
    foreign = [name for name in genotype.features if name not in space.features]
    foreign += [name for name in genotype.primitives if name not in space.primitives]
    fits = {
        f"N = {genotype.N}": genotype.N <= space.N,
        f"M = {genotype.M}": genotype.M == space.M,
        f"r = {genotype.r}": genotype.r == space.r,
    }
    foreign += [size for size, is_right in fits.items() if not is_right]
    if foreign:
        raise ConfigError(
            f"the searcher proposes\n{genotype.describe()}\nwith {', '.join(foreign)}, which is not in the "
            f"space: N = {space.N}, M = {space.M}, r = {space.r}, features {', '.join(space.features)}, primitives "
            f"{', '.join(space.primitives)}"
        )


def _trial(
    proposal: Proposal, trainer: Trainer, seed: int, number: int, best: Trial | None, recorded: Sequence[Trial]
) -> Trial:
    """Returns the recorded trial of this number, or trains the network."""
    if number <= len(recorded):
        before = recorded[number - 1]
        if Proposal(before.genotype, before.part) != proposal:
            raise RunError(
                f"trial {number} was recorded as\n{before.genotype.describe()}\nbut the searcher now proposes\n"
                f"{proposal.genotype.describe()}\nIts record is of another version of the searcher; choose another "
                "run_name"
            )
        return before
    started = time.perf_counter()
    score = trainer(proposal.genotype, seed, proposal.part)
    seconds = time.perf_counter() - started
    leader, top = (number, score) if best is None or score > best.score else (best.trial, best.score)
    return Trial(number, proposal.genotype, score, leader, top, seconds, proposal.part)
