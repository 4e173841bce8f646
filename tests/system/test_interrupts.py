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
        """A stopped worker holds the drain up until it is evicted; nobody has to wait for that."""
        run = self.start_long_job("bsp", cluster__lost_after_s=60)
        run.kill("worker-1", signal.SIGSTOP)
        run.launcher.send_signal(signal.SIGINT)
        run.wait_for_output("Ctrl-C again kills the job")
        time.sleep(0.5)
        self.assertIsNone(run.launcher.poll())
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, INTERRUPTED, timeout_s=10)
        self.assertFalse((run.run_dir / "final.safetensors").exists())

    def test_a_drain_outlives_a_death(self):
        run = self.start_long_job("bsp", cluster__lost_after_s=1.0)
        run.kill("worker-1", signal.SIGSTOP)
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, INTERRUPTED)
        self.assertIn("worker-1 has been silent for", run.output)
        self.assertEqual(weights_sha256(run.run_dir / "final.safetensors"), run.final()["weights_sha256"])

    def test_before_training(self):
        run = self.start("fashion_lenet")
        run.pid("worker-0")
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, INTERRUPTED)

    def test_all_processes_told_at_once(self):
        """By SIGTERM, as a batch system does it."""
        run = self.start_long_job("ssp:2")
        for pid in [run.launcher.pid, *run.pids().values()]:
            with contextlib.suppress(ProcessLookupError):  # the first have told the others
                os.kill(pid, signal.SIGTERM)
        self.assert_one_error(run, INTERRUPTED, "interrupted")


if __name__ == "__main__":
    main()
