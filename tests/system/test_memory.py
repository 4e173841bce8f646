"""What a job takes of memory is what was said before it started. Larger models by hand: bench/memory_of_job.py."""

import math
import random
import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

import images
from run import ROOT
from system_case import SystemCase, as_options, main

sys.path.insert(0, str(ROOT / "bench"))

from memory_of_job import GRADIENTS, SLOTS, JobMemory, mlp_settings  # noqa: E402

# Layers of 784, 3072, 3072 and 10: 45.3 MiB, far more than the programs take, and some steps a second.
WIDTHS = [784, 3072, 3072, 10]
WEIGHTS = 4 * sum(inputs * outputs + outputs for inputs, outputs in zip(WIDTHS, WIDTHS[1:]))
# Slices begin at a multiple of 64 bytes, and there are fewer than this. Segments of shared memory are whole pages.
PADDING = 64 * 64
PAGES = 8 * 4096


RECURRENT = """
[model]
name = "lstm"
width = 256
layers = 2
loss = "mse"
[data]
kind = "series"
path = "waves.csv"
time = "t"
target = "value"
window = 16
horizon = 1
test_fraction = 0.25
[optimizer]
name = "adam"
rate = 0.001
[consistency]
mode = "ssp:3"
[cluster]
servers = 1
[train]
batch = 16
epochs = 4
"""
IMAGES = """
[model]
name = "mlp"
hidden = [64]
[data]
kind = "folder"
path = "pictures"
classes = 2
image_size = 40
[consistency]
mode = "ssp:3"
[cluster]
servers = 1
[train]
batch = 32
epochs = 60  # each shorter than an evaluation: snapshots wait
"""


class Memory(SystemCase):
    def job(self, workers: int, **settings) -> JobMemory:
        data = images.write(self.folder / "images", train=640, test=10)
        fixed = mlp_settings(f"{WIDTHS[1]},{WIDTHS[2]}")
        return JobMemory(self.build, self.folder, workers, fixed + as_options(data | settings)[1::2],
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

    def whole(self, text: str, **settings) -> JobMemory:
        """A job with one worker, from its first steps to its end."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        file = self.folder / "job.toml"
        file.write_text(text)
        job = JobMemory(self.build, folder, 1, as_options(settings)[1::2], clock=1, environment=self.environment,
                        job=file, to_its_end=True)
        print(f"{job.total} of {job.least} to {job.most}", dict(job.measured))
        self.assertIn("finished in", job.said)
        self.assertLessEqual(job.total, job.most)
        return job

    def test_of_a_recurrent_network(self):
        """oneDNN packs what it multiplies into memory of its own, in each product: it is to be the same memory again."""
        lines = "\n".join(f"{i},{math.sin(i / 10):.4f}" for i in range(1500))
        (self.folder / "waves.csv").write_text(f"t,value\n{lines}\n")
        self.whole(RECURRENT)

    def test_of_images_in_folders(self):
        self.write_images(self.folder / "pictures")
        for readers in (1, 2):
            with self.subTest(readers):
                self.whole(IMAGES, data__readers=readers)

    def write_images(self, folder: Path) -> None:
        for part, count in (("train", 240), ("test", 120)):
            for number in range(count):
                path = folder / part / f"class{number % 2}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(80, number))


def png(side: int, number: int) -> bytes:
    """Of colours, and not packed well."""
    source = random.Random(number)
    rows = b"".join(b"\0" + source.randbytes(3 * side) for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    main(at_once=1)
