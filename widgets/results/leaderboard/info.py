"""What the leaderboard shows of each method, in per cent."""

from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Any, NamedTuple

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation, compare_results


class Standing(NamedTuple):
    """One method. `verdict` is that of the compared method against it: "worse" where this one is better."""

    rank: int
    name: str
    score: float
    low: float
    high: float
    parameters: int
    flops: int | None
    search_epochs: float
    verdict: str
    compared: bool
    about: tuple[str, ...]
    genotype: dict[str, Any] | None

    @property
    def text(self) -> str:
        """`98.49 (97.86 to 99.12)`."""
        return f"{self.score:.2f}" + (f" ({self.low:.2f} to {self.high:.2f})" if isfinite(self.low) else " (1 seed)")


class Cost(NamedTuple):
    """What a method costs: the words for it, and how it is counted; methods that cost nothing have no dot."""

    title: str
    axis: str
    order: str
    count: Callable[[Standing], float]


COSTS = (
    Cost("Score against size", "parameters (logarithmic)", "smallest first", lambda one: one.parameters),
    Cost(
        "Score against cost of the search",
        "1 + epochs of the search (logarithmic)",
        "cheapest search first",
        lambda one: one.search_epochs + 1,
    ),
)
"""A chart each, from left to right, and an order of the bars. Another chart is another line here."""
ORDERS: dict[str, Callable[[Standing], Any]] = {
    "best first": lambda one: -one.score,
    **{cost.order: cost.count for cost in COSTS},
    "by name": lambda one: one.name.lower(),
}
"""Words -> what the bars are sorted by, smallest first."""
BEST_FIRST = next(iter(ORDERS))


class LeaderboardInfo(NamedTuple):
    """All methods of a table, best first."""

    standings: tuple[Standing, ...]
    metric: str

    def sorted(self, order: str = BEST_FIRST) -> list[Standing]:
        """Returns the methods in one of ORDERS; equal ones by score."""
        return sorted(sorted(self.standings, key=ORDERS[BEST_FIRST]), key=ORDERS[order])

    def get(self, name: str) -> Standing:
        """Returns a method by name."""
        return next(one for one in self.standings if one.name == name)


def leaderboard_info(results: Sequence[Evaluation], name: str = SEARCHED) -> LeaderboardInfo:
    """Collects what is shown of the results; `name` is compared with every other method.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("expected at least one result; got none")
    named = any(result.name == name for result in results)
    verdicts = {one.rival: one.verdict for one in compare_results(results, name)} if named else {}
    standings = [_standing(result, verdicts.get(result.name, ""), result.name == name) for result in results]
    info = LeaderboardInfo(tuple(standings), results[0].metric)
    ranked = [one._replace(rank=rank) for rank, one in enumerate(info.sorted(), start=1)]
    return info._replace(standings=tuple(ranked))


def _standing(result: Evaluation, verdict: str, compared: bool) -> Standing:
    origin, (low, high) = result.origin or Origin(), result.interval
    facts = {
        "source": origin.source,
        "network": "" if origin.genotype else origin.network,
        "cannot do on stored features": origin.limits,
        "run": origin.run,
        "command": origin.command,
    }
    sizes = f"{result.parameters:,} parameters"
    if result.flops is not None:
        sizes += f", {result.flops:,} FLOPs a sample"
    about = [f"{sizes}, {origin.search_epochs:,.0f} epochs of search", *(f"{k}: {v}" for k, v in facts.items() if v)]
    return Standing(
        rank=0,
        name=result.name,
        score=100 * result.mean,
        low=100 * low if isfinite(low) else -inf,
        high=100 * high if isfinite(high) else inf,
        parameters=result.parameters,
        flops=result.flops,
        search_epochs=origin.search_epochs,
        verdict=verdict,
        compared=compared,
        about=tuple(about),
        genotype=origin.genotype,
    )
