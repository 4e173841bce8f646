"""bench/overlap.py: what it makes of its figures, and that it measures with the programs as they are, on the CPU."""

import importlib.util
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop(1))
FILE = ROOT / "bench" / "overlap.py"
SPEC = importlib.util.spec_from_file_location("overlap", FILE)
overlap = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(overlap)


def measure(*words):
    command = [sys.executable, FILE, *words, "--rounds", "1", "--steps", "2", "--batch", "8", "--seconds", "0.01"]
    return subprocess.run(command, text=True, capture_output=True, timeout=300)


class Overlap(unittest.TestCase):
    def test_all_hidden_is_one_and_nothing_hidden_is_none(self):
        self.assertEqual(overlap.overlap_of(with_servers=2.0, without=2.0, alone=0.5), 1.0)
        self.assertEqual(overlap.overlap_of(with_servers=2.5, without=2.0, alone=0.5), 0.0)
        self.assertAlmostEqual(overlap.overlap_of(with_servers=2.05, without=2.0, alone=0.5), 0.9)

    def test_an_array_has_numpys_header(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.npy"
            overlap.write_npy(file, (3,), b"abc")
            data = file.read_bytes()
        self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
        self.assertEqual((10 + int.from_bytes(data[8:10], "little")) % 64, 0)
        self.assertTrue(data.endswith(b"\nabc"))

    def test_it_measures_on_the_cpu(self):
        done = measure("mlp", "--bin", BUILD / "bin")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^mlp, batch 8, float32, cpu, 1 servers: a step [\d.]+ ms, without servers [\d.]+ ms, "
                                      r"push and pull alone [\d.]+ ms: overlap -?[\d.]+, 0.9 is asked\n$")

    def test_programs_that_are_not_there_are_told(self):
        done = measure("mlp", "--bin", "/nowhere/bin")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^overlap: .+\n$")


if __name__ == "__main__":
    unittest.main()
