"""In bsp the weights are those of one worker and one server, bit for bit, however the work is shared out."""

import itertools
import unittest

import images
from system_case import SystemCase, lane, main

SHORT_STEPS = 3
AT_ONCE = 3  # these jobs mostly wait: for each other's start, and for the goodbyes at their end


class Equality(SystemCase):
    def assert_all_equal(self, job, ways, **common):
        """Every way of running the job leaves the same weights. A way: (workers, servers, slice_bytes, lane)."""
        found = {}
        for batch in batches(ways, AT_ONCE):
            runs = [(way, self.start(job, "--mode", "bsp", cluster__workers=way[0], cluster__servers=way[1],
                                     cluster__slice_bytes=way[2], **lane(way[3]), **common))
                    for way in batch]
            for way, run in runs:
                self.assert_ends(run, 0)
                found[way] = run.final()["weights_sha256"]
        different = {way: digest for way, digest in found.items() if digest != found[ways[0]]}
        self.assertEqual(different, {}, f"{ways[0]} has {found[ways[0]]}")
        return found[ways[0]]


class Quadratic(Equality):
    WAYS = [way + (lanes[sum(way) % 2],) for lanes in (("shm", "tcp"), ("ipc", "shm"))
            for way in itertools.product((1, 2, 4), (1, 2, 3), (4096, 1 << 20))]

    def test_after_three_steps(self):
        self.assert_all_equal("quadratic", self.WAYS, train__steps=SHORT_STEPS)

    def test_after_an_epoch(self):
        self.assert_all_equal("quadratic", self.WAYS, train__epochs=1)

    def test_steps_matter(self):
        """The hash would not be worth comparing if it did not depend on what was trained."""
        digests = {self.train("quadratic", "--mode", "bsp", train__steps=steps).final()["weights_sha256"]
                   for steps in (1, 2)}
        self.assertEqual(len(digests), 2)


class Lenet(Equality):
    """A real network, on 250 small images: the last batch of an epoch is short, and its leaves are ragged."""

    WAYS = [(1, 1, 1 << 20, "ipc"), (2, 1, 16384, "shm"), (4, 1, 1 << 20, "tcp"), (1, 2, 16384, "tcp"),
            (2, 2, 1 << 20, "shm"), (4, 2, 16384, "ipc"), (1, 3, 1 << 20, "shm"), (2, 3, 16384, "tcp"),
            (4, 3, 1 << 20, "shm"), (4, 3, 16384, "tcp")]

    def setUp(self):
        super().setUp()
        self.images = images.write(self.folder / "images", train=250, test=50)

    def test_after_three_steps(self):
        self.assert_all_equal("fashion_lenet", self.WAYS, train__steps=SHORT_STEPS, **self.images)

    def test_after_an_epoch(self):
        for optimizer in ("momentum", "adam"):
            with self.subTest(optimizer):
                self.assert_all_equal("fashion_lenet", self.WAYS, train__epochs=1, optimizer__name=optimizer,
                                      **self.images)

    def test_in_sixteen_bits_over_every_lane(self):
        """Whoever is on the same host gets the same numbers as whoever is not."""
        digests = [self.assert_all_equal("fashion_lenet", [(2, 1, 1 << 20, "tcp"), (2, 2, 16384, "shm"),
                                                           (2, 3, 1 << 20, "ipc")],
                                         train__epochs=1, cluster__wire=wire, **self.images)
                   for wire in ("float32", "float16", "bfloat16")]
        self.assertEqual(len(set(digests)), 3)

    def test_shard_threads_change_nothing(self):
        digests = {self.train("fashion_lenet", "--mode", "bsp", train__epochs=1, cluster__servers=2,
                              cluster__slice_bytes=16384, cluster__shard_threads=threads,
                              **self.images).final()["weights_sha256"]
                   for threads in (1, 2)}
        self.assertEqual(len(digests), 1)


def batches(things, size):
    return [things[first:first + size] for first in range(0, len(things), size)]


if __name__ == "__main__":
    main()
