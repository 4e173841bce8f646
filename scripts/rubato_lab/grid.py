"""The grid of a comparison: which runs there are, and what each sets in the job."""

import itertools
import re
from dataclasses import dataclass

from rubato_cli.failure import Failure

MODE_KEY, STRAGGLERS_KEY, SEED_KEY = "consistency.mode", "worker.stragglers", "train.seed"


@dataclass(frozen=True)
class Cell:
    """One run. `point` is its place in the grid of other keys: (("optimizer.rate", "0.03"), ...)."""

    mode: str
    stragglers: str
    seed: int
    point: tuple[tuple[str, str], ...] = ()

    @property
    def group(self) -> tuple:
        """What runs that differ in their seed alone have in common."""
        return self.mode, self.stragglers, self.point

    @property
    def settings(self) -> dict[str, str]:
        """In the order in which they are set. Without stragglers the key is left as the job has it."""
        found = {MODE_KEY: self.mode, **dict(self.point)}
        if self.stragglers != "none":
            found[STRAGGLERS_KEY] = self.stragglers
        return {**found, SEED_KEY: str(self.seed)}

    @property
    def words(self) -> str:
        """`ssp:4, persistent:4x, optimizer.rate=0.03, seed 2`"""
        parts = [self.mode] + ([self.stragglers] if self.stragglers != "none" else [])
        return ", ".join(parts + [f"{key}={value}" for key, value in self.point] + [f"seed {self.seed}"])

    @property
    def file_name(self) -> str:
        parts = [self.mode, self.stragglers, *(value for _, value in self.point), f"seed{self.seed}"]
        return "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", part) for part in parts)


@dataclass(frozen=True)
class Grid:
    modes: tuple[str, ...]
    stragglers: tuple[str, ...]
    seeds: int
    first_seed: int = 1
    keys: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def cells(self) -> list[Cell]:
        """Seeds vary slowest: when the grid is stopped half way, what there is can be compared."""
        points = [tuple(zip([key for key, _ in self.keys], values))
                  for values in itertools.product(*(values for _, values in self.keys))]
        seeds = range(self.first_seed, self.first_seed + self.seeds)
        return [Cell(mode, stragglers, seed, point) for seed, stragglers, point, mode
                in itertools.product(seeds, self.stragglers, points, self.modes)]


def split_list(text: str, what: str) -> tuple[str, ...]:
    values = tuple(value.strip() for value in text.split(","))
    if not all(values):
        raise Failure(f"{what}: there is an empty value in {text!r}")
    if len(set(values)) < len(values):
        raise Failure(f"{what}: a value comes twice in {text!r}")
    return values


def parse_grid_key(text: str) -> tuple[str, tuple[str, ...]]:
    """optimizer.rate=0.01,0.03"""
    key, equals, values = text.partition("=")
    if not key or not equals:
        raise Failure(f"--grid wants KEY=VALUE,VALUE,... and was given {text!r}")
    if key in (MODE_KEY, STRAGGLERS_KEY, SEED_KEY):
        raise Failure(f"--grid {key}: the grid has that already (--modes, --stragglers, --seeds)")
    return key, split_list(values, f"--grid {key}")
