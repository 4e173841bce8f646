"""Workers that die, stop, stand still, or compute nonsense: named, and the others go on."""

import os
import signal
import subprocess
import time
import unittest

import tracing
from system_case import SystemCase, main

NAMED_WITHIN_S = 1.0
# Worker 0 sleeps a little in every step: a job of some seconds that leaves the processors alone.
PACE = {"train__steps": 300, "debug__slow_worker_ms": 5}
# Where nobody waits for a slow one: each worker sleeps a little in every step.
PACE_OF_EACH = {"train__steps": 1000, "worker__stragglers": "constant:3"}


class Killed(SystemCase):
    def kill_one(self, mode, **settings):
        """Worker 1 of 3 is killed in mid-job; returns the run when it has ended well."""
        run = self.start("quadratic", "--mode", mode, "--workers", 3, debug__trace=True, **settings)
        run.wait_for_clock("worker-1", 20)
        run.kill("worker-1")
        run.wait_for_output("worker-1 was killed by SIGKILL", NAMED_WITHIN_S)
        self.assert_ends(run, 0)
        self.assertIn("warning: worker-1 was killed by SIGKILL", run.output)
        self.assertRegex(run.output, r"warning: scheduler: worker-1 .*; 2 of 3 workers go on")
        lost = [line for line in run.metrics() if line["event"] == "worker_lost"]
        self.assertEqual([line["worker"] for line in lost], ["worker-1"])
        self.assertGreaterEqual(lost[0]["clock"], 20)
        return run

    def assert_promises_kept(self, run):
        result = tracing.check(run)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_bsp_loses_not_a_bit(self):
        whole = self.train("quadratic", "--mode", "bsp", "--workers", 3, **PACE).final()
        run = self.kill_one("bsp", **PACE)
        self.assertEqual(run.final()["weights_sha256"], whole["weights_sha256"])
        self.assertEqual(run.final()["samples"], whole["samples"])
        self.assert_promises_kept(run)

    def test_ssp(self):
        run = self.kill_one("ssp:2", **PACE)
        self.assertEqual(run.final()["clock"], PACE["train__steps"])
        self.assert_promises_kept(run)

    def test_dssp(self):
        run = self.kill_one("dssp:1..4", **PACE)
        self.assertEqual(run.final()["clock"], PACE["train__steps"])
        self.assert_promises_kept(run)

    def test_backup(self):
        """Worker 0 is the slow one, so two of three are waited for, and then one of two."""
        run = self.kill_one("backup:1", **PACE)
        self.assertEqual(run.final()["clock"], PACE["train__steps"])
        self.assert_promises_kept(run)

    def test_softsync(self):
        run = self.kill_one("softsync:1", **PACE_OF_EACH)
        self.assertEqual(run.final()["clock"], PACE_OF_EACH["train__steps"])
        self.assert_promises_kept(run)

    def test_asp(self):
        run = self.kill_one("asp", **PACE_OF_EACH)
        self.assert_promises_kept(run)

    def test_local_steps(self):
        """What the dead worker's optimizer had gathered is lost with it, and named."""
        for mode, pace, outer in (("local:4", PACE, "average"), ("local:4+ssp:2", PACE, "nesterov"),
                                  ("local:4+asp", {**PACE_OF_EACH, "train__steps": 300}, "delayed_nesterov")):
            with self.subTest(mode):
                run = self.kill_one(mode, **pace, optimizer__name="momentum", optimizer__outer__name=outer)
                self.assertIn("2 of 3 workers go on; the state of its inner momentum is lost with it", run.output)
                self.assertEqual(run.final()["clock"], pace["train__steps"])
                self.assert_promises_kept(run)

    def test_the_last_worker(self):
        run = self.start("quadratic", "--workers", 1, **PACE)
        run.wait_for_clock("worker-0", 20)
        run.kill("worker-0")
        self.assert_one_error(run, 5, "worker-0 was killed by SIGKILL")

    def test_all_but_one_after_each_other(self):
        run = self.start("quadratic", "--workers", 4, "--mode", "bsp", **PACE)
        for rank in (1, 2, 3):
            run.wait_for_clock("worker-0", 40 * rank)
            run.kill(f"worker-{rank}")
        self.assert_ends(run, 0)
        whole = self.train("quadratic", "--workers", 1, "--mode", "bsp", **PACE)
        self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])


class Returned(SystemCase):
    """Worker 1 is killed and comes back, in each on-arrival mode, and with leases. All steps are made long, so that the
    job is, and leaves the processors alone."""

    LONG = {"train__steps": 0, "train__epochs": 10, "train__batch": 8, "data__samples": 1024,
            "worker__stragglers": "constant:20", "debug__trace": True}

    def assert_came_back(self, run):
        back = [line for line in run.metrics() if line["event"] == "worker_returned"]
        self.assertEqual([(line["worker"], line["life"]) for line in back], [("worker-1", 2)])
        final = run.final()
        lost = next(line for line in run.metrics() if line["event"] == "worker_lost")
        self.assertGreater(final["clock"], lost["clock"])
        epochs = [line for line in run.metrics() if line["event"] == "epoch"]
        self.assertEqual(final["samples"] + final["samples_dropped"], 1024 * len(epochs))
        self.assertEqual(epochs[-1]["samples"], 1024)  # all of the last epoch
        result = tracing.check(run)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def assert_the_launcher_starts_it_again(self, shards, *modes):
        for mode in modes:
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, "--workers", 3, data__shards=shards,
                                 cluster__restarts=1, **self.LONG)
                run.wait_for_clock("worker-1", 10)
                run.kill("worker-1")
                run.wait_for_output("warning: worker-1 was killed by SIGKILL; starting it again")
                self.assert_ends(run, 0)
                self.assert_came_back(run)

    def test_the_launcher_starts_it_again(self):
        self.assert_the_launcher_starts_it_again("static", "ssp:2", "asp")

    def test_the_launcher_starts_it_again_where_there_are_leases(self):
        self.assert_the_launcher_starts_it_again("leased", "dssp:1..4", "asp", "softsync:1")

    def test_by_hand(self):
        run = self.start("quadratic", "--mode", "ssp:4", "--workers", 3, data__shards="leased", **self.LONG)
        run.wait_for_clock("worker-1", 10)
        run.kill("worker-1")
        run.wait_for_output("2 of 3 workers go on")
        again = [self.build / "bin" / "rubato-worker", "--job", run.run_dir / "job.toml", "--run-dir", run.run_dir,
                 "--scheduler", run.address()["endpoint"], "--rank", "1"]
        worker = subprocess.Popen(again, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.kill)
        self.assert_ends(run, 0)
        self.assertEqual(worker.wait(), 0)
        self.assert_came_back(run)


class Stopped(SystemCase):
    def test_is_named_evicted_and_killed(self):
        for mode in ("bsp", "ssp:2"):
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, train__steps=700, debug__slow_worker_ms=5,
                                 cluster__lost_after_s=2.0)
                run.wait_for_clock("worker-1", 20)
                run.kill("worker-1", signal.SIGSTOP)
                run.wait_for_output("worker-1 has been silent for")
                clock = run.worker("worker-0")["clock"]
                run.wait_for_clock("worker-0", clock + 50)
                self.assertEqual(run.worker("worker-1")["state"], "evicted")
                run.wait_for_output("warning: worker-1 was evicted; killing it")
                run.wait_until(lambda: "worker-1" not in run.pids(), "its end")
                self.assert_ends(run, 0)
                self.assertNotIn("SIGKILL", run.output)  # it was the launcher itself

    def test_for_a_moment_only(self):
        run = self.start("quadratic", "--mode", "ssp:2", cluster__lost_after_s=2.0, **PACE)
        run.wait_for_clock("worker-1", 20)
        run.kill("worker-1", signal.SIGSTOP)
        time.sleep(0.5)
        run.kill("worker-1", signal.SIGCONT)
        self.assert_ends(run, 0)
        self.assertNotIn("warning", run.output)

    def test_all_for_longer_than_one_may_be_silent(self):
        """As a person does who needs the machine for something else. In whatever order they go on."""
        for mode in ("bsp", "ssp:2"):
            for launcher_too in (False, True):
                with self.subTest(mode, launcher_too=launcher_too):
                    run = self.start("quadratic", "--mode", mode, "--workers", 2, cluster__lost_after_s=1.0,
                                     consistency__evict_after_s=2.0, **PACE)
                    run.wait_for_clock("worker-1", 20)
                    pids = [*run.pids().values(), *[run.launcher.pid] * launcher_too]
                    for pid in pids:
                        os.kill(pid, signal.SIGSTOP)
                    time.sleep(5.0)
                    for pid in sorted(pids, reverse=launcher_too):
                        os.kill(pid, signal.SIGCONT)
                    self.assert_ends(run, 0)
                    self.assertNotIn("warning", run.output)

    def test_shortly_before_the_end(self):
        """It cannot obey, so the launcher kills it with the job, and waits for nothing."""
        run = self.start("quadratic", "--mode", "asp", train__steps=200, debug__slow_worker_ms=10,
                         cluster__lost_after_s=60)
        run.wait_for_clock("worker-0", 150)
        run.wait_until(lambda: run.worker("worker-1")["state"] == "done", "worker-1 to be done")
        run.kill("worker-1", signal.SIGSTOP)
        self.assert_ends(run, 0)
        self.assertIn("warning: worker-1 was stopped (SIGSTOP); killing it", run.output)

    def test_the_evaluator_is_replaced(self):
        run = self.start("quadratic", "--mode", "ssp:2", train__steps=1000, debug__slow_worker_ms=5,
                         cluster__lost_after_s=2.0)
        run.wait_for_clock("worker-1", 20)
        run.kill("evaluator-0", signal.SIGSTOP)
        run.wait_for_output("warning: evaluator-0 was evicted; killing it")
        run.wait_for_output("starting it again")
        self.assert_ends(run, 0)
        self.assertIsNotNone(run.final()["test_loss"])


class StandsStill(SystemCase):
    def test_is_named_and_then_evicted(self):
        run = self.start("quadratic", "--mode", "ssp:2", train__steps=200, debug__slow_worker_ms=5000,
                         consistency__evict_after_s=1.0)
        run.wait_for_output("worker-0 has not got on with step 0 for")
        self.assertIn("it will be evicted at 1.0 s", run.output)
        run.wait_for_output("worker-0 did not get on with step 0")
        self.assert_ends(run, 0)
        self.assertIn("1 of 2 workers go on", run.output)
        self.assertEqual(run.final()["clock"], 200)

    def test_a_slow_one_is_none_of_these(self):
        """20 times its usual step, if that is longer than evict_after_s."""
        run = self.train("quadratic", "--mode", "ssp:2", train__steps=15, debug__slow_worker_ms=150,
                         consistency__evict_after_s=0.5)
        self.assertNotIn("evicted", run.output)


class NotFinite(SystemCase):
    def test_skip_drops_it_and_counts(self):
        for mode in ("bsp", "ssp:2", "asp"):
            with self.subTest(mode):
                run = self.train("quadratic", "--mode", mode, debug__nonfinite_at=5, consistency__nonfinite="skip")
                self.assertGreaterEqual(run.final()["nonfinite"], 1)
                self.assertIsNotNone(run.final()["test_loss"])
                line = next(line for line in run.metrics() if line["event"] == "nonfinite")
                self.assertEqual((line["worker"], line["clock"], line["parameter"], line["element"]), ("worker-0", 5, "w", 0))
                last = run.output[run.output.index("finished in"):]
                self.assertRegex(last, "warning: .* not finite and dropped, .* of w at clock 5 of worker-0, after .* s; a smaller")
                self.assertRegex(run.output, r"warning: .*gradient of w\[0\] .* clock 5 is not finite; it was dropped")

    def test_stop_ends_the_job(self):
        for mode in ("bsp", "asp"):
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, debug__nonfinite_at=5, consistency__nonfinite="stop")
                self.assert_one_error(run, 6, "gradient of w", "worker-0", "clock 5")
                self.assert_cause_comes_first(run, "the gradient of w")
                self.assertIn("error: scheduler: the gradient of w", run.output)  # and no server that repeats it


if __name__ == "__main__":
    main()
