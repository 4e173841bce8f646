"""What RUN/metrics.jsonl says of a run, in a form that can be compared (docs/metrics.md has the fields)."""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from rubato_cli.failure import ExitCode, Failure

from .divergence import is_diverged
from .worker_time import WorkerTime


@dataclass(frozen=True)
class Point:
    """Somewhere in a run: seconds since training began, updates and samples so far, and a figure."""

    time_s: float
    updates: int
    samples: int
    value: float


@dataclass(frozen=True)
class Wait:
    worker: str
    culprit: str
    from_s: float  # since training began
    to_s: float


@dataclass
class RunFigures:
    """`lines` are all of them, `final` the last of a job that ended in order, or empty."""

    lines: list[dict]
    start: dict = field(default_factory=dict)
    final: dict = field(default_factory=dict)

    @staticmethod
    def read(run_dir: Path) -> "RunFigures":
        path = run_dir / "metrics.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise Failure(f"cannot read {path}: {error.strerror}", ExitCode.DATA) from error
        except ValueError as error:
            raise Failure(f"{path} has a line that is no JSON: {error}", ExitCode.DATA) from error
        return RunFigures.of(lines)

    @staticmethod
    def of(lines: list[dict]) -> "RunFigures":
        figures = RunFigures(lines)
        figures.start = next(figures.all("start"), {})
        figures.final = next(figures.all("final"), {})
        return figures

    def all(self, *events: str):
        return (line for line in self.lines if line.get("event") in events)

    def curve(self, name: str, *events: str) -> list[Point]:
        """A figure in the order of these events. Where it is null, as after a divergence, there is no point."""
        began = self.start.get("time_s", 0.0)
        return [Point(line.get("reached_s", line["time_s"]) - began, line["updates"], line["samples_settled"], line[name])
                for line in self.all(*events)
                if line.get(name) is not None and "updates" in line]

    @property
    def part(self) -> str:
        """What evaluations are made on: with evaluation.holdout runs are judged by what was held out. Of a run that was
        made when evaluation.part = "validation" had no name of its own yet, it is `test`."""
        return "validation" if any("validation_accuracy" in line for line in self.all("evaluation", "final")) else "test"

    @property
    def held_out(self) -> bool:
        """Whether evaluations decided which weights count (evaluation.holdout)."""
        return any("best" in line or "best_epoch" in line for line in self.all("evaluation", "final"))

    @property
    def accuracy(self) -> list[Point]:
        return self.curve(f"{self.part}_accuracy", "evaluation", "final")

    @property
    def evaluated_loss(self) -> list[Point]:
        return self.curve(f"{self.part}_loss", "evaluation", "final")

    def ended(self, is_accuracy: bool) -> float | None:
        """What the weights came to that count: the best on what was held out, or else the last."""
        if self.held_out:
            return self.final.get("best_validation_" + ("accuracy" if is_accuracy else "loss"))
        curve = self.accuracy if is_accuracy else self.evaluated_loss
        return curve[-1].value if curve else None

    @property
    def train_loss(self) -> list[Point]:
        return self.curve("train_loss", "progress")

    @property
    def ages(self) -> dict[int, int]:
        return {age: count for age, count in self.final.get("ages", [])}

    @property
    def workers(self) -> list[dict]:
        return self.final.get("workers", [])

    @property
    def worker_names(self) -> list[str]:
        return [worker["worker"] for worker in self.workers]

    @property
    def worker_time(self) -> WorkerTime:
        return WorkerTime.of(self.workers, self.final.get("train_s", 0.0), self.lost_for_good)

    @property
    def lost_for_good(self) -> list[str]:
        """Workers that died or were evicted, and did not return."""
        last = {line["worker"]: line["event"] for line in self.all("worker_lost", "worker_returned")}
        return [worker for worker, event in last.items() if event == "worker_lost"]

    @property
    def waits(self) -> list[Wait]:
        began = self.start.get("time_s", 0.0)
        return [Wait(line["worker"], line["for"], line["from_s"] - began, line["to_s"] - began)
                for line in self.all("wait")]

    @property
    def wait_matrix(self) -> dict[tuple[str, str], float]:
        return {(waiting, culprit): seconds for waiting, culprit, seconds in self.final.get("waits", [])}

    @property
    def class_sizes(self) -> list[int]:
        """How many samples of each class it was evaluated on; empty where no evaluation tells of classes."""
        for line in self.all("evaluation", "final"):
            if sizes := [entry["support"] for entry in (line.get("details") or {}).get("per_class") or []]:
                return sizes
        return []

    @property
    def classes(self) -> int:
        return len(self.class_sizes)

    @property
    def waited_for_workers_s(self) -> float | None:
        """Of all workers; None where the end does not tell."""
        return sum(worker["wait_workers_s"] for worker in self.workers) if self.workers else None

    @property
    def diverged(self) -> bool:
        return is_diverged(self)


def read_job(run_dir: Path) -> dict:
    """The resolved job."""
    try:
        return tomllib.loads((run_dir / "job.toml").read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {run_dir / 'job.toml'}: {error}", ExitCode.DATA) from error


def job_value(job: dict, key: str, default=None):
    """job_value(job, "optimizer.rate")"""
    found = job
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return default
        found = found[part]
    return found


def was_simulated(run_dir: Path) -> bool:
    """Its members had one log, since they were one process (docs/simulator.md)."""
    return (run_dir / "logs" / "simulation.log").exists()
