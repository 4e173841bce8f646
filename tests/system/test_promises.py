"""Traces of real runs, proven by the checker, which shares no code with the cores."""

import unittest

import images
import tracing
from system_case import SystemCase, lane, main


class Promises(SystemCase):
    def assert_all_hold(self, run):
        result = tracing.check(run)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all hold", result.stdout)
        self.assertNotIn(" 0 pushes", result.stdout)

    def test_every_mode(self):
        for mode in ("bsp", "ssp:0", "ssp:2", "dssp:1..4", "asp", "backup:0", "backup:1", "softsync:1", "softsync:3"):
            with self.subTest(mode):
                self.assert_all_hold(self.train("quadratic", "--mode", mode, "--workers", 3, debug__trace=True))

    def test_a_worker_that_is_slow(self):
        """The others stand at the bound all the time."""
        for mode in ("ssp:1", "ssp:3"):
            with self.subTest(mode):
                run = self.train("quadratic", "--mode", mode, "--workers", 3, train__steps=60, debug__trace=True,
                                 debug__slow_worker_ms=10)
                self.assert_all_hold(run)
                self.assertEqual(run.final()["staleness_max"], int(mode[-1]))

    def test_a_bound_that_moves(self):
        run = self.train("quadratic", "--mode", "dssp:1..6", "--workers", 3, train__steps=60, debug__trace=True,
                         debug__slow_worker_ms=10)
        self.assert_all_hold(run)
        self.assertIn(run.final()["staleness_max"], range(1, 7))

    def test_nobody_waits_for_a_backup_worker(self):
        run = self.train("quadratic", "--mode", "backup:1", "--workers", 3, train__steps=60, debug__trace=True,
                         debug__slow_worker_ms=20)
        self.assert_all_hold(run)
        final = run.final()
        self.assertEqual((final["updates"], final["staleness_max"], final["age_mean"]), (60, 0, 0))
        self.assertGreater(final["pushes_dropped"], 0)
        self.assertLess(final["workers"][0]["steps"], 60)

    def test_a_network_over_tcp(self):
        found = images.write(self.folder / "images", train=400, test=50)
        for mode in ("bsp", "ssp:2", "backup:1", "softsync:2"):
            with self.subTest(mode):
                run = self.train("fashion_lenet", "--mode", mode, "--workers", 4, "--servers", 3, train__epochs=3,
                                 **lane("tcp"), cluster__slice_bytes=16384, debug__trace=True, **found)
                self.assert_all_hold(run)

    def test_several_shards_in_a_process(self):
        for mode in ("bsp", "asp", "backup:0", "softsync:2"):
            with self.subTest(mode):
                run = self.train("quadratic", "--mode", mode, cluster__shard_threads=2, debug__trace=True)
                self.assert_all_hold(run)

    def test_the_checker_is_not_blind(self):
        """The same trace under a tighter bound is a violation."""
        run = self.train("quadratic", "--mode", "ssp:3", train__steps=60, debug__trace=True, debug__slow_worker_ms=5)
        job = run.run_dir / "job.toml"
        job.write_text(job.read_text().replace('"ssp:3"', '"ssp:2"'))
        result = tracing.check(run)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("violation of `staleness`", result.stdout)


if __name__ == "__main__":
    main()
