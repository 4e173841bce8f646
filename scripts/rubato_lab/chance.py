"""What a model gets that has learned nothing: the share of the largest class, for always naming that one."""

import math
from dataclasses import dataclass

from .run_figures import RunFigures

DEVIATIONS = 3.0  # of the counting noise of the test set; less above the largest class's share shows nothing


@dataclass(frozen=True)
class Chance:
    """`level` is the largest class's share of the `samples` that runs are tested on."""

    level: float
    samples: int

    @property
    def floor(self) -> float:
        """An accuracy above this is clearly more than chance: the binomial deviation of the level, three times."""
        return self.level + DEVIATIONS * math.sqrt(self.level * (1 - self.level) / self.samples)

    @property
    def words(self) -> str:
        return f"what the largest class alone gives, {100 * self.level:.2f}%"

    @staticmethod
    def of(runs: list[RunFigures]) -> "Chance | None":
        """All runs of a job are tested on the same samples. None where no evaluation tells of classes."""
        for run in runs:
            for line in run.all("evaluation", "final"):
                support = [entry["support"] for entry in (line.get("details") or {}).get("per_class") or []]
                if sum(support):
                    return Chance(max(support) / sum(support), sum(support))
        return None
