"""Runs put side by side: groups of seeds, and what the table tells of them."""

from .campaign import Outcome
from .chance import Chance
from .grid import Contender
from .group import Group, evaluated_part, grouped, measures_accuracy
from .statistics import mean, spread
from .target import Target, default_target
from .tuning import Tuning


class Comparison:
    def __init__(self, outcomes: list[Outcome], target: float | None, is_real: bool, comparable: bool,
                 remarks: list[str] | None = None, tuning: Tuning | None = None):
        self.groups = grouped(outcomes)
        self.outcomes = outcomes
        self.tuning = tuning or Tuning([])
        self.is_real = is_real
        self.remarks = remarks or []  # what was changed in the job, to be told
        self.comparable = comparable  # in time: every process has a core
        self.is_accuracy = measures_accuracy(self.groups)
        self.part = evaluated_part(self.groups)
        self.chance = Chance.of([run for group in self.groups for run in group.runs]) if self.is_accuracy else None
        self.target = self._target(target)

    @property
    def stragglers(self) -> list[str]:
        return list(dict.fromkeys(group.stragglers for group in self.groups))

    @property
    def contenders(self) -> list[Contender]:
        return list(dict.fromkeys(group.contender for group in self.groups))

    def under(self, stragglers: str) -> list[Group]:
        """A group for each contender, in their order."""
        found = [group for group in self.groups if group.stragglers == stragglers]
        return sorted(found, key=lambda group: self.contenders.index(group.contender))

    def baseline(self, group: Group) -> Group | None:
        """bsp under the same stragglers, of the same variation if there is one."""
        found = [other for other in self.under(group.stragglers) if other.contender.mode == "bsp"]
        alike = [other for other in found if other.contender.variation == group.contender.variation]
        return next(iter(alike or found), None)

    def time_to_target(self, group: Group) -> float | None:
        return mean(point.time_s for point in group.reached(self.target) if point)

    def updates_to_target(self, group: Group) -> float | None:
        return mean(point.updates for point in group.reached(self.target) if point)

    def seeds_there(self, group: Group) -> int:
        return sum(point is not None for point in group.reached(self.target))

    def is_upper_limit(self, group: Group) -> bool:
        """Some seed had reached the target by its first evaluation, so the mean is too large."""
        return self.target is not None and any(self.target.is_met_at_once(run) for run in group.runs)

    def speed_up(self, group: Group) -> float | None:
        """Over bsp under the same stragglers, in time to the target; of groups whose seeds all got there."""
        base = self.baseline(group)
        if base is None or not self.all_there(group) or not self.all_there(base):
            return None
        own = self.time_to_target(group)
        return self.time_to_target(base) / own if own else None

    def final(self, group: Group) -> float | None:
        return mean(group.finals(self.is_accuracy))

    def final_spread(self, group: Group) -> tuple[float, float] | None:
        return spread(group.finals(self.is_accuracy))

    def ranked(self, groups: list[Group]) -> list[Group]:
        """The best first, by the mean of the final figures. A group of which seeds diverged has a mean of those that are
        left, which says too much for it: it counts only where there is no other."""
        known = [group for group in groups if self.final(group) is not None]
        sound = [group for group in known if not group.diverged]
        return sorted(sound or known, key=self.final, reverse=self.is_accuracy)

    def best(self, groups: list[Group]) -> Group | None:
        return next(iter(self.ranked(groups)), None)

    def at_chance(self, group: Group) -> int:
        """How many seeds ended with an accuracy that is not clearly above chance."""
        return sum(map(self.chance.is_all, group.finals(True))) if self.chance else 0

    def is_ruined(self, group: Group) -> bool:
        """Every seed that did not fail diverged, or learned nothing."""
        return bool(group.runs) and group.diverged + self.at_chance(group) == len(group.runs)

    def nothing_learned(self, groups: list[Group]) -> str:
        """Says so where the best final accuracy of these is not clearly above chance; else empty."""
        best = max((group for group in groups if self.final(group) is not None), key=self.final, default=None)
        if self.chance is None or best is None or not self.chance.is_all(self.final(best)):
            return ""
        return (f"nothing learned: the best final accuracy, {100 * self.final(best):.2f}% of {best.name}, is not clearly "
                f"above {self.chance.words}")

    @property
    def why_no_target(self) -> str:
        if any(group.diverged for group in self.groups) and self.best(self.groups) is None:
            return "every run diverged"
        return self.nothing_learned(self.groups) or "no run was evaluated"

    def all_there(self, group: Group) -> bool:
        return bool(group.runs) and self.seeds_there(group) == len(group.outcomes)

    def _target(self, asked: float | None) -> Target | None:
        if asked is not None:
            return Target(asked, self.is_accuracy, "asked for", self.part)
        finals: dict[str, list[float]] = {}
        for group in self.groups:
            if (final := self.final(group)) is not None:
                finals.setdefault(group.contender.mode, []).append(final)
        return default_target(finals, self.is_accuracy, self.chance, self.part)
