"""The record of a read-out: both answers of a search, and the shortlist's candidates."""

import math
from dataclasses import dataclass, replace
from typing import Any, get_args

from bmnas.config.groups import ReadOut
from bmnas.errors import RunError, how_many
from bmnas.registry import PRIMITIVES
from bmnas.searching.run_folder import Run
from bmnas.searching.shortlisting.projection import Projection
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype

SELECTION = "selection.json"
RULES = (*get_args(ReadOut), "searcher")


@dataclass(frozen=True)
class Candidate:
    """A genotype of the shortlist.

    Args:
        genotype: the genotype.
        rank: 1 is the best inherited score of all ranked.
        inherited_score: validation score with the hypernet's weights.
        trained_score: validation score after the longest brief trainings from scratch, their mean.
        trained_loss: calibrated validation loss then; None where only the score is known.
        epochs: of each of these; 0 in records of older versions, which trained all alike.
        trainings: how many these are.
        modalities: those that its answer depends on; empty in records of older versions.
    """

    genotype: Genotype
    rank: int
    inherited_score: float
    trained_score: float
    trained_loss: float | None = None
    epochs: int = 0
    trainings: int = 1
    modalities: tuple[str, ...] = ()

    @property
    def duration(self) -> str:
        """Says how long it was trained, as in "20 epochs, mean of 3"; "" where that is not known."""
        mean = f", mean of {self.trainings}" if self.trainings > 1 else ""
        return f"{how_many(self.epochs, 'epoch')}{mean}" if self.epochs else ""

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return {
            "rank": self.rank,
            "inherited_score": self.inherited_score,
            "trained_score": self.trained_score,
            "trained_loss": self.trained_loss,
            "epochs": self.epochs,
            "trainings": self.trainings,
            "modalities": list(self.modalities),
            "genotype": self.genotype.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Candidate":
        """Inverts `to_dict`.

        Raises:
            TypeError, KeyError, ValueError: a field is missing or wrong.
        """
        return cls(
            genotype=Genotype.from_dict(data["genotype"]),
            rank=data["rank"],
            inherited_score=data["inherited_score"],
            trained_score=data["trained_score"],
            trained_loss=data.get("trained_loss"),
            epochs=data.get("epochs", 0),
            trainings=data.get("trainings", 1),
            modalities=tuple(data.get("modalities", ())),
        )


@dataclass(frozen=True)
class Selection:
    """Both answers of a search.

    Args:
        rule: how the answer was read, "algorithm1", "shortlist", "best_ranked", "darts_pt", or "searcher" where another
            than Algorithm 1 was at work.
        algorithm1: the genotype of the best validation epoch; with the rule "searcher" that searcher's answer, which
            the file has as "answer".
        candidates: the shortlist, best rank first; empty where the rule trains none.
        ranked: how many genotypes were ranked.
        exhaustive: whether these are all there are.
        rows: of the validation split, which scored the candidates; 0 in records of older versions.
        modalities: those that the chosen network's answer depends on; empty in records of older versions.
        projection: DARTS-PT's answer and its decisions; None when the rule is another.
        by_loss: whether the loss decided between candidates and not the score, as in records of older versions.
        independent: how many independent rows of an accuracy tell as much: fewer where rows were recorded together, or
            where the score is decided by those of rare classes or labels; 0 for all.
    """

    rule: str
    algorithm1: Genotype
    candidates: tuple[Candidate, ...] = ()
    ranked: int = 0
    exhaustive: bool = False
    rows: int = 0
    modalities: tuple[str, ...] = ()
    projection: Projection | None = None
    by_loss: bool = False
    independent: int = 0

    @property
    def shortlist(self) -> Genotype | None:
        """Returns the shortlist's answer, the best `merit`."""
        return max(self.candidates, key=self.merit).genotype if self.candidates else None

    def merit(self, candidate: Candidate) -> tuple[float, ...]:
        """Returns what decides: longer, then more trainings, a better score, less loss, and the rank."""
        gain = 0.0 if candidate.trained_loss is None else -candidate.trained_loss
        result = (gain,) if self.by_loss else (candidate.trained_score, gain)
        return (candidate.epochs, candidate.trainings, *result, -candidate.rank)

    @property
    def chosen(self) -> Genotype:
        """Returns the answer that counts."""
        if self.projection is not None:
            return self.projection.genotype
        return self.algorithm1 if self.shortlist is None else self.shortlist

    @property
    def differs(self) -> bool:
        """Returns whether the two answers are different networks."""
        return network_key(self.chosen) != network_key(self.algorithm1)

    def of_modalities(self, names: tuple[str, ...]) -> "Selection":
        """Returns the same selection with the modalities of its chosen network."""
        return replace(self, modalities=names)

    def comparison(self) -> str:
        """Says whether the two answers differ, what their trainings scored, and whether one modality is all."""
        return f"{self._compared()}{self._fusion()}"

    def _compared(self) -> str:
        if self.rule == "searcher":
            return "The best of the networks that the searcher scored; Algorithm 1 was not run."
        if self.rule == "algorithm1":
            return "Only Algorithm 1's answer was asked for (selection = 'algorithm1')."
        if self.projection is not None:
            return (
                f"DARTS-PT's answer is taken: {'ANOTHER' if self.differs else 'the same'} network "
                f"{'than' if self.differs else 'as'} Algorithm 1's. Neither was trained for it."
            )
        trained = {network_key(candidate.genotype): candidate for candidate in self.candidates}
        theirs, ours = trained[network_key(self.algorithm1)], trained[network_key(self.chosen)]
        if not self.differs:
            return f"Both answers are the same network: trained briefly, it scores {_trained(ours)}."
        if self.merit(ours)[:-1] == self.merit(theirs)[:-1]:
            return (
                f"The two answers DIFFER, and tie: trained briefly, both score {_trained(ours)}. "
                "The shortlist's is taken, as it ranks better with the hypernet's weights."
            )
        return (
            f"The two answers DIFFER. Trained briefly, Algorithm 1's scores {_trained(theirs)}, "
            f"the shortlist's {_trained(ours)}. The shortlist's is taken{self._reason(ours, theirs)}."
        )

    def _reason(self, ours: Candidate, theirs: Candidate) -> str:
        """Says what decided where it is not the score."""
        if self.merit(ours)[:2] != self.merit(theirs)[:2]:
            return ", as Algorithm 1's fell behind in an earlier round"
        return ", as the loss decides" if self.by_loss or ours.trained_score == theirs.trained_score else ""

    def _fusion(self) -> str:
        if len(self.modalities) == 1:
            return (
                f" The network taken uses ONE MODALITY alone, {self.modalities[0]}: whatever else it is given makes no "
                "difference to its answer, so it fuses nothing."
            )
        alone = self.alone
        if not self.rows or not self.modalities:
            return ""
        if alone is None:
            return " No candidate uses one modality alone, so nothing here says that fusing beats one."
        answer = next(one for one in self.candidates if one.genotype == self.shortlist)
        known = f" The best candidate of ONE MODALITY, {alone.modalities[0]}, scores {_trained(alone)}"
        gain = answer.trained_score - alone.trained_score
        if alone.epochs != answer.epochs:
            return f"{known}, and fell behind in an earlier round."
        # the most that its standard error can be: no more rows differ than those on which either is wrong
        noise = ((2 - answer.trained_score - alone.trained_score) / (self.independent or self.rows)) ** 0.5
        if gain > 2 * noise:
            return f"{known}: {100 * gain:.1f} points less.{_caution(alone.genotype)}"
        rows = how_many(self.rows, "validation row")
        if 0 < self.independent < self.rows:
            rows += f", which tell as much as {how_many(self.independent, 'independent row')} of an accuracy,"
        return f"{known}: {rows} do not tell the two apart, so nothing here says that fusing beats one modality alone."

    @property
    def alone(self) -> Candidate | None:
        """Returns the best candidate whose answer depends on one modality."""
        single = [candidate for candidate in self.candidates if len(candidate.modalities) == 1]
        return max(single, key=self.merit, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        projected = {} if self.projection is None else {"projection": self.projection.to_dict()}
        return {
            "rule": self.rule,
            "answer" if self.rule == "searcher" else "algorithm1": self.algorithm1.to_dict(),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "ranked": self.ranked,
            "exhaustive": self.exhaustive,
            "rows": self.rows,
            "modalities": list(self.modalities),
            "by_loss": self.by_loss,
            "independent": self.independent,
            **projected,
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Selection":
        """Inverts `to_dict`.

        Raises:
            RunError: a field is missing or wrong.
        """
        try:
            candidates = tuple(map(Candidate.from_dict, data["candidates"]))
            selection = cls(
                rule=data["rule"],
                algorithm1=Genotype.from_dict(data["answer" if data["rule"] == "searcher" else "algorithm1"]),
                candidates=candidates,
                ranked=data["ranked"],
                exhaustive=data["exhaustive"],
                rows=data.get("rows", 0),
                modalities=tuple(data.get("modalities", ())),
                projection=Projection.from_dict(data["projection"]) if "projection" in data else None,
                by_loss=data.get("by_loss", any(one.trained_loss is not None for one in candidates)),
                independent=data.get("independent", 0),
            )
        except (TypeError, KeyError, ValueError) as error:
            raise RunError(f"not the record of a selection: {error}") from error
        selection._check()
        return selection

    def _check(self) -> None:
        """Checks that a record is consistent."""
        losses = [c.trained_loss for c in self.candidates if c.trained_loss is not None]
        numbers = [*losses, *(v for c in self.candidates for v in (c.inherited_score, c.trained_score))]
        counts = [self.ranked, self.rows, self.independent]
        counts += [v for c in self.candidates for v in (c.rank, c.epochs, c.trainings)]
        if self.rule not in RULES or {type(self.exhaustive), type(self.by_loss)} != {bool}:
            flags = f"exhaustive {self.exhaustive!r}, by_loss {self.by_loss!r}"
            raise RunError(f"not the record of a selection: rule {self.rule!r}, {flags}")
        if any(type(v) not in (int, float) or not math.isfinite(v) for v in numbers) or any(
            type(v) is not int for v in counts
        ):
            raise RunError("not the record of a selection: a rank or a score is not a number")
        keys = {network_key(c.genotype) for c in self.candidates}
        if (self.rule == "darts_pt") != (self.projection is not None):
            raise RunError(f"not the record of a selection: rule {self.rule!r}, projection {self.projection!r}")
        if self.rule in ("shortlist", "best_ranked") and network_key(self.algorithm1) not in keys:
            raise RunError("not the record of a selection: its candidates lack Algorithm 1's genotype")


def _trained(candidate: Candidate) -> str:
    """Writes what the last trainings of a candidate gave: `76.7 % on val (loss 0.512; 13 epochs, mean of 3)`."""
    details = [] if candidate.trained_loss is None else [f"loss {candidate.trained_loss:.3f}"]
    details += [candidate.duration] if candidate.duration else []
    return f"{100 * candidate.trained_score:.1f} % on val" + (f" ({'; '.join(details)})" if details else "")


def _caution(genotype: Genotype) -> str:
    """Says what a comparison with this network leaves open, if it has no operator."""
    steps = [step for cell in genotype.cells for step in cell.steps]
    if not all(getattr(PRIMITIVES[step.primitive], "constant", False) for step in steps):
        return ""
    return (
        " That one has no operator: a part of the difference may be what an operator finds in one modality. Whether "
        "fusion helps is what 06 asks."
    )


def load_selection(run: Run) -> Selection:
    """Reads both answers of a run, as `read_out` wrote them.

    Raises:
        RunError: the search was not read out yet, or the file is damaged.
    """
    if not run.path(SELECTION).exists():
        raise RunError(f"{run.folder} has no {SELECTION} yet; run notebook 02 for it")
    try:
        return Selection.from_dict(run.load_json(SELECTION))
    except RunError as error:
        raise RunError(f"{run.path(SELECTION)}: {error}; delete it to read the search out again") from error
