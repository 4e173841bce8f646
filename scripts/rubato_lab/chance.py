"""What a model gets that has learned nothing: the share of the largest class, for always naming that one."""

import math
from dataclasses import dataclass

from .run_figures import RunFigures

# Models that broke down name two or three classes in place of one, and come a little above the largest class's share: an
# eighth of its errors gone, or twice its share where that is less (of a thousand classes), is more than that.
ERRORS_GONE, TIMES = 1 / 8, 2.0
DEVIATIONS = 3.0  # and at least so many binomial deviations of the count, where the test set is small


@dataclass(frozen=True)
class Chance:
    """`level` is the largest class's share of the `samples` that runs are tested on."""

    level: float
    samples: int

    @property
    def floor(self) -> float:
        """An accuracy above this is clearly more than chance."""
        noise = DEVIATIONS * math.sqrt(self.level * (1 - self.level) / self.samples)
        return self.level + max(noise, min(ERRORS_GONE * (1 - self.level), (TIMES - 1) * self.level))

    @property
    def words(self) -> str:
        return f"what the largest class alone gives, {100 * self.level:.2f}%"

    @staticmethod
    def of(runs: list[RunFigures]) -> "Chance | None":
        """All runs of a job are tested on the same samples. None where no evaluation tells of classes."""
        sizes = next((run.class_sizes for run in runs if sum(run.class_sizes)), [])
        return Chance(max(sizes) / sum(sizes), sum(sizes)) if sizes else None

    def is_all(self, accuracy: float | None) -> bool:
        """Such an accuracy shows nothing that was learned."""
        return accuracy is not None and accuracy <= self.floor
