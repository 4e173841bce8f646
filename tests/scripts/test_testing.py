"""What scripts/test.sh shows of what ctest says: failures and the summary whole, skipped tests in one line."""

import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

SAID = """\
Internal ctest changing into directory: /rubato/build
Test project /rubato/build
      Start    1: JobFile.Parses
 1/3 Test    #1: JobFile.Parses ..........................   Passed    0.01 sec
      Start    2: CudaSum.EqualsTheCpuBitForBit
      Start    3: launcher.words
 2/3 Test    #2: CudaSum.EqualsTheCpuBitForBit ...........***Skipped   0.01 sec
 3/3 Test    #3: launcher.words ..........................***Failed    0.16 sec
Traceback: why

67% tests passed, 1 tests failed out of 3

The following tests did not run:
\t  2 - CudaSum.EqualsTheCpuBitForBit (Skipped)

The following tests FAILED:
\t  3 - launcher.words (Failed)
"""

SHOWN = """\
Test project /rubato/build
 3/3 Test    #3: launcher.words ..........................***Failed    0.16 sec
Traceback: why

67% tests passed, 1 tests failed out of 3


The following tests FAILED:
\t  3 - launcher.words (Failed)
"""


def shell(command, **more):
    script = f'set -euo pipefail; source "{SCRIPTS}/test_output.sh"; {command}'
    return subprocess.run(["bash", "-c", script], text=True, check=True, capture_output=True, **more).stdout


class Testing(unittest.TestCase):
    def test_failures_and_the_summary_are_shown(self):
        self.assertEqual(shell("show_tests", input=SAID), SHOWN)

    def test_skipped_tests_are_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(shell(f"skipped_tests {folder}"), "")
            listed = Path(folder) / "LastTestsDisabled.log"
            where = f"; which: {listed}, why: {folder}/LastTest.log\n"
            for names, told in (
                (["CudaSum.Equals", 'Devices/Ops.Adds/cuda01  # GetParam() = "cuda:0"'],
                 "skipped: 2, 2 of them for want of a GPU"),
                (["parity.steps"], "skipped: 1 (others: parity.steps)"),
                (["parity.steps", "CudaSum.Equals"], "skipped: 2, 1 of them for want of a GPU (others: parity.steps)"),
            ):
                listed.write_text("".join(f"{number}:{name}\n" for number, name in enumerate(names)))
                self.assertEqual(shell(f"skipped_tests {folder}"), told + where)


if __name__ == "__main__":
    unittest.main()
