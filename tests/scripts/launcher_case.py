"""What the launcher's tests share: a build folder of fake programs, a job file, ways to run and look."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from dispositions import with_signals  # noqa: E402

LAUNCHER = HERE.parents[1] / "scripts" / "rubato"
# Far above what anything here takes, for machines that are busy with something else.
PATIENCE_S = 30.0


class LauncherCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rubato-launcher-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.build = self.folder / "build"
        (self.build / "bin").mkdir(parents=True)
        for program in ("rubato-scheduler", "rubato-server", "rubato-worker", "rubato-sim"):
            path = self.build / "bin" / program
            path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE}/fake_node.py {program} "$@"\n')
            path.chmod(0o755)
        self.job = self.folder / "tiny.toml"
        self.job.write_text('[consistency]\nmode = "ssp:3"\n')
        self.run_dir = self.folder / "run"
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.folder), OMP_NUM_THREADS="7")

    def command(self, *words):
        return [sys.executable, str(LAUNCHER), *map(str, words)]

    def train_command(self, *words, **fake):
        settings = [word for key, value in fake.items() for word in ("--set", f"fake.{key}={json.dumps(value)}")]
        fixed = ("--build-dir", self.build, "--run-dir", self.run_dir)
        return self.command("train", self.job, *fixed, *words, *settings)

    def run_command(self, command):
        return subprocess.run(command, cwd=self.folder, env=self.environment, text=True,
                              capture_output=True, timeout=2 * PATIENCE_S)

    def train(self, *words, **fake):
        return self.run_command(self.train_command(*words, **fake))

    def start(self, *words, ignored=(), **fake):
        """A launcher in the background; its output is in self.folder/out."""
        with open(self.folder / "out", "wb") as out:
            launcher = subprocess.Popen(self.train_command(*words, **fake), cwd=self.folder,
                                        env=self.environment, stdout=out, stderr=out, start_new_session=True,
                                        preexec_fn=with_signals(ignored))
        self.addCleanup(self.bury, launcher)
        return launcher

    def bury(self, launcher):
        if launcher.poll() is None:
            launcher.kill()
        launcher.wait()

    def output(self):
        return (self.folder / "out").read_text()

    def note(self, node):
        """What a fake process has left about itself, once it runs."""
        path = self.run_dir / "fake" / f"{node}.json"
        self.wait_until(path.exists, f"{node} to start")
        return json.loads(path.read_text())

    def pids(self, *nodes):
        return [self.note(node)["pid"] for node in nodes]

    def requests(self):
        try:
            lines = (self.run_dir / "fake" / "requests.jsonl").read_text().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines]

    def wait_until(self, condition, what, patience_s=PATIENCE_S):
        deadline = time.monotonic() + patience_s
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            time.sleep(0.02)

    def assert_gone(self, pids, patience_s=PATIENCE_S):
        self.wait_until(lambda: not any(is_running(pid) for pid in pids), f"{pids} to end", patience_s)

    def assert_one_line_error(self, result, code, *words):
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        lines = result.stderr.splitlines()
        self.assertEqual(len(lines), 1, result.stderr)
        for word in ("rubato: error: ", *words):
            self.assertIn(word, lines[0])


def is_running(pid):
    """A process that has ended and that nobody has reaped does not run."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)
