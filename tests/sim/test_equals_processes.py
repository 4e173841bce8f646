"""Modes whose order of sums is fixed, in the simulator and in real processes: the same job gives the same weights,
bit for bit.

Usage: test_equals_processes.py BUILD_DIR
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = None


def settings(mode, workers, servers):
    words = [f"consistency.mode={mode}", "train.steps=3", f"cluster.workers={workers}", f"cluster.servers={servers}",
             "evaluation.enabled=false"]
    return [word for setting in words for word in ("--set", setting)]


def final_hash(run):
    last = (run / "metrics.jsonl").read_text().splitlines()[-1]
    return json.loads(last)["weights_sha256"]


def simulated(job_file, directory, workers, servers, mode="bsp"):
    run = pathlib.Path(directory) / f"simulated-{mode.replace(':', '-')}-{workers}-{servers}"
    command = [BUILD / "bin/rubato-sim", ROOT / "jobs" / job_file, "--run-dir", run, *settings(mode, workers, servers)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    return final_hash(run)


def real(job_file, directory, workers, servers, mode="bsp"):
    run = pathlib.Path(directory) / "run"
    command = [ROOT / "scripts/rubato", "train", ROOT / "jobs" / job_file, "--build-dir", BUILD, "--run-dir", run,
               *settings(mode, workers, servers)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    return final_hash(run)


class EqualsProcesses(unittest.TestCase):
    def check(self, job_file, **settings):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(simulated(job_file, directory, **settings), real(job_file, directory, **settings))

    def test_lenet_on_two_workers(self):
        self.check("fashion_lenet.toml", workers=2, servers=2)

    def test_quadratic_on_four_workers(self):
        self.check("quadratic.toml", workers=4, servers=3)

    def test_backup_without_spares(self):
        self.check("quadratic.toml", workers=3, servers=2, mode="backup:0")
        self.check("fashion_lenet.toml", workers=2, servers=2, mode="backup:0")

    def test_local_steps(self):
        self.check("quadratic.toml", workers=2, servers=2, mode="local:4")
        self.check("fashion_lenet.toml", workers=2, servers=2, mode="local:4")

    def test_the_simulator_does_not_care_how_many_workers(self):
        with tempfile.TemporaryDirectory() as directory:
            hashes = {simulated("fashion_lenet.toml", directory, workers, servers)
                      for workers, servers in [(1, 1), (2, 3), (4, 2)]}
        self.assertEqual(len(hashes), 1)


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
