"""How one run is made: simulated in one process and virtual time, or with real processes.

Both are a command that writes a run directory with job.toml and metrics.jsonl. What a run depends on, beside its job,
is the programs: their identity is the hash of their bytes.
"""

import hashlib
import os
import sys
from pathlib import Path

from rubato_cli.failure import Failure

LAUNCHER = Path(__file__).resolve().parents[1] / "rubato"


class RunKind:
    name: str
    programs: tuple[str, ...]

    def __init__(self, build_dir: Path):
        self.build_dir = build_dir
        for program in (*self.programs, "rubato-scheduler"):
            if not os.access(self._path(program), os.X_OK):
                raise Failure(f"there is no {self._path(program)}; build first: scripts/build.sh")
        digest = hashlib.sha256()
        for program in self.programs:
            digest.update(self._path(program).read_bytes())
        self.identity = digest.hexdigest()

    def resolve_command(self, job: Path, settings: dict[str, str], run_dir: Path) -> list[str]:
        """Checks the job and writes it, with every key, into the directory."""
        command = [str(self._path("rubato-scheduler")), "--resolve", str(job), *as_options(settings)]
        return [*command, "--run-dir", str(run_dir)]

    def _path(self, program: str) -> Path:
        return self.build_dir / "bin" / program


class Simulated(RunKind):
    name = "simulated"
    programs = ("rubato-sim",)

    def command(self, job: Path, settings: dict[str, str], run_dir: Path) -> list[str]:
        return [str(self._path("rubato-sim")), str(job), *as_options(settings), "--run-dir", str(run_dir)]


class Real(RunKind):
    name = "real"
    programs = ("rubato-scheduler", "rubato-server", "rubato-worker")

    def command(self, job: Path, settings: dict[str, str], run_dir: Path) -> list[str]:
        command = [sys.executable, str(LAUNCHER), "train", str(job), *as_options(settings)]
        return [*command, "--run-dir", str(run_dir), "--build-dir", str(self.build_dir), "--no-progress"]


def as_options(settings: dict[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
