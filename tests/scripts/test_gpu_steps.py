"""bench/gpu_steps.py, with our own program and PyTorch as they are, on the CPU."""

import importlib.util
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop(1))


def gpu_steps(*words):
    command = [sys.executable, ROOT / "bench" / "gpu_steps.py", *words, "--bin", BUILD / "bin", "--device", "cpu", "--precision",
               "float32", "--rounds", "1", "--seconds", "0.01"]
    return subprocess.run(command, text=True, capture_output=True, timeout=300)


@unittest.skipUnless(importlib.util.find_spec("torch"), "no PyTorch for this Python")
class GpuSteps(unittest.TestCase):
    def test_the_fastest_of_pytorchs_ways_is_what_counts(self):
        done = gpu_steps("cnn", "--batch", "4", "--modes", "eager")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        title, first, second, result = done.stdout.splitlines()
        self.assertEqual(title, "cnn, batch 4, float32:")
        self.assertRegex(first, r"^  PyTorch, eager, contiguous: [\d.]+ samples/s$")
        self.assertRegex(second, r"^  PyTorch, eager, channels_last: [\d.]+ samples/s$")
        self.assertRegex(result, r"^  Rubato [\d.]+, PyTorch [\d.]+ \(eager, (contiguous|channels_last)\): [\d.]+, 0.95 is asked$")

    def test_a_mode_that_fails_says_why_and_without_any_it_is_a_failure(self):
        done = gpu_steps("mlp", "--batch", "4", "--modes", "graphed")  # which a CPU has not
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"  PyTorch, graphed, contiguous: did not run: .+\n  mlp: PyTorch did not run in any mode\n$")

    def test_ours_has_to_run(self):
        done = gpu_steps("nothing", "--modes", "eager")
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
