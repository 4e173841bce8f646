"""Ctrl-C: once it drains the job, twice it kills it."""

import contextlib
import os
import signal
import time
import unittest

import tracing
from safetensors_file import weights_sha256
from system_case import SystemCase, main

PACE = {"train__steps": 5000, "debug__slow_worker_ms": 5}
INTERRUPTED = 130


class Interrupts(SystemCase):
    def start_long_job(self, mode, **settings):
        run = self.start("quadratic", "--mode", mode, "--workers", 3, **PACE, **settings)
        run.wait_for_clock("worker-1", 20)
        return run

    def test_once_drains_evaluates_and_writes(self):
        for mode in ("bsp", "ssp:2", "asp"):
            with self.subTest(mode):
                run = self.start_long_job(mode, debug__trace=True)
                run.launcher.send_signal(signal.SIGINT)
                self.assert_one_error(run, INTERRUPTED, "interrupted", str(run.run_dir))
                final = run.final()
                self.assertLess(final["clock"], PACE["train__steps"])
                self.assertIsNotNone(final["test_loss"])
                self.assertEqual(weights_sha256(run.run_dir / "final.safetensors"), final["weights_sha256"])
                result = tracing.check(run)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_twice_kills(self):
        """A stopped server holds the drain up until it is lost; nobody has to wait for that."""
        run = self.start_long_job("bsp", cluster__lost_after_s=60)
        run.kill("server-0", signal.SIGSTOP)
        run.launcher.send_signal(signal.SIGINT)
        run.wait_for_output("Ctrl-C again kills the job")
        time.sleep(0.5)
        self.assertIsNone(run.launcher.poll())
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, INTERRUPTED, timeout_s=10)
        self.assertFalse((run.run_dir / "final.safetensors").exists())
        last = run.metrics()[-1]
        self.assertEqual((last["event"], last["exit_code"]), ("failed", INTERRUPTED))
        self.assertIn("told to stop a second time", last["reason"])

    def test_a_drain_outlives_a_death(self):
        # The slowest of ssp has a step granted at every moment, so the drain waits for it.
        run = self.start_long_job("ssp:2", cluster__lost_after_s=2.0)
        run.kill("worker-0", signal.SIGSTOP)
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, INTERRUPTED)
        self.assertIn("worker-0 has been silent for", run.output)
        self.assertEqual(weights_sha256(run.run_dir / "final.safetensors"), run.final()["weights_sha256"])

    def test_before_training(self):
        run = self.start("fashion_lenet")
        run.pid("worker-0")
        run.launcher.send_signal(signal.SIGINT)
        self.assert_one_error(run, INTERRUPTED, "interrupted")
        self.assertNotIn("cannot go on without it", run.output)


class Terminated(SystemCase):
    """By SIGTERM, as a batch system does it with every process of a job."""

    def tell_all(self, mode, with_launcher, **settings):
        run = self.start("quadratic", "--mode", mode, "--workers", 3, **PACE, **settings)
        run.wait_for_clock("worker-1", 20)
        for pid in [run.launcher.pid] * with_launcher + list(run.pids().values()):
            with contextlib.suppress(ProcessLookupError):  # the first may have told the others
                os.kill(pid, signal.SIGTERM)
        self.assert_one_error(run, INTERRUPTED, "interrupted", str(run.run_dir))
        self.assertEqual(weights_sha256(run.run_dir / "final.safetensors"), run.final()["weights_sha256"])
        self.assertLess(run.final()["clock"], PACE["train__steps"])
        self.assertLessEqual(run.output.count("told to stop by SIGTERM"), 1, run.output)

    def test_all_at_once_drain(self):
        for mode in ("bsp", "ssp:2", "asp"):
            for with_launcher in (True, False):
                with self.subTest(mode=mode, with_launcher=with_launcher):
                    self.tell_all(mode, with_launcher)

    def test_with_several_shards_a_server(self):
        self.tell_all("ssp:2", True, cluster__shard_threads=2)

    def test_by_timeout(self):
        """Which signals its child twice: by itself, and in its group."""
        run = self.start("quadratic", **PACE, wrapped_in=("timeout", "--preserve-status", "3"))
        self.assert_one_error(run, INTERRUPTED, "interrupted")
        self.assertEqual(run.final()["event"], "final")

    def test_the_scheduler_alone_drains_and_the_second_time_ends(self):
        run = self.start("quadratic", **PACE, cluster__lost_after_s=60)
        run.wait_for_clock("worker-1", 20)
        # Holds up whatever a drain waits for: what was granted, or, where all was settled just then, the snapshot.
        run.kill("server-0", signal.SIGSTOP)
        run.kill("scheduler", signal.SIGTERM)
        run.wait_until(lambda: run.status().get("state") == "draining", "the drain")
        time.sleep(0.2)
        run.kill("scheduler", signal.SIGTERM)
        self.assert_ends(run, INTERRUPTED, timeout_s=10)
        self.assertEqual(run.metrics()[-1]["event"], "failed")

    def test_a_member_alone_goes_on_and_the_second_time_leaves(self):
        run = self.start("quadratic", "--mode", "ssp:2", "--workers", 3, train__steps=1000, debug__slow_worker_ms=5)
        run.wait_for_clock("worker-1", 20)
        run.kill("server-0", signal.SIGTERM)
        run.wait_for_output("warning: server-0: told to stop by SIGTERM")  # what others say alike is not shown again
        for node in ("worker-1", "evaluator-0"):
            run.kill(node, signal.SIGTERM)
        clock = run.worker("worker-1")["clock"]
        run.wait_for_clock("worker-1", clock + 20)
        run.kill("worker-1", signal.SIGTERM)
        run.wait_for_output("worker-1 exited with code 130")
        self.assert_ends(run, 0)


if __name__ == "__main__":
    main()
