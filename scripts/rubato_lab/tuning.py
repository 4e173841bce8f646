"""Which point of the grid suits each contender, by runs whose seeds are not those that are shown afterwards: a point
chosen by the runs that are shown would flatter whoever has the most noise."""

from .campaign import Outcome
from .grid import Contender, Values
from .group import Group, evaluated_part, grouped, measures_accuracy


class Tuning:
    """Without runs there is no grid, and nothing to choose."""

    def __init__(self, outcomes: list[Outcome]):
        self.outcomes = outcomes
        self.groups = grouped(outcomes)
        self.is_accuracy = measures_accuracy(self.groups)
        self.part = evaluated_part(self.groups)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.groups[0].point] if self.groups else []

    @property
    def seeds(self) -> int:
        return max((len(group.outcomes) for group in self.groups), default=0)

    def of(self, contender: Contender, stragglers: str) -> list[Group]:
        return [group for group in self.groups if (group.contender, group.stragglers) == (contender, stragglers)]

    def point(self, contender: Contender, stragglers: str) -> Values:
        """The best by its final figure, the first of equals. A point where a seed failed or diverged is the last choice."""
        rivals = self.of(contender, stragglers)
        return max(rivals, key=lambda group: group.rank(self.is_accuracy)).point if rivals else ()

    def at_the_edge(self, key: str) -> list[str]:
        """Contenders whose best value of a key is the least or the greatest tried, each with the stragglers under which
        it is: perhaps there is a better one beyond."""
        tried = list(dict.fromkeys(dict(group.point)[key] for group in self.groups))
        try:
            tried.sort(key=float)
        except ValueError:
            return []  # names have no edge
        edges = {tried[0], tried[-1]} if len(tried) > 1 else set()
        found: dict[str, list[str]] = {}
        for contender, stragglers in dict.fromkeys((group.contender, group.stragglers) for group in self.groups):
            if dict(self.point(contender, stragglers))[key] in edges:
                found.setdefault(contender.name, []).append(stragglers)
        alike: dict[tuple, list[str]] = {}
        for name, under in found.items():
            alike.setdefault(tuple(under), []).append(name)
        return [f"{', '.join(names)} under {' and '.join(under)}" for under, names in alike.items()]
