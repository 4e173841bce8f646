"""A process whose address space is small. It cannot map what another one shares: the job goes on without, and says why.
It has no room for what it has to hold: the job ends, and says how much that is."""

import unittest

import images
from system_case import SystemCase, lane, main

# KiB. Between where a process can share no memory at all and where it can map everything, some of them can make their
# own and not map that of the others. Where that is depends on how large the programs are.
LIMITS = range(400_000, 700_000, 100_000)
# KiB. All programs have room for themselves, and nobody for a model of 1.5 GiB.
TOO_LITTLE, WIDTH = 1_400_000, 20_000


class AddressSpace(SystemCase):
    def test_where_it_is_small_a_job_goes_on_without_shared_memory(self):
        told = 0
        for limit in LIMITS:
            with self.subTest(limit):
                small = ("bash", "-c", f'ulimit -v {limit}; exec "$@"', "small")
                run = self.start("quadratic", wrapped_in=small, train__steps=40, **lane("shm"))
                self.assert_ends(run, 0)
                told += any("no shared memory with" in line and "cannot map" in line for line in run.output.splitlines())
        self.assertGreater(told, 0, "none of these limits broke a link")

    def test_a_server_without_room_for_its_slices_is_not_started(self):
        small = ("bash", "-c", f'ulimit -v {TOO_LITTLE}; exec "$@"', "small")
        data = images.write(self.folder / "images", train=64, test=10)
        run = self.start("fashion_mlp", "--servers", 1, "--workers", 1, wrapped_in=small,
                         model__hidden=f"[{WIDTH},{WIDTH}]", **data)
        self.assert_one_error(run, 13, "rubato: error: not enough memory: a server's slices alone take ",
                              "it may take 1.3 GiB in all (ulimit -v): raise that, or use ")
        self.assertEqual(len(run.output.splitlines()), 1, run.output)
        self.assertFalse((run.run_dir / "logs" / "server-0.log").exists())


if __name__ == "__main__":
    main()
