"""The event files, read by TensorBoard itself. Usage: test_tensorboard.py BUILD_FOLDER [ARGUMENT of unittest...]

TensorBoard comes from PyPI into BUILD_FOLDER/tensorboard-venv, once. Where PyPI cannot be reached, that half is skipped
and said so.
"""

import json
import subprocess
import sys
import unittest
from pathlib import Path

from lab_case import HERE, SKIPPED, LabCase

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pypi import install  # noqa: E402

from rubato_lab.tensorboard import protobuf, records
from rubato_lab.tensorboard.events import histogram

REQUIREMENT = "tensorboard==2.21.0"


class Bytes(unittest.TestCase):
    def test_checksums_of_known_bytes(self):
        # RFC 3720, B.4.
        self.assertEqual(records.crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(records.crc32c(bytes([0xFF] * 32)), 0x62A8AB43)
        self.assertEqual(records.crc32c(bytes(range(32))), 0x46DD794E)

    def test_varints(self):
        self.assertEqual(protobuf.varint(0), b"\0")
        self.assertEqual(protobuf.varint(300), b"\xac\x02")
        self.assertEqual(len(protobuf.varint(-1)), 10)

    def test_a_histogram_of_far_ages_has_few_buckets(self):
        self.assertLess(len(histogram("age", {0: 1, 100000: 1})), 4000)


class Files(LabCase):
    def test_what_tensorboard_reads(self):
        self.compare("--modes", "bsp,asp", "--seeds", 2, "--grid", "optimizer.rate=0.1,0.2")
        done = subprocess.run([PYTHON, HERE / "read_events.py", self.out / "tensorboard"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        runs = json.loads(done.stdout)
        self.assertEqual(len(runs), 8)
        run = runs["asp_none_0.1_seed2"]

        path = next(self.out.glob("runs/asp_none_0.1_seed2-*/metrics.jsonl"))
        metrics = [json.loads(line) for line in path.read_text().splitlines()]
        evaluated = [line for line in metrics if line["event"] in ("evaluation", "final")]
        accuracy = run["scalars"]["test/accuracy"]
        self.assertEqual([step for _, step, _ in accuracy], [line["updates"] for line in evaluated])
        for (wall, _, value), line in zip(accuracy, evaluated):
            self.assertAlmostEqual(value, line["test_accuracy"], places=6)
            self.assertAlmostEqual(wall - accuracy[0][0], line["reached_s"] - evaluated[0]["reached_s"], places=4)
        self.assertEqual(len(run["scalars"]["train/loss"]), sum(line["event"] == "progress" for line in metrics))

        ages = run["histograms"]["age"]
        counts = dict(evaluated[-1]["ages"])
        self.assertEqual((ages["num"], ages["min"], ages["max"]), (sum(counts.values()), min(counts), max(counts)))
        for limit, count in ages["buckets"]:
            self.assertEqual(count, counts.get(int(limit), 0) if limit > 0 else 0)

        self.assertEqual(run["hparams"], {"mode": "asp", "stragglers": "none", "optimizer.rate": 0.1, "seed": 2.0})
        self.assertEqual(sorted(run["declared"]), sorted(run["hparams"]))
        self.assertIn("test/accuracy", run["metrics"])
        self.assertEqual(run["status"], 1)
        self.assertEqual(run["group"], runs["asp_none_0.1_seed1"]["group"], "seeds are one group")
        self.assertNotEqual(run["group"], runs["asp_none_0.2_seed1001"]["group"])


if __name__ == "__main__":
    PYTHON = install(Path(sys.argv.pop(1)) / "tensorboard-venv", REQUIREMENT, "tensorboard")
    if PYTHON is None:
        print("skipped: what needs TensorBoard")
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(Bytes)
        sys.exit(SKIPPED if unittest.TextTestRunner().run(suite).wasSuccessful() else 1)
    unittest.main()
