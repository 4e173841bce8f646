"""`compare` and `explain` with the real programs. Usage: test_compare.py BUILD_FOLDER [ARGUMENT of unittest...]"""

import csv
import json
import os
import shutil

from system_case import JOBS, SystemCase, main


class Compare(SystemCase):
    def compare(self, *words):
        return self.rubato("compare", JOBS / "quadratic.toml", "--out", self.folder / "out", *words)

    def runs(self):
        return list(csv.DictReader((self.folder / "out" / "RUNS.csv").read_text().splitlines()))

    def test_real_runs_with_more_workers_than_processors(self):
        workers = 4  # and 2 servers: more than the 2 processors of the smallest machines that run this
        said = self.compare("--modes", "bsp,asp", "--workers", workers, "--real")
        rows = self.runs()
        self.assertEqual([row["mode"] for row in rows], ["bsp", "asp"])
        for row in rows:
            self.assertEqual(row["samples"], str(4 * 2048))
            self.assertEqual(row["failure"], "")
        self.assertEqual((rows[0]["age_max"], rows[0]["updates"]), ("0", "256"), "of 32 samples each")
        page = (self.folder / "out" / "report.html").read_text()
        self.assertIn('id="data-none-waits"', page)
        if os.cpu_count() < workers + 2:
            self.assertIn("NOT COMPARABLE IN TIME", said)
            self.assertIn("not comparable", page)

    def test_simulated_runs_give_the_same_bytes_every_time(self):
        out = self.folder / "out"
        words = ("--modes", "bsp,ssp:2,asp", "--stragglers", "none,persistent:4x", "--workers", 8, "--seeds", 2)
        said = self.compare(*words)
        self.assertNotIn("NOT COMPARABLE", said)
        first = {name: (out / name).read_bytes() for name in ("RUNS.csv", "report.html")}
        shutil.rmtree(out)
        self.compare(*words)
        for name, content in first.items():
            self.assertEqual((out / name).read_bytes(), content, name)
        rows = {(row["mode"], row["stragglers"], row["seed"]): row for row in self.runs()}
        self.assertEqual(len(rows), 12)
        slow, even = rows["bsp", "persistent:4x", "1"], rows["bsp", "none", "1"]
        self.assertGreater(float(slow["train_s"]), 2 * float(even["train_s"]))
        self.assertEqual(slow["weights_sha256"], even["weights_sha256"], "bsp does not care who is slow")

    def test_explain_names_the_slow_worker(self):
        run = self.train("quadratic", "--workers", 3, "--mode", "ssp:1", debug__slow_worker_ms=20, train__epochs=2)
        found = json.loads(self.launcher("explain", run.run_dir, "--json"))
        culprit = next(finding for finding in found if finding["key"] == "one_culprit")
        self.assertIn("worker-0 held the others up", culprit["what"])


if __name__ == "__main__":
    main()
