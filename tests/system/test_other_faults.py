"""The death of a server, the scheduler, the evaluator or the launcher, at any time of a job's life."""

import os
import signal
import time
import unittest

from system_case import SystemCase, main

ENDS_WITHIN_S = 10.0
NAMED_WITHIN_S = 1.0
# Some seconds long, if nothing happens to it.
PACE = {"train__steps": 400, "debug__slow_worker_ms": 5}


class Fatal(SystemCase):
    def kill_and_time(self, node, mode="ssp:2", number=signal.SIGKILL, **settings):
        run = self.start("quadratic", "--mode", mode, **PACE, **settings)
        run.wait_for_clock("worker-1", 20)
        killed = time.monotonic()
        run.kill(node, number)
        run.wait(ENDS_WITHIN_S)
        self.assertLess(time.monotonic() - killed, ENDS_WITHIN_S)
        return run

    def test_a_killed_server_that_cannot_come_back(self):
        """Others do: test_server_returns.py."""
        for mode in ("softsync:2", "backup:0"):
            with self.subTest(mode):
                run = self.kill_and_time("server-1", mode)
                self.assert_one_error(run, 5, "server-1 was killed by SIGKILL")
                self.assertEqual(run.output.count("error"), 1, run.output)

    def test_a_killed_server_of_two_shards_that_cannot_come_back(self):
        run = self.kill_and_time("server-1", "softsync:2", cluster__shard_threads=2)
        self.assert_one_error(run, 5, "server-1 was killed by SIGKILL")

    def test_a_killed_scheduler(self):
        for mode in ("bsp", "asp"):
            with self.subTest(mode):
                self.assert_one_error(self.kill_and_time("scheduler", mode), 5, "scheduler was killed by SIGKILL")

    def test_a_stopped_server(self):
        """It answers nobody: named by its silence, and ended with the job."""
        run = self.kill_and_time("server-0", number=signal.SIGSTOP, cluster__lost_after_s=2.0)
        self.assert_one_error(run, 5, "rubato: error: server-0 has been silent for")
        self.assertRegex(run.output, r"warning: server-0 was (evicted|stopped \(SIGSTOP\)); killing it")

    def test_a_stopped_scheduler(self):
        run = self.kill_and_time("scheduler", number=signal.SIGSTOP, cluster__lost_after_s=2.0)
        self.assertEqual(run.wait(), 5)
        self.assertIn("warning: scheduler was stopped (SIGSTOP); killing it", run.output)
        self.assert_one_error(run, 5, "rubato: error: scheduler was stopped (SIGSTOP); the launcher ended the job")

    def test_a_server_that_dies_before_training(self):
        run = self.start("fashion_lenet")
        run.kill("server-0")
        self.assert_one_error(run, 5, "server-0 was killed by SIGKILL")

    def test_a_worker_that_dies_before_training(self):
        run = self.start("fashion_lenet")
        run.kill("worker-1")
        self.assert_one_error(run, 5, "worker-1 was killed by SIGKILL")


    def test_a_worker_that_dies_while_others_read_data(self):
        pipe = self.folder / "inputs.gz"
        os.mkfifo(pipe)  # nobody writes into it, so nothing is ever read
        run = self.start("fashion_lenet", data__train_inputs=str(pipe))
        run.wait_until(lambda: {"worker-0", "worker-1", "evaluator-0"} <= run.pids().keys(), "the members")
        run.kill("worker-1")
        self.assert_one_error(run, 5, "worker-1 was killed by SIGKILL")
        self.assertNotIn("killing it", run.output)

    def test_a_worker_that_dies_before_training_and_is_started_again(self):
        run = self.start("fashion_lenet", cluster__restarts=1, train__steps=5, evaluation__enabled="false")
        run.kill("worker-1")
        self.assert_ends(run, 0)
        self.assertIn("worker-1 was killed by SIGKILL; starting it again", run.output)
        self.assertEqual(run.final()["clock"], 5)


class Evaluator(SystemCase):
    def test_is_started_again(self):
        run = self.start("quadratic", "--mode", "ssp:2", **PACE)
        run.wait_for_clock("worker-1", 20)
        run.kill("evaluator-0")
        run.wait_for_output("evaluator-0 was killed by SIGKILL; starting it again", NAMED_WITHIN_S)
        self.assert_ends(run, 0)
        self.assertIsNotNone(run.final()["test_loss"])
        self.assertTrue((run.run_dir / "final.safetensors").exists())

    def test_takes_nothing_from_the_weights(self):
        whole = self.train("quadratic", "--mode", "bsp", **PACE)
        run = self.start("quadratic", "--mode", "bsp", **PACE)
        for clock in (20, 120, 220):
            run.wait_for_clock("worker-1", clock)
            run.kill("evaluator-0")
            run.wait_until(lambda: (run.status().get("evaluator") or {}).get("state") == "ready", "its return")
        self.assert_ends(run, 0)
        self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])

    def test_that_dies_again_and_again_ends_the_job(self):
        run = self.start("quadratic", "--mode", "ssp:2", train__steps=1000, debug__slow_worker_ms=5,
                         cluster__start_timeout_s=1.0)
        for number in range(1, 5):
            run.wait_for_clock("worker-1", 50 * number)
            run.kill("evaluator-0")
            run.wait_for_output("evaluator-0 was killed by SIGKILL")
            run.wait_until(lambda: run.output.count("starting it again") >= min(number, 3), "its return")
        self.assertIn(run.wait(), (5,))
        self.assert_quiet(run)
        self.assertIn("nobody reads the final weights", run.output)


class Launcher(SystemCase):
    def test_killed_leaves_nothing(self):
        run = self.start("quadratic", **PACE)
        run.wait_for_clock("worker-1", 20)
        run.launcher.kill()
        run.launcher.wait()
        deadline = time.monotonic() + ENDS_WITHIN_S
        while run.pids():
            self.assertLess(time.monotonic(), deadline, run.pids())
            time.sleep(0.05)
        for node in ("scheduler", "server-0", "worker-0"):
            self.assertIn("the launcher is gone", run.log(node))
        last = run.metrics()[-1]
        self.assertEqual((last["event"], last["exit_code"]), ("failed", 5))
        self.assertIn("the launcher is gone", last["reason"])

    def test_killed_at_the_start_leaves_nothing(self):
        run = self.start("fashion_lenet")
        run.pid("worker-1")
        run.launcher.kill()
        run.launcher.wait()
        deadline = time.monotonic() + ENDS_WITHIN_S
        while run.pids():
            self.assertLess(time.monotonic(), deadline, run.pids())
            time.sleep(0.05)

    def test_killed_while_data_is_read_leaves_nothing(self):
        """However long that takes: of a pipe into which nobody writes nothing is ever read."""
        pipe = self.folder / "inputs.gz"
        os.mkfifo(pipe)
        run = self.start("fashion_lenet", data__train_inputs=str(pipe))
        run.wait_until(lambda: {"worker-0", "worker-1"} <= run.pids().keys(), "the workers")
        run.launcher.kill()
        run.launcher.wait()
        deadline = time.monotonic() + 5
        while run.pids():
            self.assertLess(time.monotonic(), deadline, run.pids())
            time.sleep(0.05)


if __name__ == "__main__":
    main()
