"""The target that runs are timed to: an accuracy to reach, or where there is none, a loss to come down to."""

from dataclasses import dataclass

from .chance import Chance
from .run_figures import Point, RunFigures

SHARE_OF_BEST = 0.98


@dataclass(frozen=True)
class Target:
    """`origin` says in words where it comes from."""

    value: float
    is_accuracy: bool
    origin: str
    part: str = "test"  # or validation: what figures are of

    @property
    def words(self) -> str:
        return f"accuracy {100 * self.value:.2f}%" if self.is_accuracy else f"{self.part} loss {self.value:.4g}"

    def curve(self, run: RunFigures) -> list[Point]:
        return run.accuracy if self.is_accuracy else run.evaluated_loss

    def is_met(self, value: float) -> bool:
        return value >= self.value if self.is_accuracy else value <= self.value

    def is_met_at_once(self, run: RunFigures) -> bool:
        """By the first evaluation: when it was reached before that, nobody knows."""
        curve = self.curve(run)
        return bool(curve) and self.is_met(curve[0].value)

    def reached(self, run: RunFigures) -> Point | None:
        """Where a run first meets it: on the straight line between the evaluations before and after. A run whose
        first evaluation meets it already has reached it there, or earlier."""
        before = None
        for point in self.curve(run):
            if not self.is_met(point.value):
                before = point
                continue
            if before is None or point.value == before.value:
                return point
            part = (self.value - before.value) / (point.value - before.value)
            mix = lambda low, high: low + part * (high - low)
            return Point(mix(before.time_s, point.time_s), round(mix(before.updates, point.updates)),
                         round(mix(before.samples, point.samples)), self.value)
        return None


def default_target(finals: dict[str, list[float]], is_accuracy: bool, chance: Chance | None = None,
                   part: str = "test") -> Target | None:
    """`finals`: final figures by mode, a mean for each group of runs. 98 % of bsp's best, or where bsp is not in the
    grid or learned nothing, of the best there is; and clearly above chance. None where nobody learned anything."""
    learned = lambda values: [value for value in values if not (is_accuracy and chance) or value > chance.floor]
    base, everybody = finals.get("bsp", []), [value for values in finals.values() for value in values]
    known = learned(base) or learned(everybody)
    if not known:
        return None
    whose = "bsp's best" if learned(base) else "the best"
    if not is_accuracy:
        return Target(min(known) / SHARE_OF_BEST, False, f"{whose} final {part} loss, {min(known):.4g}, over 0.98", part)
    best = max(known)
    why = "; bsp learned nothing" if base and not learned(base) else ""
    if chance and SHARE_OF_BEST * best <= chance.floor:
        return Target(chance.floor, True, f"clearly above {chance.words}; {whose} final accuracy is {100 * best:.2f}%{why}")
    return Target(SHARE_OF_BEST * best, True, f"98% of {whose} final accuracy, {100 * best:.2f}%{why}")
