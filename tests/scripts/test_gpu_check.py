"""What scripts/gpu_check.sh says, and ends with, where the GPU and what was packed are made up; and what
scripts/gpu_pack.sh refuses."""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CARD = "NVIDIA Imaginary 9000, 580.1, 81920 MiB"

PASSES = 'echo "[  PASSED  ] 12 tests."; echo "[  SKIPPED ] 1 test, listed below:"'
FAILS = 'echo "x.cc:3: Failure"; echo "[  PASSED  ] 11 tests."; echo "[  FAILED  ] 1 test, listed below:"; exit 1'
SKIPS = 'echo "[  PASSED  ] 0 tests."; echo "[  SKIPPED ] 13 tests, listed below:"'


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "path").mkdir()
        self.report = self.folder / "report.txt"
        # python3 as this test has it, which may be newer than the system's.
        self.program(self.folder / "path" / "python3", f'exec {sys.executable} "$@"')

    def program(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def pack(self, tests=PASSES, launcher='print("finished in 3.0 s, test accuracy 96.33%")', rules='echo "device copy: 3000 GB/s"',
             steps='print("  Rubato 120.0, PyTorch 100.0: 1.20")', parity='print("cnn losses 0.98")',
             overlap='print("resnet18: overlap 0.93")') -> None:
        stage = self.folder / "stage"
        self.program(stage / "bin" / "backend_test", tests)
        self.program(stage / "bin" / "rule_cuda_test", PASSES)
        self.program(stage / "bin" / "server_device_update_test", PASSES)
        self.program(stage / "bin" / "gpu_rules", rules)
        (stage / "scripts").mkdir()
        (stage / "bench").mkdir()
        (stage / "bench" / "overlap.py").write_text(overlap + "\n")
        (stage / "bench" / "gpu_steps.py").write_text(steps + "\n")
        (stage / "tests" / "parity").mkdir(parents=True)
        (stage / "tests" / "parity" / "devices_test.py").write_text(parity + "\n")
        (stage / "scripts" / "rubato").write_text(launcher + "\n")
        (stage / "commit").write_text("abc123\n")
        (self.folder / "pack").mkdir()
        with tarfile.open(self.folder / "pack" / "rubato.tar.gz", "w:gz") as archive:
            archive.add(stage, ".")

    def give_torch(self, *, with_gpu: bool) -> None:
        """A PyTorch for the python3 that gpu_check.sh finds."""
        (self.folder / "torch.py").write_text(
            f"class cuda:\n    is_available = staticmethod(lambda: {with_gpu})\n")
        self.program(self.folder / "path" / "python3", f'PYTHONPATH={self.folder} exec {sys.executable} "$@"')

    def check(self, *, card: str = CARD) -> subprocess.CompletedProcess:
        self.program(self.folder / "path" / "nvidia-smi", f'echo "{card}"' if card else 'echo "No devices" >&2; exit 6')
        environment = dict(os.environ, PATH=f"{self.folder / 'path'}:/usr/bin:/bin")
        command = [SCRIPTS / "gpu_check.sh", "--pack", self.folder / "pack", "--report", self.report]
        return subprocess.run(command, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=60)

    def test_without_a_gpu_it_is_one_line_and_a_code_of_its_own(self):
        done = self.check(card="")
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr, "gpu_check.sh: error: no GPU found: nvidia-smi names none here; run this where it does\n")
        self.assertFalse(self.report.exists())

    def test_the_report_has_the_cards_name_and_says_what_was_not_run(self):
        self.pack()
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = self.report.read_text().splitlines()
        self.assertTrue(lines[0].startswith(f"Rubato abc123 on {CARD}, "), lines[0])
        self.assertIn("contract: passed, 12 tests, 1 skipped", lines)
        self.assertIn("rules: passed, 12 tests, 1 skipped", lines)
        self.assertIn("servers: passed, 12 tests, 1 skipped", lines)
        self.assertIn("quickstart: passed, two workers on the GPU: finished in 3.0 s, test accuracy 96.33%", lines)
        self.assertIn("    device copy: 3000 GB/s", lines)
        self.assertIn("overlap: passed, pushing and pulling behind compute (0.90 is wanted)", lines)
        self.assertIn("    resnet18: overlap 0.93", lines)
        self.assertEqual(done.stdout.splitlines(), lines)

    def test_steps_are_shown_beside_those_of_a_pytorch_that_uses_the_gpu(self):
        self.pack()
        self.give_torch(with_gpu=True)
        self.assertEqual(self.check().returncode, 0)
        lines = self.report.read_text().splitlines()
        self.assertIn("steps: passed, forward and backward beside PyTorch (0.95 is wanted)", lines)
        self.assertIn("      Rubato 120.0, PyTorch 100.0: 1.20", lines)

    def test_steps_and_parity_are_not_run_without_one(self):
        self.pack()
        self.give_torch(with_gpu=False)
        self.assertEqual(self.check().returncode, 0)
        for part in ("steps", "parity"):
            self.assertIn(f"{part}: not run: this python3 has no PyTorch that uses a GPU", self.report.read_text())

    def test_parity_is_shown(self):
        self.pack()
        self.give_torch(with_gpu=True)
        self.assertEqual(self.check().returncode, 0)
        lines = self.report.read_text().splitlines()
        self.assertIn("parity: passed, scores, gradients and losses: at most 3 times as far from PyTorch's float64 as its float32", lines)
        self.assertIn("    cnn losses 0.98", lines)

    def test_parity_that_is_too_far_fails(self):
        self.pack(parity='import sys; print("cnn losses 7.00  too far"); sys.exit(1)')
        self.give_torch(with_gpu=True)
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("parity: FAILED, exit code 1\n    cnn losses 7.00  too far\n", self.report.read_text())

    def test_parity_that_skips_itself_says_why(self):
        self.pack(parity='import sys; print("skipped: no NumPy"); sys.exit(77)')
        self.give_torch(with_gpu=True)
        self.assertEqual(self.check().returncode, 0)
        self.assertIn("parity: not run: skipped: no NumPy", self.report.read_text())

    def test_what_fails_is_shown_and_the_others_run(self):
        self.pack(tests=FAILS, launcher='import sys; print("rubato: error: lost"); sys.exit(5)', rules="exit 7")
        done = self.check()
        self.assertEqual(done.returncode, 1)
        text = self.report.read_text()
        for words in ("contract: FAILED, exit code 1, 11 tests passed, 0 skipped", "    x.cc:3: Failure",
                      "rules: passed", "quickstart: FAILED, exit code 5", "    rubato: error: lost",
                      "bench: FAILED, exit code 7", "3 failed; "):
            self.assertIn(words, text)

    def test_an_overlap_that_is_not_measured_has_failed(self):
        self.pack(overlap='import sys; print("overlap: gpu_steps: exit code 7"); sys.exit(1)')
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("overlap: FAILED, exit code 1\n    overlap: gpu_steps: exit code 7\n", self.report.read_text())

    def test_the_parts_have_eight_minutes_together(self):
        limits = re.search(r"^contract_s=.*$", (SCRIPTS / "gpu_check.sh").read_text(), re.MULTILINE)[0]
        self.assertLessEqual(sum(int(limit.split("=")[1]) for limit in limits.split()), 480)

    def test_a_job_that_learns_nothing_has_failed(self):
        self.pack(launcher='print("finished in 3.0 s, test accuracy 33.17%")')
        self.assertEqual(self.check().returncode, 1)
        self.assertIn("quickstart: FAILED, exit code 0, a test accuracy of 33 percent", self.report.read_text())

    def test_tests_that_skip_themselves_are_none_that_pass(self):
        self.pack(tests=SKIPS)
        done = self.check()
        self.assertEqual(done.returncode, 1)
        self.assertIn("contract: FAILED, exit code 0, 0 tests passed, 13 skipped", self.report.read_text())

    def test_a_folder_that_nothing_was_packed_in(self):
        done = self.check()
        self.assertEqual(done.returncode, 2)
        self.assertIn("pack it with scripts/gpu_pack.sh", done.stderr)

    def test_nothing_is_packed_over_what_is_there_nor_from_what_is_not_built(self):
        (self.folder / "full").mkdir()
        (self.folder / "full" / "file").touch()
        for words, expected in ((("--to", self.folder / "full"), "is not empty"),
                                (("--to", self.folder / "new", "--build-dir", self.folder), "there is no ")):
            done = subprocess.run([SCRIPTS / "gpu_pack.sh", *words], text=True, capture_output=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(expected, done.stderr)

    def test_folders_to_pack_are_from_where_one_stands(self):
        (self.folder / "full").mkdir()
        (self.folder / "full" / "file").touch()
        for words, expected in ((("--to", "full"), f"{self.folder}/full is not empty"),
                                (("--to", "new", "--build-dir", "built"), f"there is no {self.folder}/built/bin/")):
            done = subprocess.run([SCRIPTS / "gpu_pack.sh", *words], cwd=self.folder, text=True, capture_output=True,
                                  timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn(expected, done.stderr)
        self.assertTrue((self.folder / "new").is_dir())


if __name__ == "__main__":
    unittest.main()
