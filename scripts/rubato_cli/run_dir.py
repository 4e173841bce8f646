"""The run directory: where one run of a job keeps its job file, logs, metrics and weights."""

import time
from pathlib import Path

from .failure import ExitCode, Failure, reason


class RunDir:
    """A directory that belongs to this run alone, from `claim` on."""

    def __init__(self, path: Path):
        self.path = path
        self.job = path / "job.toml"
        self.address = path / "scheduler.json"
        self.logs = path / "logs"
        self.metrics = path / "metrics.jsonl"
        self.evaluation = path / "evaluation.txt"
        self.weights = path / "final.safetensors"
        self.best = path / "best.safetensors"
        self.record = path / "record"
        self.timeline = path / "timeline"

    def log(self, node: str) -> Path:
        return self.logs / f"{node}.log"

    def give_up(self) -> None:
        """Removes what `claim` made, if nothing was put into it."""
        for directory in (self.logs, self.path):
            try:
                directory.rmdir()
            except OSError:
                return

    @staticmethod
    def claim(asked: str | None, job_file: str) -> "RunDir":
        """Makes the directory asked for, or a new one under runs/ named for the job and the time."""
        try:
            return _claim(Path(asked)) if asked else _claim_new(Path(job_file).stem)
        except OSError as error:
            path = error.filename or asked or "runs/"
            raise Failure(f"cannot make the run directory {path}: {reason(error)}", ExitCode.STORAGE) from error


def _claim(path: Path) -> RunDir:
    path.mkdir(parents=True, exist_ok=True)
    run_dir = RunDir(path)
    if any(path.iterdir()):
        raise Failure(f"the run directory {path} is not empty; name another one, or remove it")
    # Of two launchers that get here at once, only one makes this folder.
    try:
        run_dir.logs.mkdir()
    except FileExistsError:
        raise Failure(f"the run directory {path} was taken by another run just now") from None
    return run_dir


def _claim_new(job_name: str) -> RunDir:
    stem = Path("runs") / f"{job_name}-{time.strftime('%Y%m%d-%H%M%S')}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    path, number = stem, 1
    while True:
        try:
            path.mkdir()
            return _claim(path)
        except FileExistsError:  # two jobs in one second
            number += 1
            path = Path(f"{stem}-{number}")
