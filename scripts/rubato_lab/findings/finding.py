"""A finding, and the run that finders look at."""

from dataclasses import dataclass

from ..run_figures import RunFigures, job_value


@dataclass(frozen=True)
class Finding:
    """`key` names the kind for programs; `what`, `figures` and `advice` are sentences."""

    key: str
    what: str
    figures: str
    advice: str


@dataclass(frozen=True)
class Run:
    """A run's metrics and its resolved job."""

    metrics: RunFigures
    job: dict

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
        """The mode but for local steps: `ssp:4` of `local:16+ssp:4`."""
        return self.mode.partition("+")[2] or "backup:0" if self.is_local else self.mode

    @property
    def kind(self) -> str:
        """`ssp` of `ssp:4`, also in `local:16+ssp:4`."""
        return self.pace.split(":")[0]

    @property
    def final(self) -> dict:
        return self.metrics.final

    @property
    def worker_time_s(self) -> float:
        return sum(worker["time_s"] for worker in self.metrics.workers)

    def share_of_time(self, field: str) -> float:
        """Of all workers' time, the part in one of the fields of `workers`."""
        total = self.worker_time_s
        return sum(worker[field] for worker in self.metrics.workers) / total if total else 0.0
