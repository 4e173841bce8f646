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
            done = subprocess.run([sys.executable, str(HERE / "seeds.py"), SIM_SEEDS, str(checker), "12", "1"],
                                  stdout=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("promises were broken", done.stdout)
            last = next(line for line in reversed(done.stdout.splitlines()) if "--simpler" in line)
            command = last.strip().replace("DIR", folder).split()
            simpler = command[command.index("--simpler") + 1].split(",")
            self.assertIn("one-fewer-epoch", simpler, "one epoch is enough for a push to come twice")
            self.assertFalse({"no-loss", "no-duplication"} <= set(simpler), "in a faithful network none does")

            def lines(words):
                with tempfile.TemporaryDirectory() as out:
                    subprocess.run([*words[:words.index("--out")], "--out", out, *words[words.index("--out") + 2:]],
                                   stdout=subprocess.DEVNULL, check=True)
                    traces = [path.read_text() for path in Path(out).glob("*.trace.jsonl")]
                    self.assertTrue(any('"repeat"' in trace for trace in traces), "what is left fails too")
                    return sum(trace.count("\n") for trace in traces)

            self.assertLess(lines(command), lines(command[:command.index("--simpler")]) / 2)

    def test_a_name_that_is_none_is_refused(self):
        done = subprocess.run([SIM_SEEDS, "--simpler", "no-lss", "--out", "/nowhere"], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("no-loss", done.stderr + done.stdout)


if __name__ == "__main__":
    SIM_SEEDS = sys.argv.pop(1)
    unittest.main()
