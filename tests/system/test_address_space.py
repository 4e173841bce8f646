"""A process that cannot map what another one shares: the job goes on without, and says why."""

import unittest

from system_case import SystemCase, lane, main

# KiB. Between where a process can share no memory at all and where it can map everything, some of them can make their
# own and not map that of the others. Where that is depends on how large the programs are.
LIMITS = range(400_000, 700_000, 100_000)


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


if __name__ == "__main__":
    main()
