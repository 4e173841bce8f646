"""What the system tests share: how jobs are started, and what must be true once they have ended.

Each test file is a program: test_AREA.py BUILD_FOLDER [ARGUMENT of unittest...].
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import side_by_side
from run import LAUNCHER, POLL_S, ROOT, Run, processes

JOBS = ROOT / "jobs"
COMMAND_S = 300  # a command that is no job takes no longer
AT_ONCE = 3  # jobs mostly wait: for each other's start, for who is slow or silent, and for the goodbyes at their end


class SystemCase(unittest.TestCase):
    build: Path  # set by main()

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rubato-system-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # Last in, first out: looked at before the folder goes.
        self.addCleanup(self.assert_no_process_left)
        # Its own folder of running jobs, so that tests and the user's jobs do not see each other.
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.folder))
        self._runs = 0

    def start(self, job, *words, run_dir=None, wrapped_in=(), **settings) -> Run:
        """A job in the background. `job` is a file or the name of one in jobs/; table__key=value sets a key."""
        self._runs += 1
        run_dir = run_dir or self.folder / f"run-{self._runs}"
        path = job if isinstance(job, Path) else JOBS / f"{job}.toml"
        command = [*wrapped_in, sys.executable, LAUNCHER, "train", path, "--build-dir", self.build, "--run-dir", run_dir]
        run = Run([*map(str, command), *map(str, words), *as_options(settings)], run_dir,
                  self.folder / f"run-{self._runs}.out", self.environment)
        self.addCleanup(run.bury)
        return run

    def train(self, job, *words, expected_code=0, **settings) -> Run:
        """A job from its start to its end."""
        run = self.start(job, *words, **settings)
        self.assert_ends(run, expected_code)
        return run

    def rubato(self, *words, expected_code=0) -> str:
        """What a command says that runs programs and is no job; of one that fails, that it is one line."""
        return self.launcher(*words, "--build-dir", self.build, expected_code=expected_code)

    def launcher(self, *words, expected_code=0) -> str:
        done = subprocess.run([sys.executable, LAUNCHER, *map(str, words)], timeout=COMMAND_S,
                              capture_output=True, text=True, env=self.environment, cwd=self.folder)
        self.assertEqual(done.returncode, expected_code, done.stdout + done.stderr)
        if expected_code == 0:
            return done.stdout
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        return done.stderr

    def assert_ends(self, run: Run, code: int, **wait) -> None:
        self.assertEqual(run.wait(**wait), code, run.output)
        self.assert_quiet(run)

    def assert_quiet(self, run: Run) -> None:
        """Nothing runs any more, and nobody lost his temper."""
        self.assertEqual(run.pids(), {}, run.output)
        self.assertNotIn("Traceback", run.output)
        logs = run.run_dir / "logs"
        for log in logs.iterdir() if logs.exists() else []:
            text = log.read_text(errors="replace")
            for words in ("check failed", "terminate called", "Sanitizer"):
                self.assertNotIn(words, text, log.name)

    def assert_one_error(self, run: Run, code: int, *words) -> None:
        """The job ends with this code, and its last line is the one error, which says all of the words."""
        self.assert_ends(run, code)
        errors = [line for line in run.output.splitlines() if line.startswith("rubato: error: ")]
        self.assertEqual(len(errors), 1, run.output)
        self.assertEqual(run.last_line, errors[0])
        for word in words:
            self.assertIn(word, errors[0])

    def assert_cause_comes_first(self, run: Run, *words) -> None:
        """The first thing said after the heading is the error itself, and nobody else is said to have failed."""
        cause = next(line for line in run.output.splitlines() if line.startswith(("error: ", "warning: ")))
        for word in words:
            self.assertIn(word, cause, run.output)
        self.assertNotIn("cannot go on without it", run.output)

    def assert_no_process_left(self):
        mark = str(self.folder)
        left = {pid: words for pid, words in processes() if any(mark in word for word in words)}
        self.assertEqual(left, {})


def lane(name: str) -> dict:
    """Settings under which pushes and pulls take this way: "shm", "ipc" or "tcp"."""
    return {"cluster__transport": "ipc" if name == "shm" else name, "cluster__shared_memory": name == "shm"}


def as_options(settings: dict) -> list[str]:
    """train__steps=3 as --set train.steps=3."""
    return [word for key, value in settings.items()
            for word in ("--set", f"{key.replace('__', '.')}={value if isinstance(value, str) else json.dumps(value)}")]


def main(at_once: int = AT_ONCE):
    """`at_once`: so many of a file's tests run side by side. 1 where a test looks at what the machine, or all of its
    processes, do meanwhile."""
    SystemCase.build = Path(sys.argv.pop(1)).resolve()
    if at_once > 1 and len(sys.argv) == 1:
        sys.exit(not side_by_side.run(at_once))
    unittest.main()
