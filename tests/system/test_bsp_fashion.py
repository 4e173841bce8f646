"""bsp's equality on the real data: the jobs of jobs/, whole epochs. Slow; test_bsp_equality.py has the many small ones."""

import unittest

from system_case import SystemCase, lane, main


class Fashion(SystemCase):
    def assert_equal_weights(self, job, ways, **common):
        digests = {}
        for workers, servers, slice_bytes, way in ways:
            run = self.train(job, "--mode", "bsp", "--workers", workers, "--servers", servers,
                             cluster__slice_bytes=slice_bytes, **lane(way), **common)
            digests[workers, servers, slice_bytes, way] = run.final()["weights_sha256"]
        self.assertEqual(len(set(digests.values())), 1, digests)

    def test_lenet_after_an_epoch(self):
        self.assert_equal_weights("fashion_lenet", [(1, 1, 1 << 20, "ipc"), (2, 2, 65536, "tcp"), (4, 3, 65536, "shm")],
                                  train__epochs=1)

    def test_mlp_after_three_steps(self):
        """Layers of 4 MiB, so that slices are pieces of one tensor."""
        self.assert_equal_weights("fashion_mlp", [(1, 1, 1 << 20, "ipc"), (2, 3, 1 << 18, "shm"), (4, 2, 1 << 20, "tcp")],
                                  train__steps=3)

    def test_cnn_after_a_tenth_of_an_epoch(self):
        self.assert_equal_weights("fashion_cnn", [(1, 1, 1 << 20, "ipc"), (2, 2, 1 << 20, "shm"), (4, 3, 1 << 18, "tcp")], train__steps=94)


if __name__ == "__main__":
    main()
