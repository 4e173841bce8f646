"""A run directory is all that the checker needs.

Usage: run_setting_test.py [UNITTEST_ARGUMENT...]
"""

import contextlib
import io
import json
import os
import tempfile
import unittest

import check_trace
from good_traces import ARRIVAL, arrival
from run_setting import described_by
from trace_case import members

JOB = """
[cluster]
workers = 2
[consistency]
mode = "{mode}"
[data]
shards = "static"
[train]
batch = 32
micro_batches = 4
[optimizer]
rate = 0.1
[optimizer.schedule]
name = "{schedule}"
warmup_epochs = {warmup}
[optimizer.compensation]
name = "{compensation}"
"""


class RunDirectory(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_dir = folder.name

    def write(self, name, text):
        path = os.path.join(self.run_dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def describe(self, mode, compensation="none", slices=9, last="final", cut_off="", schedule="constant", warmup=0.0):
        self.write("job.toml", JOB.format(mode=mode, compensation=compensation, schedule=schedule, warmup=warmup))
        events = [{"event": "start", "slices": slices}, {"event": last}]
        self.write("metrics.jsonl", "".join(json.dumps(event) + "\n" for event in events) + cut_off)
        return described_by(self.run_dir)

    def assert_promises(self, mode, **promised):
        found = self.describe(mode)
        for key, value in {"bound_low": None, "backups": None, "splits": None, "local_steps": None, **promised}.items():
            self.assertEqual(found.get(key), value, f"{key} of {mode}")
        check_trace.Setting(**found)

    def test_what_each_mode_promises(self):
        self.assert_promises("bsp", bound=0, aggregate=True, leaves=4)
        self.assert_promises("ssp:3", bound=3, aggregate=False, workers=2, slices=9)
        self.assert_promises("asp", bound=-1)
        self.assert_promises("dssp:1..4", bound=4, bound_low=1)
        self.assert_promises("backup:1", bound=0, backups=1)
        self.assert_promises("softsync:2", bound=-1, splits=2)
        self.assert_promises("local:8", bound=0, backups=0, local_steps=8, batch=32)
        self.assert_promises("local:8+ssp:2", bound=2, local_steps=8, batch=32)

    def test_a_rate_is_promised_where_no_schedule_moves_it(self):
        self.assertEqual(self.describe("asp")["rate"], 0.1)
        self.assertIsNone(self.describe("asp", schedule="cosine")["rate"])
        self.assertIsNone(self.describe("asp", warmup=1.0)["rate"])

    def test_delays_are_compensated_for_where_there_are_any(self):
        for mode, compensated in (("asp", True), ("softsync:2", True), ("bsp", False), ("local:4+asp", False)):
            self.assertEqual(self.describe(mode, compensation="constant")["compensated"], compensated, mode)
        self.assertFalse(self.describe("asp")["compensated"])

    def test_a_run_that_came_to_no_end_is_not_complete(self):
        self.assertTrue(self.describe("asp", cut_off='{"event": "fai')["complete"])
        self.assertFalse(self.describe("asp", last="failed")["complete"])

    def check(self):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            return check_trace.main([self.run_dir]), output.getvalue()

    def test_is_checked_by_itself(self):
        self.describe(ARRIVAL["mode"], slices=ARRIVAL["slices"])
        self.assertEqual(described_by(self.run_dir)["bound"], ARRIVAL["bound"])
        for name, text in members(arrival()).items():
            self.write(f"trace/{name}", text)
        code, output = self.check()
        self.assertEqual(code, 0, output)
        self.assertIn("all hold", output)

    def test_what_is_no_traced_run_is_named(self):
        for made, words in ((None, "job.toml"), ("traceless", "trace")):
            if made:
                self.describe("asp")
            code, output = self.check()
            self.assertEqual(code, 2, output)
            self.assertIn(f"check_trace: {self.run_dir}", output.replace("[Errno 2] No such file or directory: '", ""))
            self.assertIn(words, output)
        self.write("metrics.jsonl", '{"event": "failed"}\n')
        self.assertIn("training never began", self.check()[1])


if __name__ == "__main__":
    unittest.main()
