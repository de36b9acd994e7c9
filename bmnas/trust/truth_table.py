"""Truth tables: the scores of all networks of a small space, each trained from scratch, in one file a space.

A table belongs to one feature set, one space, one kind of network and one training budget. It is refused for any other,
so that a search is never measured against networks that saw other numbers. `bmnas.trust.exhaustive_training` makes it.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import DataError, FeatureError
from bmnas.evaluation.score_table import ScoreTable
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import runs_root
from bmnas.registry import TASKS
from bmnas.searching.filling import objective_identity
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype
from bmnas.space.primitives import own_primitives
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import whole
from bmnas.tasks.base import Task
from bmnas.tasks.embedded import how_to_restore
from bmnas.trust.commands import command_of_file, truth_command
from bmnas.trust.short_genotypes import from_lists, to_lists

SCHEMA = 1
PUBLISHED = Path(__file__).with_name("tables")
NETWORK_SETTINGS = ("C", "L", "dropout", "batch_size", "mode", "tokeniser")  # of a search, what a network depends on

Scores = tuple[tuple[float, ...], tuple[float, ...]]  # on val and on test, one a seed


@dataclass(frozen=True)
class Standing:
    """Where a network stands among all networks of its space.

    Attributes:
        rank: 1 is the best mean test score; equal means share the better rank.
        networks: how many there are.
        score, best: mean test score of the network, and of the best one.
        exhaustive: whether the table holds the whole space, or a random sample of it.
    """

    rank: int
    networks: int
    score: float
    best: float
    exhaustive: bool

    def sentence(self) -> str:
        """Returns one line for people."""
        kind = f"{'all' if self.exhaustive else 'a random sample,'} trained beforehand on the training split alone"
        gap = 100 * (self.best - self.score)
        place = "the best" if self.rank == 1 else f"{gap:.1f} points below the best"
        return f"Of the {self.networks:,} networks of this space, {kind}, yours ranks {ordinal(self.rank)}: {place}."


@dataclass(frozen=True)
class Truth:
    """The scores of the networks of one space.

    Attributes:
        about: what the scores belong to, see `belonging`.
        sample: number and seed of a random sample; None where all networks of the space are meant.
        seeds: how many times each network is trained.
        networks: genotype -> scores; of equal networks the first of the enumeration.
    """

    about: dict[str, Any]
    sample: dict[str, int] | None
    seeds: int
    networks: dict[Genotype, Scores]

    @cached_property
    def by_network(self) -> dict[tuple, Scores]:
        """Network key -> scores; of equal networks those of the first."""
        return {network_key(genotype): scores for genotype, scores in reversed(self.networks.items())}

    def space(self) -> Space:
        """Returns the space that the networks are of."""
        stored: dict[str, Any] = self.about["space"]
        settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()}
        return Space(**settings)

    def genotypes(self) -> list[Genotype]:
        """Returns one genotype for each different network that the table should hold, in a fixed order."""
        distinct: dict[tuple, Genotype] = {}
        for genotype in self._candidates():
            distinct.setdefault(network_key(genotype), genotype)
            if self.sample is not None and len(distinct) == self.sample["networks"]:
                break
        return list(distinct.values())

    def _candidates(self) -> Iterator[Genotype]:
        space = self.space()
        if self.sample is None:
            yield from space.genotypes()
            return
        generator = random.Random(self.sample["seed"])
        for _ in range(100 * self.sample["networks"]):  # repeats are drawn too
            yield space.random(generator)

    def standing(self, genotype: Genotype) -> Standing:
        """Ranks a genotype by its mean test score.

        Raises:
            DataError: the table does not hold its network.
        """
        key = network_key(genotype)
        if key not in self.by_network:
            raise DataError(f"the truth table has no network of the genotype\n{genotype.describe()}")
        means = {network: float(np.mean(test)) for network, (_, test) in self.by_network.items()}
        score = means[key]
        rank = 1 + sum(round(other - score, 9) > 0 for other in means.values())
        return Standing(rank, len(means), score, max(means.values()), self.sample is None)

    def frame(self) -> ScoreTable:
        """Returns a row a network, the best mean test score first.

        Columns: genotype (an object), network (text), val and test (means over seeds), val_std and test_std (over
        seeds), val_0, test_0, val_1 ... (one a seed). `attrs` has `about` and `sample`, None of a whole space.
        """
        rows = []
        for genotype, (val, test) in self.networks.items():
            row: dict[str, Any] = {"genotype": genotype, "network": genotype.describe().replace("\n", "; ")}
            for split, scores in (("val", val), ("test", test)):
                row |= {split: np.mean(scores), f"{split}_std": np.std(scores, ddof=1) if len(scores) > 1 else 0.0}
            for seed, (on_val, on_test) in enumerate(zip(val, test, strict=True)):
                row |= {f"val_{seed}": on_val, f"test_{seed}": on_test}
            rows.append(row)
        frame = ScoreTable(sorted(rows, key=lambda row: -row["test"]))
        frame.attrs |= {"about": self.about, "sample": self.sample}
        return frame

    def save(self, path: Path) -> None:
        """Writes the table, whole or not at all; a network a line.

        Raises:
            DataError: the file cannot be written.
        """
        head = {"schema": SCHEMA, "about": self.about, "sample": self.sample, "seeds": self.seeds}
        lines = [json.dumps([to_lists(genotype), *map(list, scores)]) for genotype, scores in self.networks.items()]
        text = json.dumps(head)[:-1] + ', "networks": [\n' + ",\n".join(lines) + "\n]}\n"
        with whole(path, DataError) as partial:
            partial.write_text(text, encoding="utf-8")

    @classmethod
    def open(cls, path: Path) -> "Truth":
        """Reads a table.

        Raises:
            DataError: it is damaged, or no truth table.
        """
        try:
            data = read_json(path)
            if data["schema"] != SCHEMA:
                raise ValueError(f"schema {data['schema']!r}; this version of bmnas reads schema {SCHEMA}")
            seeds = data["seeds"]
            r = data["about"]["space"]["r"]
            networks = {from_lists(cells, r): (tuple(val), tuple(test)) for cells, val, test in data["networks"]}
            if any(len(scores) != seeds for pair in networks.values() for scores in pair):
                raise ValueError(f"a network without {seeds} scores a split")
            return cls(data["about"], data["sample"], seeds, networks)
        except (OSError, ValueError, KeyError, TypeError) as error:
            again = f"move it away and make it again with `{command_of_file(path)}`"
            repair = how_to_restore(path) if path.parent == PUBLISHED else again
            raise DataError(f"{path} is no truth table: {error}; {repair}") from error


def truth(
    dataset: str,
    features: FeatureSet | None = None,
    config: SearchConfig | None = None,
    budget: EvalConfig | None = None,
) -> ScoreTable:
    """Gives the scores of all networks of a small space as a table, see `Truth.frame`.

    Args:
        dataset: a name in TASKS.
        features: what the scores must belong to; when None, what the data set's own options give.
        config: N, M, primitives and everything else that makes the space and its networks; the preset when None.
        budget: of the trainings; the preset when None.

    Raises:
        UnknownNameError: unknown data set.
        FeatureError: there is no table of these features, space and budget; gives the command that makes it. Features
            of one's own have none.
    """
    return find_truth(dataset, features, config, budget).frame()


def standing(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig | None = None
) -> Standing | None:
    """Ranks a genotype among all networks of its space; None where no truth table belongs to these settings."""
    try:
        table = find_truth(features.task, features, config, budget)
    except FeatureError:
        return None
    return table.standing(genotype) if network_key(genotype) in table.by_network else None


def find_truth(
    dataset: str,
    features: FeatureSet | None = None,
    config: SearchConfig | None = None,
    budget: EvalConfig | None = None,
) -> Truth:
    """Finds the table that `truth` gives; tables made on this machine come before those of the package.

    Raises:
        UnknownNameError, FeatureError: see `truth`.
    """
    if features is not None and features.task not in TASKS:
        raise FeatureError(
            f"no truth table belongs to features of one's own ({features.task!r}): the tables are of the data sets in "
            "bmnas.TASKS. bmnas.diagnose says what fusion can add here, and 04 sets the answer beside its rivals"
        )
    task: Task = TASKS[dataset]
    identity = belonging(task, features, config or task.search_config, budget or task.eval_config)
    space, differences = identity["space"], []
    for folder in (own_tables(), PUBLISHED):
        for path in sorted(folder.glob(f"{dataset}-N{space['N']}M{space['M']}-*.json")):
            table = Truth.open(path)
            unlike = list(_differences(table.about, identity))
            if "objective" in table.about and "objective" not in identity:
                unlike.append(f"objective is {table.about['objective']} there, the default here")
            if not unlike and len(table.networks) < len(table.genotypes()):
                unlike = [f"only {len(table.networks)} of {len(table.genotypes())} networks are trained"]
            if not unlike:
                return table
            differences.append(f"{path.name}: {'; '.join(unlike)}")
    have = f" Tables that do not fit: {' | '.join(differences)}." if differences else ""
    raise FeatureError(
        f"no truth table of {dataset!r} with N = {space['N']}, M = {space['M']} belongs to these features and settings."
        f"{have} Make it with `{truth_command(task, identity)}`; stopped and started again, it resumes"
    )


def own_tables() -> Path:
    """Returns the folder of the tables that were made on this machine."""
    return runs_root() / "_truth"


def belonging(task: Task, features: FeatureSet | None, config: SearchConfig, budget: EvalConfig) -> dict[str, Any]:
    """Describes what scores belong to, in JSON values.

    Without features, "features" is left out: the recipe and the options of the task then stand for them.
    """
    names = task.features if features is None else features.names
    options = task.options if features is None else features.manifest["options"]
    about: dict[str, Any] = {
        "dataset": task.name,
        "recipe": task.recipe,
        "options": dict(options),
        "space": asdict(Space.of(names, config)),
        "network": {name: getattr(config, name) for name in NETWORK_SETTINGS},
        "budget": {name: value for name, value in budget.to_dict().items() if name not in ("seeds", "select")},
    }
    hashes = {"features": features and feature_hash(features), "code": own_primitives(about["space"]["primitives"])}
    hashes["objective"] = objective_identity(config)
    return json.loads(json.dumps(about | {name: value for name, value in hashes.items() if value}))


def feature_hash(features: FeatureSet) -> str:
    """Hashes what a fusion network is trained and scored on: features, targets and splits, but no unimodal outputs."""
    digest = hashlib.sha256()
    parts = {**features.arrays, "targets": features.targets, **features.splits}
    for name, array in parts.items():
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def ordinal(number: int) -> str:
    """Writes 1st, 2nd, 3rd, 4th, 11th, 21st ..."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def _differences(theirs: Mapping[str, Any], identity: Mapping[str, Any]) -> Iterator[str]:
    """Says in which settings a table differs from this identity."""
    for name, value in identity.items():
        other = theirs.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _differences(other, value)
        elif other != value:
            short = (repr(value)[:40], repr(other)[:40])
            yield f"{name} is {short[1]} there, {short[0]} here"
