"""The grid of a comparison: which runs there are, and what each sets in the job.

What is compared are contenders: a mode, and with it the value of each varied key. Each runs under every kind of
stragglers. Keys of the grid are not compared: each contender gets the point of the grid that suits it best, found by
runs with seeds that are not shown afterwards.
"""

import itertools
import re
from dataclasses import dataclass

from rubato_cli.failure import Failure

MODE_KEY, STRAGGLERS_KEY, SEED_KEY = "consistency.mode", "worker.stragglers", "train.seed"
TUNING_SEEDS_FROM = 1000  # beyond the first seed shown

Values = tuple[tuple[str, str], ...]  # (("optimizer.rate", "0.03"), ...)


@dataclass(frozen=True)
class Contender:
    mode: str
    variation: Values = ()

    @property
    def name(self) -> str:
        """`asp`, or with varied keys `asp, age_scaling=inverse`. Of a key that is a name, the value says it all."""
        return ", ".join([self.mode, *map(_short, self.variation)])

    @property
    def kind(self) -> str:
        """`ssp` of `ssp:4`."""
        return self.mode.partition(":")[0]


@dataclass(frozen=True)
class Cell:
    """One run. `point` is its place in the grid of other keys."""

    contender: Contender
    stragglers: str
    seed: int
    point: Values = ()
    is_tuning: bool = False

    @property
    def group(self) -> tuple:
        """What runs that differ in their seed alone have in common."""
        return self.contender, self.stragglers, self.point

    @property
    def settings(self) -> dict[str, str]:
        """In the order in which they are set. Without stragglers the key is left as the job has it."""
        found = {MODE_KEY: self.contender.mode, **dict(self.contender.variation), **dict(self.point)}
        if self.stragglers != "none":
            found[STRAGGLERS_KEY] = self.stragglers
        return {**found, SEED_KEY: str(self.seed)}

    @property
    def choices(self) -> list[str]:
        """What of the command line made it this run: `--modes ssp:4`, `--grid optimizer.rate=0.03`."""
        return [f"--modes {self.contender.mode}", f"--stragglers {self.stragglers}",
                *(f"--vary {key}={value}" for key, value in self.contender.variation),
                *(f"--grid {key}={value}" for key, value in self.point)]

    @property
    def words(self) -> str:
        """`ssp:4, persistent:4x, optimizer.rate=0.03, seed 2`"""
        parts = [self.contender.name] + ([self.stragglers] if self.stragglers != "none" else [])
        return ", ".join(parts + [f"{key}={value}" for key, value in self.point] + [f"seed {self.seed}"])

    @property
    def file_name(self) -> str:
        values = [value for _, value in (*self.contender.variation, *self.point)]
        parts = [self.contender.mode, self.stragglers, *values, f"seed{self.seed}"]
        return "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in parts)


@dataclass(frozen=True)
class Grid:
    modes: tuple[str, ...]
    stragglers: tuple[str, ...]
    seeds: int
    first_seed: int = 1
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()
    varied: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tuning_seeds: int = 1

    def contenders(self) -> list[Contender]:
        """In the order of the modes, each with all its variations."""
        return [Contender(mode, variation) for mode, variation in itertools.product(self.modes, _combined(self.varied))]

    def combinations(self) -> list[Cell]:
        """One run of each: whatever a job may refuse is in them, for it minds no seed."""
        return [Cell(contender, stragglers, self.first_seed, point) for stragglers, point, contender
                in itertools.product(self.stragglers, _combined(self.keys), self.contenders())]

    def tuning_cells(self) -> list[Cell]:
        """Every point of the grid for every contender. Nothing where there is no grid."""
        if not self.keys:
            return []
        start = self.first_seed + TUNING_SEEDS_FROM
        return [Cell(contender, stragglers, seed, point, True) for seed, stragglers, point, contender
                in itertools.product(range(start, start + self.tuning_seeds), self.stragglers, _combined(self.keys),
                                     self.contenders())]

    def cells(self, point_of=lambda contender, stragglers: ()) -> list[Cell]:
        """The runs that are shown, each contender at its point of the grid. Seeds vary slowest: when the grid is
        stopped half way, what there is can be compared."""
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return [Cell(contender, stragglers, seed, point_of(contender, stragglers)) for seed, stragglers, contender
                in itertools.product(seeds, self.stragglers, self.contenders())]


def _combined(keys: tuple[tuple[str, tuple[str, ...]], ...]) -> list[Values]:
    names = [key for key, _ in keys]
    return [tuple(zip(names, values)) for values in itertools.product(*(values for _, values in keys))]


def _short(setting: tuple[str, str]) -> str:
    key, value = setting
    name = key.rpartition(".")[2]
    return value if name == "name" else f"{name}={value}"


def split_list(text: str, what: str) -> tuple[str, ...]:
    values = tuple(value.strip() for value in text.split(","))
    if not all(values):
        raise Failure(f"{what}: there is an empty value in {text!r}")
    if len(set(values)) < len(values):
        raise Failure(f"{what}: a value comes twice in {text!r}")
    return values


def parse_keys(option: str, entries: list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """optimizer.rate=0.01,0.03, as often as the option comes."""
    found = tuple(_parse_key(option, entry) for entry in entries)
    if len({key for key, _ in found}) < len(found):
        raise Failure(f"{option}: a key comes twice")
    return found


def _parse_key(option: str, text: str) -> tuple[str, tuple[str, ...]]:
    key, equals, values = text.partition("=")
    if not key or not equals:
        raise Failure(f"{option} wants KEY=VALUE,VALUE,... and was given {text!r}")
    if key in (MODE_KEY, STRAGGLERS_KEY, SEED_KEY):
        raise Failure(f"{option} {key}: the grid has that already (--modes, --stragglers, --seeds)")
    return key, split_list(values, f"{option} {key}")
