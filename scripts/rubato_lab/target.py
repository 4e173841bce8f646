"""The target that runs are timed to: an accuracy to reach, or where there is none, a loss to come down to."""

from dataclasses import dataclass

from .run_figures import Point, RunFigures

SHARE_OF_BEST = 0.98


@dataclass(frozen=True)
class Target:
    """`origin` says in words where it comes from."""

    value: float
    is_accuracy: bool
    origin: str

    @property
    def words(self) -> str:
        return f"accuracy {100 * self.value:.2f}%" if self.is_accuracy else f"test loss {self.value:.4g}"

    def curve(self, run: RunFigures) -> list[Point]:
        return run.accuracy if self.is_accuracy else run.test_loss

    def _is_met(self, value: float) -> bool:
        return value >= self.value if self.is_accuracy else value <= self.value

    def is_met_at_once(self, run: RunFigures) -> bool:
        """By the first evaluation: when it was reached before that, nobody knows."""
        curve = self.curve(run)
        return bool(curve) and self._is_met(curve[0].value)

    def reached(self, run: RunFigures) -> Point | None:
        """Where a run first meets it: on the straight line between the evaluations before and after. A run whose
        first evaluation meets it already has reached it there, or earlier."""
        before = None
        for point in self.curve(run):
            if not self._is_met(point.value):
                before = point
                continue
            if before is None or point.value == before.value:
                return point
            part = (self.value - before.value) / (point.value - before.value)
            mix = lambda low, high: low + part * (high - low)
            return Point(mix(before.time_s, point.time_s), round(mix(before.updates, point.updates)),
                         round(mix(before.samples, point.samples)), self.value)
        return None


def default_target(finals: dict[str, list[float]], is_accuracy: bool) -> Target | None:
    """`finals`: final figures by mode, a mean for each group of runs. 98 % of bsp's best, or where bsp is not
    in the grid, of the best there is."""
    known = finals.get("bsp") or [value for values in finals.values() for value in values]
    if not known:
        return None
    whose = "bsp's best" if finals.get("bsp") else "the best"
    if is_accuracy:
        return Target(SHARE_OF_BEST * max(known), True, f"98% of {whose} final accuracy, {100 * max(known):.2f}%")
    return Target(min(known) / SHARE_OF_BEST, False, f"{whose} final test loss, {min(known):.4g}, over 0.98")
