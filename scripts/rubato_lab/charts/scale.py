"""From figures to pixels: axes with round numbers beside them, and small charts in rows."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Linear: low is drawn at `start`, high at `end`, in pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def data(self) -> list[float]:
        """For whoever has to go the way back, from pixels to figures."""
        return [self.low, self.high, self.start, self.end]


@dataclass(frozen=True)
class LogScale(Scale):
    """low and high are above 0. `data` speaks of decimal logarithms."""

    def __call__(self, value: float) -> float:
        low, high, start, end = self.data
        return start + (math.log10(value) - low) / (high - low) * (end - start)

    @property
    def data(self) -> list[float]:
        return [math.log10(self.low), math.log10(self.high), self.start, self.end]


def steps(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from low to high, about as many as wanted: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def arranged(panels: int, columns_max: int = 4) -> tuple[int, int]:
    """Columns and rows for so many small charts, the rows as full as they come."""
    rows = max(1, -(-panels // columns_max))
    return max(1, -(-panels // rows)), rows


def columns_of(width: float, room: float = 1080.0) -> int:
    """How many small charts of this width go beside each other, four at most."""
    return max(1, min(4, int(room // width)))


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    room = (high - low) * share or abs(high) * share or 1.0
    return low - room, high + room


def short(value: float) -> str:
    """1,200 as 1.2k; no more digits than a label needs."""
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:.3g}M"
    if size >= 1e4:
        return f"{value / 1e3:.3g}k"
    return f"{value:.4g}"
