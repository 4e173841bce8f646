"""The runs of one contender under one kind of stragglers, at one point of the grid: its seeds, and what they tell."""

from dataclasses import dataclass, field

from . import ages
from .campaign import Outcome
from .grid import Contender, Values
from .run_figures import Point, RunFigures
from .statistics import mean
from .target import Target


@dataclass
class Group:
    contender: Contender
    stragglers: str
    point: Values
    outcomes: list[Outcome] = field(default_factory=list)
    runs: list[RunFigures] = field(default_factory=list)  # those that did not fail

    @property
    def name(self) -> str:
        """`asp`, or where there is a grid `asp (0.05)`."""
        return self.contender.name + (f" ({', '.join(value for _, value in self.point)})" if self.point else "")

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure]

    @property
    def diverged(self) -> int:
        return sum(run.diverged for run in self.runs)

    def finals(self, is_accuracy: bool) -> list[float | None]:
        """Of each run, the figure that it ended with; None where it has none, or diverged."""
        return [None if run.diverged else run.ended(is_accuracy) for run in self.runs]

    def rank(self, is_accuracy: bool) -> float:
        """By final accuracy or loss, more is better. A run that failed or diverged counts as the worst."""
        finals = self.finals(is_accuracy)
        if not finals or None in finals or self.failures:
            return float("-inf")
        return mean(finals) if is_accuracy else -mean(finals)

    def reached(self, target: Target | None) -> list[Point | None]:
        """A run that diverged in the end got nowhere."""
        return [target.reached(run) if target and not run.diverged else None for run in self.runs]

    @property
    def ages(self) -> dict[int, int]:
        """Of runs that diverged they tell of the time before, so those are left out."""
        return ages.merged([run.ages for run in self.runs if not run.diverged])

    @property
    def ages_of_all(self) -> dict[int, int]:
        return ages.merged([run.ages for run in self.runs])

    @property
    def made(self) -> list[tuple[Outcome, RunFigures]]:
        """Those that did not fail, each with its figures."""
        return list(zip([outcome for outcome in self.outcomes if not outcome.failure], self.runs))

    @property
    def wait_share(self) -> float | None:
        return mean(run.worker_time.waited for run in self.runs if run.workers)

    @property
    def done_early_share(self) -> float | None:
        return mean(run.worker_time.done_early for run in self.runs if run.workers)

    @property
    def samples_per_s(self) -> float | None:
        return mean(run.final.get("samples_per_s") for run in self.runs)

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


def grouped(outcomes: list[Outcome]) -> list[Group]:
    """In the order in which they first come."""
    groups: dict[tuple, Group] = {}
    for outcome in outcomes:
        group = groups.setdefault(outcome.cell.group, Group(*outcome.cell.group))
        group.outcomes.append(outcome)
        if not outcome.failure:
            group.runs.append(RunFigures.read(outcome.run_dir))
    return list(groups.values())


def measures_accuracy(groups: list[Group]) -> bool:
    """Where no run has an accuracy, runs are judged by their loss."""
    return any(run.accuracy for group in groups for run in group.runs)


def evaluated_part(groups: list[Group]) -> str:
    """`test` or `validation`: what figures are of."""
    return next((run.part for group in groups for run in group.runs), "test")
