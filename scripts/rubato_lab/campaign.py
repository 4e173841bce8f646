"""Makes the runs of a grid: several at once or one after the other, skipping what is done already."""

import subprocess
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from rubato_cli.failure import ExitCode, Failure, describe_end
from rubato_cli.stop_requests import StopRequests
from rubato_cli.train import sentence

from .child_run import ChildRun
from .grid import Cell
from .grid_progress import GridProgress
from .run_cache import RunCache
from .run_kind import RunKind

POLL_S = 0.05
RESOLVE_TIMEOUT_S = 30.0


@dataclass
class Outcome:
    """What became of a cell. `failure` is empty where the run is done."""

    cell: Cell
    run_dir: Path
    failure: str = ""


class Campaign:
    def __init__(self, kind: RunKind, job: Path, common: dict[str, str], cache: RunCache, stop: StopRequests):
        self._kind, self._job, self._common = kind, job, common
        self._cache, self._stop = cache, stop

    def refuse_bad_values(self, cells: list[Cell]) -> None:
        """Before anything is made: a value that the job takes in no combination with others is a mistake of the command
        line. One that it takes in some is a row that failed in the others."""
        refused: dict[str, list[str]] = {}
        for cell in cells:
            failure = self._plan(cell).failure
            for choice in cell.choices:
                refused.setdefault(choice, []).append(failure)
        failures = [failures for failures in refused.values() if all(failures)]
        if failures and len(failures[0]) == len(cells):
            raise Failure(f"none of these runs can be made: {failures[0][0]}")
        for choice, found in refused.items():
            if all(found):
                raise Failure(f"{choice}: {found[0]}")

    def run(self, cells: list[Cell], jobs: int, fail_fast: bool, progress: GridProgress) -> list[Outcome]:
        """In the order of `cells`. A cell that the job file refuses counts as failed like any other."""
        outcomes = [self._plan(cell) for cell in cells]
        waiting = deque(outcome for outcome in outcomes if not outcome.failure and not self._cache.is_done(outcome.run_dir))
        done = [outcome for outcome in outcomes if not outcome.failure and outcome not in waiting]
        progress.begin(len(cells), [self._cache.took_s(outcome.run_dir) for outcome in done], jobs)
        for outcome in outcomes:
            if outcome.failure:
                self._note_failure(outcome, fail_fast, progress)
        running: dict[int, tuple[Outcome, ChildRun]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    outcome = waiting.popleft()
                    running[id(outcome)] = (outcome, self._start(outcome))
                self._reap(running, fail_fast, progress)
                progress.update([outcome.cell for outcome, _ in running.values()])
                if self._stop.count:
                    raise Failure(progress.stopped(), ExitCode.INTERRUPTED)
                time.sleep(POLL_S)
        finally:
            for outcome, child in running.values():
                child.stop()
                self._cache.make_room(outcome.run_dir)
        return outcomes

    def _settings(self, cell: Cell) -> dict[str, str]:
        return {**self._common, **cell.settings}

    def _plan(self, cell: Cell) -> Outcome:
        try:
            resolved = resolve(self._kind.resolve_command, self._job, self._settings(cell))
        except Failure as failure:
            self._stop.check()
            return Outcome(cell, Path(), str(failure))
        self._stop.check()
        return Outcome(cell, self._cache.run_dir(cell, resolved, self._kind.name, self._kind.identity))

    def _start(self, outcome: Outcome) -> ChildRun:
        self._cache.make_room(outcome.run_dir)
        command = self._kind.command(self._job, self._settings(outcome.cell), outcome.run_dir)
        return ChildRun(command, outcome.run_dir.with_name(outcome.run_dir.name + ".log"))

    def _reap(self, running: dict, fail_fast: bool, progress: GridProgress) -> None:
        for key, (outcome, child) in list(running.items()):
            code = child.poll()
            if code is None:
                continue
            del running[key]
            if code == 0:
                self._cache.mark_done(outcome.run_dir, outcome.cell, child.took_s)
                progress.done(outcome.cell, child.took_s)
            else:
                outcome.failure = child.cause()
                self._note_failure(outcome, fail_fast, progress)

    @staticmethod
    def _note_failure(outcome: Outcome, fail_fast: bool, progress: GridProgress) -> None:
        progress.failed(outcome.cell, outcome.failure)
        if fail_fast:
            raise Failure(f"{outcome.cell.words} failed: {outcome.failure}", ExitCode.INTERNAL)


def resolve(command_of, job: Path, settings: dict[str, str]) -> str:
    """The job with every key, as text; a Failure says what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="rubato-resolve-") as folder:
        command = command_of(job, settings, Path(folder))
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                                  timeout=RESOLVE_TIMEOUT_S, start_new_session=True)
        except subprocess.TimeoutExpired as error:
            raise Failure("the check of the job took too long") from error
        if done.returncode != 0:
            raise Failure(sentence(done.stderr.strip().splitlines()) or f"the check of the job {describe_end(done.returncode)}")
        return (Path(folder) / "job.toml").read_text()
