"""What a job takes of memory is what was said before it started. Larger models by hand: bench/memory_of_job.py."""

import sys
import unittest

import images
from run import ROOT
from system_case import SystemCase, as_options, main

sys.path.insert(0, str(ROOT / "bench"))

from memory_of_job import GRADIENTS, SLOTS, JobMemory  # noqa: E402

# Layers of 784, 3072, 3072 and 10: 45.3 MiB, far more than the programs take, and some steps a second.
WIDTHS = [784, 3072, 3072, 10]
WEIGHTS = 4 * sum(inputs * outputs + outputs for inputs, outputs in zip(WIDTHS, WIDTHS[1:]))
# Slices begin at a multiple of 64 bytes, and there are fewer than this. Segments of shared memory are whole pages.
PADDING = 64 * 64
PAGES = 8 * 4096


class Memory(SystemCase):
    def job(self, workers: int, **settings) -> JobMemory:
        data = images.write(self.folder / "images", train=640, test=10)
        hidden = f"{WIDTHS[1]},{WIDTHS[2]}"
        return JobMemory(self.build, self.folder, hidden, workers, as_options(data | settings)[1::2],
                         environment=self.environment)

    def assert_within(self, job: JobMemory, planes: int = 2) -> dict:
        estimate = {row.what: row.octets for row in job.rows}
        print(f"{job.total} of {job.most}", dict(job.measured), estimate)
        self.assertAlmostEqual(estimate["weights"], WEIGHTS, delta=PADDING)
        self.assertEqual(estimate.get("optimizer state", 0), planes * estimate["weights"])
        for group in (SLOTS, GRADIENTS):
            self.assertLessEqual(job.of_group(group), sum(row.octets for row in job.estimated(group)) + PAGES)
        # All together. Whatever is computed is there: of what is estimated only the programs are a number rounded up.
        self.assertLessEqual(job.total, job.most)
        self.assertGreaterEqual(job.total, job.least - estimate["programs"])
        self.assertLess(estimate["programs"], 0.2 * job.least)
        self.assertRegex(job.said, r"(?m)^memory: [\d.]+ MiB.*: weights 45\.\d MiB, ")
        return estimate

    def test_of_one_worker(self):
        job = self.job(1)
        estimate = self.assert_within(job)
        # One gradient, and no second one: the shard reads it where backward wrote it. And nobody reads old weights.
        self.assertAlmostEqual(estimate["gradients"], WEIGHTS, delta=PADDING)
        self.assertEqual(job.most, job.least)

    def test_of_two_workers(self):
        estimate = self.assert_within(self.job(2))
        self.assertAlmostEqual(estimate["gradients"], 2 * WEIGHTS, delta=2 * PADDING)

    def test_in_lockstep(self):
        job = self.job(2, consistency__mode="bsp", train__micro_batches=2)
        self.assertAlmostEqual(self.assert_within(job)["gradients"], 2 * WEIGHTS, delta=2 * PADDING)
        self.assertEqual(job.most, job.least)

    def test_of_local_steps(self):
        self.assert_within(self.job(1, consistency__mode="local:2+asp"), planes=0)


if __name__ == "__main__":
    main(at_once=1)
