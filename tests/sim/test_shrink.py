"""The history of a failing seed gets shorter, and still fails. Usage: test_shrink.py SIM_SEEDS

A checker that dislikes something every lossy network does stands for a broken promise.
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
DISLIKES = """\
import sys
trace = open(sys.argv[2]).read()
print("a push came twice" if '"repeat"' in trace else "all hold")
sys.exit('"repeat"' in trace)
"""


class Shrinking(unittest.TestCase):
    def test_what_is_left_is_short_and_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            checker = Path(folder) / "checker.py"
            checker.write_text(DISLIKES)
            for seed in range(1, 40):  # some have little to take away
                command = self.shrunk(seed, checker)
                simpler = command[-1].split(",") if "--simpler" in command else []
                if len(simpler) > 5:
                    break
            self.assertGreater(len(simpler), 5, "no seed with anything to take away")
            self.assertFalse({"no-loss", "no-duplication"} <= set(simpler), "in a faithful network no push comes twice")
            left = self.trace(command)
            self.assertIn('"repeat"', left, "what is left fails too")
            self.assertLess(left.count("\n"), self.trace(command[:command.index("--simpler")]).count("\n") / 2)

    def shrunk(self, seed, checker):
        """The command that seeds.py ends with, as words; without a failure, the seed's own."""
        done = subprocess.run([sys.executable, str(HERE / "seeds.py"), SIM_SEEDS, str(checker), "1", str(seed)],
                              stdout=subprocess.PIPE, text=True)
        commands = [line.split() for line in done.stdout.splitlines() if line.strip().startswith(SIM_SEEDS)]
        self.assertEqual(done.returncode, 1 if commands else 0, done.stdout)
        self.assertIn("promises were broken" if commands else "all hold", done.stdout)
        return commands[-1] if commands else [SIM_SEEDS, "--first", str(seed), "--count", "1", "--out", "DIR"]

    def trace(self, command):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([out if word == "DIR" else word for word in command], stdout=subprocess.DEVNULL, check=True)
            return "".join(path.read_text() for path in Path(out).glob("*.trace.jsonl"))

    def test_a_name_that_is_none_is_refused(self):
        done = subprocess.run([SIM_SEEDS, "--simpler", "no-lss", "--out", "/nowhere"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-loss", done.stderr + done.stdout)


if __name__ == "__main__":
    SIM_SEEDS = sys.argv.pop(1)
    unittest.main()
