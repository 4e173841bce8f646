"""The grid: what is run, found again, refused, stopped. Usage: test_campaign.py [ARGUMENT of unittest...]"""

import signal
import subprocess
import time
import unittest

from lab_case import PATIENCE_S, LabCase

from dispositions import with_signals
from rubato_cli.failure import Failure
from rubato_lab.grid import Cell, Contender, Grid, parse_keys, split_list


class GridOfRuns(unittest.TestCase):
    def test_every_combination_seeds_last(self):
        grid = Grid(("bsp", "asp"), ("none", "persistent:4x"), 2, 1, (("optimizer.rate", ("0.1", "0.2")),),
                    (("optimizer.name", ("sgd", "adam")),), 3)
        cells = grid.cells()
        self.assertEqual(len(cells), 16)
        self.assertEqual(len(set(cells)), 16)
        self.assertEqual([cell.seed for cell in cells], [1] * 8 + [2] * 8)
        self.assertEqual([contender.name for contender in grid.contenders()], ["bsp, sgd", "bsp, adam", "asp, sgd", "asp, adam"])
        tuning = grid.tuning_cells()
        self.assertEqual(len(set(tuning)), 3 * 2 * 2 * 4)
        self.assertFalse({cell.seed for cell in tuning} & {cell.seed for cell in cells}, "seeds of their own")
        self.assertEqual(Grid(("bsp",), ("none",), 2).tuning_cells(), [])

    def test_each_contender_at_its_point(self):
        grid = Grid(("bsp", "asp"), ("none",), 1, 1, (("optimizer.rate", ("0.1", "0.2")),))
        cells = grid.cells(lambda contender, _: (("optimizer.rate", "0.2" if contender.mode == "asp" else "0.1"),))
        self.assertEqual([cell.settings["optimizer.rate"] for cell in cells], ["0.1", "0.2"])

    def test_what_a_cell_sets(self):
        contender = Contender("ssp:4", (("data.shards", "leased"),))
        cell = Cell(contender, "lognormal:0.5", 3, (("optimizer.rate", "0.1"),))
        self.assertEqual(cell.settings, {"consistency.mode": "ssp:4", "data.shards": "leased", "optimizer.rate": "0.1",
                                         "worker.stragglers": "lognormal:0.5", "train.seed": "3"})
        self.assertNotIn("worker.stragglers", Cell(Contender("bsp"), "none", 1).settings)
        self.assertEqual(cell.file_name, "ssp-4_lognormal-0.5_leased_0.1_seed3")
        self.assertEqual(cell.words, "ssp:4, shards=leased, lognormal:0.5, optimizer.rate=0.1, seed 3")

    def test_bad_lists_are_refused(self):
        for text in ("bsp,,asp", "", "bsp,bsp"):
            with self.assertRaises(Failure):
                split_list(text, "--modes")
        for text in ("optimizer.rate", "=1,2", "train.seed=1,2", "consistency.mode=bsp"):
            with self.assertRaises(Failure):
                parse_keys("--grid", [text])


class Campaigns(LabCase):
    def test_a_second_invocation_makes_nothing_again(self):
        self.compare("--modes", "bsp,asp", "--seeds", 2)
        self.assertEqual(len(self.made()), 4)
        again = self.compare("--modes", "bsp,asp", "--seeds", 2)
        self.assertIn("4 of 4 runs are there already", again.stdout)
        self.compare("--modes", "bsp,ssp:1,asp", "--seeds", 2)
        self.assertEqual(len(self.made()), 6)
        self.compare("--modes", "bsp", "--set", "optimizer.rate=0.3")
        self.assertEqual(len(self.made()), 7, "another job is another run")

    def test_other_programs_are_other_runs(self):
        self.compare("--modes", "bsp")
        path = self.build / "bin" / "rubato-sim"
        path.write_text(path.read_text() + "# another build\n")
        self.compare("--modes", "bsp")
        self.assertEqual(len(self.made()), 2)

    def test_a_failed_run_is_told_and_the_rest_goes_on(self):
        done = self.compare("--modes", "bsp,asp", "--seeds", 2, "--set", "fake.fail_mode=asp", code=1)
        self.assertIn("asp, seed 1: FAILED: it went wrong on purpose", done.stdout)
        self.assertIn("failed: asp, seed 2: it went wrong on purpose", done.stdout)
        self.assertRegex(done.stdout, r"none +asp +failed \(2\)")
        self.assertRegex(done.stdout, r"none +bsp +\d")
        self.assertIn("2 of 4 runs failed", done.stderr)
        self.assertIn("it went wrong on purpose", (self.out / "report.html").read_text())
        self.compare("--modes", "bsp,asp", "--seeds", 2, "--set", "fake.fail_mode=asp", code=1)
        self.assertEqual(len(self.made()), 6, "what failed is tried again, what is done is not")

    def test_fail_fast(self):
        done = self.compare("--modes", "asp,bsp", "--jobs", 1, "--set", "fake.fail_mode=asp", "--fail-fast", code=1)
        self.assertEqual(len(self.made()), 1)
        self.assertIn("asp, seed 1 failed: it went wrong on purpose", done.stderr)

    def test_a_value_that_the_job_never_takes_is_refused_before_the_first_run(self):
        said = "consistency.mode = \"nonsense\": a mode is"
        for words, choice in ((["--modes", "bsp,nonsense"], "--modes nonsense"),
                              (["--modes", "bsp", "--stragglers", "none,zzz"], "--stragglers zzz"),
                              (["--modes", "bsp", "--grid", "optimizer.rate=0.1,zzz"], "--grid optimizer.rate=zzz"),
                              (["--modes", "bsp,asp", "--vary", "optimizer.rate=0.1,zzz"], "--vary optimizer.rate=zzz"),
                              (["--modes", "nonsense"], "none of these runs can be made")):
            done = self.compare(*words, code=2)
            self.assertTrue(done.stderr.startswith(f"rubato: error: {choice}: job.toml:1:"), done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertFalse(self.out.exists(), "nothing is made")

    def test_a_combination_that_the_job_refuses_is_one_failed_row(self):
        done = self.compare("--modes", "bsp,asp", "--vary", "data.shards=static,leased", code=1)
        self.assertIn("bsp, shards=leased, seed 1: FAILED: job.toml:1: leases do not go with bsp", done.stdout)
        self.assertEqual(len(self.made()), 3)

    def test_bad_words_are_one_line(self):
        for words in (["--modes", "bsp,,asp"], ["--modes", "bsp", "--seeds", 0], ["--modes", "bsp", "--set", "x"],
                      ["--modes", "bsp", "--jobs", 0], ["--modes", "bsp", "--target", 2], ["--modes", "bsp", "--target", 0],
                      ["--modes", "bsp", "--target", "nan"]):
            done = self.compare(*words, code=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertFalse(self.out.exists(), "nothing is made")
        self.compare("--modes", "bsp", "--target", 2, "--set", "model.name=quadratic")

    def test_ctrl_c_stops_cleanly_and_the_next_goes_on(self):
        words = ("--modes", "bsp,asp", "--seeds", 3, "--jobs", 1, "--set", "fake.sleep_s=0.5")
        process = subprocess.Popen(self.command(*words), cwd=self.folder, env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                   preexec_fn=with_signals())
        self.addCleanup(process.kill)
        deadline = time.monotonic() + PATIENCE_S
        while not list(self.out.glob("runs/*/done.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
        self.assertEqual(process.returncode, 130)
        self.assertRegex(errors, r"^rubato: error: stopped with [1-5] of 6 runs done; the same command goes on from here\n$")
        finished = len(list(self.out.glob("runs/*/done.json")))
        self.assertEqual(len([path for path in self.out.glob("runs/*") if path.is_dir()]), finished, "nothing half done is left")
        again = self.compare(*words)
        self.assertIn(f"{finished} of 6 runs are there already", again.stdout)

    def test_a_micro_batch_for_each_worker(self):
        done = self.compare("--modes", "bsp", "--workers", 6, "--set", "train.micro_batches=8")
        self.assertNotIn("micro_batches", done.stdout)
        done = self.compare("--modes", "bsp", "--workers", 6)
        self.assertIn("train.micro_batches is 8 here and 1 in the job: bsp wants one for each worker", done.stdout)
        self.assertNotIn("bsp wants", self.compare("--modes", "asp", "--workers", 6).stdout)
        job = next(path for path in self.out.glob("runs/*/job.toml") if "micro_batches = 8" in path.read_text())
        self.assertIn("workers = 6", job.read_text())

    def test_one_best_point_of_the_grid_for_each_mode(self):
        done = self.compare("--modes", "bsp,asp", "--grid", "optimizer.rate=0.02,0.1,0.3")
        self.assertIn("first 6 runs to find the best of the grid", done.stdout)
        self.assertEqual(len(self.made()), 8)
        rows = [line.split() for line in done.stdout.splitlines() if line.startswith("none")]
        self.assertEqual([row[2] for row in rows], ["0.1", "0.1"])
        self.assertNotIn("edge of the grid", done.stdout)
        done = self.compare("--modes", "bsp,asp", "--grid", "optimizer.rate=0.1,0.3,0.2")
        self.assertIn("optimizer.rate: the best value for bsp, asp under none is at the edge of the grid", done.stdout)

    def test_varied_keys_are_compared(self):
        done = self.compare("--modes", "bsp,asp", "--vary", "optimizer.name=sgd,adam", "--grid", "optimizer.rate=0.05,0.1,0.3",
                            "--seeds", 2, "--tuning-seeds", 2)
        self.assertEqual(len(self.made()), 4 * 3 * 2 + 4 * 2)
        rows = [line for line in done.stdout.splitlines() if line.startswith("none")]
        self.assertEqual([row[5:].strip().partition("  ")[0] for row in rows], ["bsp, sgd", "bsp, adam", "asp, sgd", "asp, adam"])
        self.compare("--modes", "bsp", "--vary", "optimizer.rate=1,2", "--grid", "optimizer.rate=1,2", code=2)


if __name__ == "__main__":
    unittest.main()
