"""Runs put side by side: groups of seeds, the best point of the grid for each mode, and what the table tells."""

from dataclasses import dataclass, field

from . import ages
from .campaign import Outcome
from .run_figures import Point, RunFigures
from .statistics import mean, spread
from .target import Target, default_target


@dataclass
class Group:
    """The runs of a mode, under one kind of stragglers, at one point of the grid: its seeds."""

    mode: str
    stragglers: str
    point: tuple[tuple[str, str], ...]
    outcomes: list[Outcome] = field(default_factory=list)
    runs: list[RunFigures] = field(default_factory=list)  # those that did not fail
    is_best: bool = True  # of the grid, for this mode and these stragglers

    @property
    def name(self) -> str:
        """`asp`, or where there is a grid `asp (0.05)`."""
        return self.mode + (f" ({', '.join(value for _, value in self.point)})" if self.point else "")

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure]

    @property
    def diverged(self) -> int:
        return sum(run.diverged for run in self.runs)

    def finals(self, is_accuracy: bool) -> list[float | None]:
        """Of each run, the last figure; None where it has none, or where its loss is no number any more."""
        curves = [run.accuracy if is_accuracy else run.test_loss for run in self.runs]
        return [curve[-1].value if curve and not run.diverged else None for run, curve in zip(self.runs, curves)]

    def reached(self, target: Target | None) -> list[Point | None]:
        """A run that diverged in the end got nowhere."""
        return [target.reached(run) if target and not run.diverged else None for run in self.runs]

    @property
    def ages(self) -> dict[int, int]:
        return ages.merged([run.ages for run in self.runs])

    @property
    def wait_share(self) -> float | None:
        return mean(run.final.get("wait_share") for run in self.runs)

    @property
    def samples_per_s(self) -> float | None:
        return mean(run.final.get("samples_per_s") for run in self.runs)

    @property
    def updates_per_s(self) -> float | None:
        return mean(run.final["updates"] / run.final["train_s"] for run in self.runs if run.final.get("train_s"))

    def wait_matrix(self) -> dict[tuple[str, str], float]:
        """Seconds, the mean over the seeds."""
        total: dict[tuple[str, str], float] = {}
        for run in self.runs:
            for pair, seconds in run.wait_matrix.items():
                total[pair] = total.get(pair, 0.0) + seconds / len(self.runs)
        return total

    @property
    def train_s(self) -> float | None:
        return mean(run.final.get("train_s") for run in self.runs)


class Comparison:
    def __init__(self, outcomes: list[Outcome], target: float | None, is_real: bool, comparable: bool,
                 remarks: list[str] | None = None):
        self.groups = _grouped(outcomes)
        self.outcomes = outcomes
        self.is_real = is_real
        self.remarks = remarks or []  # what was changed in the job, to be told
        self.comparable = comparable  # in time: every process has a core
        self.is_accuracy = any(run.accuracy for group in self.groups for run in group.runs)
        self._choose_best()
        self.target = self._target(target)

    @property
    def stragglers(self) -> list[str]:
        return list(dict.fromkeys(group.stragglers for group in self.groups))

    @property
    def modes(self) -> list[str]:
        return list(dict.fromkeys(group.mode for group in self.groups))

    def best(self, stragglers: str) -> list[Group]:
        """A group for each mode, in the order of the modes."""
        found = [group for group in self.groups if group.stragglers == stragglers and group.is_best]
        return sorted(found, key=lambda group: self.modes.index(group.mode))

    def at_the_edge(self, key: str) -> list[str]:
        """Modes whose best value of a key of the grid is the least or the greatest tried: perhaps there is a better
        one beyond."""
        tried = list(dict.fromkeys(dict(group.point)[key] for group in self.groups))
        try:
            tried.sort(key=float)
        except ValueError:
            return []  # names have no edge
        edges = {tried[0], tried[-1]} if len(tried) > 1 else set()
        best = [group for stragglers in self.stragglers for group in self.best(stragglers)]
        return list(dict.fromkeys(group.mode for group in best if dict(group.point)[key] in edges))

    def baseline(self, stragglers: str) -> Group | None:
        return next((group for group in self.best(stragglers) if group.mode == "bsp"), None)

    def time_to_target(self, group: Group) -> float | None:
        return mean(point.time_s for point in group.reached(self.target) if point)

    def updates_to_target(self, group: Group) -> float | None:
        return mean(point.updates for point in group.reached(self.target) if point)

    def samples_to_target(self, group: Group) -> float | None:
        return mean(point.samples for point in group.reached(self.target) if point)

    def seeds_there(self, group: Group) -> int:
        return sum(point is not None for point in group.reached(self.target))

    def is_upper_limit(self, group: Group) -> bool:
        """Some seed had reached the target by its first evaluation, so the mean is too large."""
        return self.target is not None and any(self.target.is_met_at_once(run) for run in group.runs)

    def speed_up(self, group: Group) -> float | None:
        """Over bsp under the same stragglers, in time to the target; of groups whose seeds all got there."""
        base = self.baseline(group.stragglers)
        if base is None or not self._all_there(group) or not self._all_there(base):
            return None
        own = self.time_to_target(group)
        return self.time_to_target(base) / own if own else None

    def final(self, group: Group) -> float | None:
        return mean(group.finals(self.is_accuracy))

    def final_spread(self, group: Group) -> tuple[float, float] | None:
        return spread(group.finals(self.is_accuracy))

    def _all_there(self, group: Group) -> bool:
        return bool(group.runs) and self.seeds_there(group) == len(group.outcomes)

    def rank(self, group: Group) -> float:
        """By final accuracy or loss, more is better. A run that failed or diverged counts as the worst."""
        finals = group.finals(self.is_accuracy)
        if not finals or None in finals or group.failures:
            return float("-inf")
        return mean(finals) if self.is_accuracy else -mean(finals)

    def _choose_best(self) -> None:
        for stragglers in self.stragglers:
            for mode in self.modes:
                rivals = [group for group in self.groups if (group.mode, group.stragglers) == (mode, stragglers)]
                best = max(rivals, key=self.rank, default=None)
                for group in rivals:
                    group.is_best = group is best

    def _target(self, asked: float | None) -> Target | None:
        if asked is not None:
            return Target(asked, self.is_accuracy, "asked for")
        finals: dict[str, list[float]] = {}
        for group in self.groups:
            if group.is_best and (final := self.final(group)) is not None:
                finals.setdefault(group.mode, []).append(final)
        return default_target(finals, self.is_accuracy)


def _grouped(outcomes: list[Outcome]) -> list[Group]:
    groups: dict[tuple, Group] = {}
    for outcome in outcomes:
        cell = outcome.cell
        group = groups.setdefault(cell.group, Group(cell.mode, cell.stragglers, cell.point))
        group.outcomes.append(outcome)
        if not outcome.failure:
            group.runs.append(RunFigures.read(outcome.run_dir))
    return list(groups.values())
