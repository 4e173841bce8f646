"""What the laboratory's tests share: its modules on the path, a build folder of fake programs, ways to run it."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"
LAUNCHER = SCRIPTS / "rubato"
PATIENCE_S = 60.0
SKIPPED = 77

sys.path[:0] = [str(SCRIPTS), str(HERE.parent)]


class LabCase(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="rubato-lab-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.build = self.folder / "build"
        (self.build / "bin").mkdir(parents=True)
        for program in ("rubato-scheduler", "rubato-server", "rubato-worker", "rubato-sim"):
            path = self.build / "bin" / program
            path.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE}/fake_programs.py {program} "$@"\n')
            path.chmod(0o755)
        self.job = self.folder / "tiny.toml"
        self.job.write_text("")
        self.out = self.folder / "out"
        self.environment = dict(os.environ, RUBATO_FAKE_FOLDER=str(self.folder), PYTHONDONTWRITEBYTECODE="1")

    def command(self, *words):
        fixed = ("--build-dir", self.build, "--out", self.out)
        return [sys.executable, str(LAUNCHER), "compare", *map(str, (self.job, *fixed, *words))]

    def compare(self, *words, code=0):
        done = subprocess.run(self.command(*words), cwd=self.folder, env=self.environment, text=True,
                              capture_output=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def made(self):
        """The names of the runs that were made, not found."""
        path = self.folder / "made.txt"
        return path.read_text().splitlines() if path.exists() else []
