"""Real runs, recorded, and repeated without their network and clock: the same weights, bit for bit.

The times at which workers came to take turns are those of this machine in this moment: no two runs are alike.
"""

import os
import signal
import subprocess
import unittest

import images
import tracing
from system_case import JOBS, SystemCase, as_options, lane, main

DIFFERS = 12


class Replay(SystemCase):
    def replay(self, run, **environment):
        return subprocess.run([self.build / "bin/rubato-sim", "--replay", run.run_dir], env=os.environ | environment,
                              capture_output=True, text=True, timeout=100)

    def assert_identical(self, run) -> str:
        result = self.replay(run)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"weights_sha256 {run.final()['weights_sha256']}", result.stdout)
        replayed = run.run_dir / "replay" / "final.safetensors"
        self.assertEqual(replayed.read_bytes(), (run.run_dir / "final.safetensors").read_bytes())
        return result.stdout

    def test_four_workers_without_a_bound(self):
        run = self.train("quadratic", "--mode", "asp", "--workers", 4, "--record", train__steps=60)
        said = self.assert_identical(run)
        self.assertIn("240 steps, 960 pushes", said)
        self.assertIn(f"record   {run.run_dir}/record, ", run.output)
        self.assertIn(" bytes a push", run.output)

    def test_every_mode(self):
        for mode in ("bsp", "backup:1", "softsync:2", "ssp:0", "ssp:2", "dssp:1..4"):
            with self.subTest(mode):
                self.assert_identical(self.train("quadratic", "--mode", mode, "--workers", 3, "--record"))

    def test_ages_and_delays_that_are_made_up_for(self):
        for mode in ("softsync:2", "dssp:1..4", "asp"):
            for kind in ("constant", "adaptive"):
                with self.subTest(mode=mode, kind=kind):
                    run = self.train("quadratic", "--mode", mode, "--workers", 3, "--record", debug__trace=True,
                                     optimizer__age_scaling="inverse", optimizer__compensation__name=kind)
                    self.assert_identical(run)
                    checked = tracing.check(run)
                    self.assertEqual(checked.returncode, 0, checked.stdout)
                    self.assertIn("for 5 versions of each of its slices", (run.run_dir / "logs/server-0.log").read_text())
                    self.assertGreater(run.final()["age_factor_mean"], 0)

    def test_local_steps(self):
        found = images.write(self.folder / "images", train=800, test=50)
        for mode in ("local:3", "local:3+ssp:1", "local:3+asp"):
            with self.subTest(mode):
                self.assert_identical(self.train("fashion_mlp", "--mode", mode, "--workers", 3, "--record",
                                                 optimizer__name="adam", train__batch=20, train__epochs=2,
                                                 optimizer__outer__name="delayed_nesterov", **found))

    def test_a_network(self):
        found = images.write(self.folder / "images", train=800, test=50)
        for job, settings in (("fashion_mlp", {"optimizer__name": "adam", "train__batch": 20}),
                              ("fashion_cnn", {"model__dropout": 0.3, "cluster__slice_bytes": 65536})):
            with self.subTest(job):
                run = self.train(job, "--mode", "asp", "--workers", 4, "--record", train__epochs=2, **settings, **found)
                self.assert_identical(run)

    def test_several_shards_and_compute_threads(self):
        found = images.write(self.folder / "images", train=400, test=50)
        run = self.train("fashion_lenet", "--mode", "asp", "--record", cluster__shard_threads=2, worker__threads=2,
                         cluster__slice_bytes=16384, **lane("tcp"), **found)
        self.assert_identical(run)

    def test_numbers_that_travel_in_sixteen_bits(self):
        found = images.write(self.folder / "images", train=400, test=50)
        for wire, way in (("float16", "tcp"), ("bfloat16", "shm")):
            with self.subTest(wire):
                run = self.train("fashion_mlp", "--mode", "asp", "--workers", 2, "--record", train__batch=20,
                                 cluster__wire=wire, **lane(way), **found)
                self.assert_identical(run)

    def test_a_simulated_run(self):
        found = images.write(self.folder / "images", train=400, test=50)
        run_dir = self.folder / "simulated"
        settings = as_options({"train__record": True, "train__batch": 20, "worker__stragglers": "lognormal:0.5", **found})
        subprocess.run([self.build / "bin/rubato-sim", JOBS / "fashion_mlp.toml", "--mode", "asp", "--workers", "4",
                        "--run-dir", run_dir, *settings], check=True, capture_output=True, timeout=100)
        result = subprocess.run([self.build / "bin/rubato-sim", "--replay", run_dir], capture_output=True, text=True,
                                timeout=100)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("identical: 100 steps, ", result.stdout)

    def test_a_worker_that_was_killed(self):
        for mode in ("asp", "bsp"):
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, "--workers", 3, "--record", train__steps=300,
                                 debug__slow_worker_ms=5)
                run.wait_for_clock("worker-1", 20)
                run.kill("worker-1")
                self.assert_ends(run, 0)
                self.assert_identical(run)

    def test_a_run_that_was_drained(self):
        run = self.start("quadratic", "--mode", "asp", "--workers", 3, "--record", train__steps=100_000)
        run.wait_for_clock("worker-1", 20)
        run.launcher.send_signal(signal.SIGINT)
        self.assert_ends(run, 130)
        self.assert_identical(run)

    def test_a_run_that_came_to_no_end(self):
        """What there is of its record is replayed, and there are no weights to compare with."""
        run = self.start("quadratic", "--mode", "asp", "--workers", 3, "--record", train__steps=3000)
        run.wait_for_clock("worker-1", 200)
        run.kill("server-0")
        self.assert_ends(run, 5)
        result = self.replay(run)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"\nidentical so far: \d+ steps, .*; the run left no final weights")

    def test_a_gradient_that_was_not_finite(self):
        self.assert_identical(self.train("quadratic", "--mode", "asp", "--record", debug__nonfinite_at=5))

    def test_what_differs_is_named(self):
        """Kernels for lesser instructions add in another order."""
        found = images.write(self.folder / "images", train=400, test=50)
        run = self.train("fashion_mlp", "--mode", "asp", "--workers", 4, "--record", train__batch=20, **found)
        result = self.replay(run, ONEDNN_MAX_CPU_ISA="SSE41")
        self.assertEqual(result.returncode, DIFFERS, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r"\ndifferent: the gradient of worker-\d for slice \d+ \(fc.*, on server-\d\) at "
                                        r"clock \d+ is not the one that it pushed\n")
        self.assertRegex(result.stdout, r"\n  final weights: \d.* apart at most; weights_sha256 ")
        self.assertRegex(result.stdout, r"\n  replayed on .*, sse41\n")

    def test_another_job(self):
        run = self.train("quadratic", "--mode", "asp", "--workers", 4, "--record", train__steps=20)
        job = run.run_dir / "job.toml"
        job.write_text(job.read_text().replace("rate = 0.1", "rate = 0.2"))
        result = self.replay(run)
        self.assertEqual(result.returncode, 9, result.stdout + result.stderr)
        self.assertIn("is of another job than the job.toml of its run", result.stderr)

    def test_without_a_record(self):
        run = self.train("quadratic", train__steps=3)
        result = self.replay(run)
        self.assertEqual(result.returncode, 3, result.stdout + result.stderr)
        self.assertIn("was the job run with train.record = true?", result.stderr)
        self.assertFalse((run.run_dir / "record").exists())

if __name__ == "__main__":
    main()
