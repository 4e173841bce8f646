"""A finding, and the run that finders look at."""

from dataclasses import dataclass

from ..processors import processes
from ..run_figures import RunFigures, job_value
from ..worker_time import WorkerTime


@dataclass(frozen=True)
class Finding:
    """`key` names the kind for programs; `what`, `figures` and `advice` are sentences."""

    key: str
    what: str
    figures: str
    advice: str


@dataclass(frozen=True)
class Run:
    """A run's metrics and its resolved job. `processors` of the machine that it ran on, where they are known; a simulated
    run had none to share, and servers that take no time."""

    metrics: RunFigures
    job: dict
    processors: int | None = None
    is_simulated: bool = False

    def setting(self, key: str, default=None):
        return job_value(self.job, key, default)

    @property
    def mode(self) -> str:
        """At the beginning."""
        return self.metrics.start.get("mode") or self.setting("consistency.mode", "")

    @property
    def modes(self) -> list[str]:
        """In the order in which they were in force: more than one where another was set while it ran."""
        found = [self.mode]
        for line in self.metrics.all("in_force"):
            found += [line["mode"]] if line["mode"] != found[-1] else []
        return found

    @property
    def is_local(self) -> bool:
        return self.mode.startswith("local:")

    @property
    def pace(self) -> str:
        return pace_of(self.mode)

    @property
    def kind(self) -> str:
        """`ssp` of `ssp:4`, also in `local:16+ssp:4`."""
        return self.pace.split(":")[0]

    @property
    def final(self) -> dict:
        return self.metrics.final

    @property
    def time(self) -> WorkerTime:
        return self.metrics.worker_time

    @property
    def backups(self) -> int:
        """B of `backup:B`: so many parts of each clock are dropped by design."""
        return int(self.pace.partition(":")[2] or 0) if self.kind == "backup" else 0

    @property
    def could_lease(self) -> bool:
        """Shares are equal, and the mode goes with leases sized by speed."""
        return self.kind in ("asp", "ssp", "dssp", "softsync") and not self.is_local \
            and self.setting("data.shards", "static") == "static"

    @property
    def is_crowded(self) -> bool:
        """More workers and servers than processors."""
        return self.processors is not None and processes(self.job) > self.processors

    @property
    def was_cut_short(self) -> bool:
        """Fewer samples were settled or dropped than the job has."""
        wanted = self.metrics.start.get("train_samples", 0) * self.setting("train.epochs", 0)
        return self.final.get("samples", 0) + self.final.get("samples_dropped", 0) < wanted


def pace_of(mode: str) -> str:
    """The mode but for local steps: `ssp:4` of `local:16+ssp:4`."""
    return mode.partition("+")[2] or "backup:0" if mode.startswith("local:") else mode
