"""Shared memory: it is used, nothing of it is left behind, and a job does without it where it has to."""

import contextlib
import os
import random
import signal
import time
import unittest
from pathlib import Path

import listening
from run import PATIENCE_S, POLL_S
from system_case import SystemCase, lane, main

# More of it by hand: RUBATO_KILLS=50 tests/system/test_shared_memory.py build
KILLS = int(os.environ.get("RUBATO_KILLS", "6"))
STARTING_S = 0.8  # a little more than it takes to come to the first clock
ENDLESS = {"train__steps": 1_000_000, "evaluation__every_epochs": 1_000_000}


def links(pid) -> int:
    """How many connections over shared memory the process has. (Servers lie in a memfd in any case.)"""
    return sum("/memfd:rubato-link" in line for line in Path(f"/proc/{pid}/maps").read_text().splitlines())


class SharedMemory(SystemCase):
    def wait_until_gone(self, run, names):
        """Killed processes are on their way out for a while, and close their sockets last."""
        deadline = time.monotonic() + PATIENCE_S
        while run.pids() or any(name in Path("/proc/net/unix").read_text() for name in names):
            self.assertLess(time.monotonic(), deadline, f"{run.pids()} or some of {names} stay")
            time.sleep(POLL_S)

    def test_where_descriptors_are_few_a_job_does_without_it(self):
        for limit, workers in ((32, 2), (64, 8)):
            with self.subTest(limit):
                few = ("bash", "-c", f'ulimit -n {limit}; exec "$@"', "few")
                run = self.start("quadratic", wrapped_in=few, cluster__workers=workers, **lane("shm"))
                self.assert_ends(run, 0)

    def test_where_they_are_too_few_for_the_job_it_says_so(self):
        few = ("bash", "-c", 'ulimit -n 25; exec "$@"', "few")
        run = self.start("quadratic", wrapped_in=few, **lane("ipc"))
        self.assert_ends(run, 2)
        self.assertRegex(run.output, r"scheduler needs \d+ file descriptors in this job and may have 25: raise the limit")

    def test_where_no_file_may_grow_a_job_does_without_it(self):
        """Memory for the probe and the links is to be had, for weights and gradients not."""
        small = ("bash", "-c", 'ulimit -f 20000; exec "$@"', "small")  # KiB
        run = self.start("quadratic", wrapped_in=small, **lane("shm"))
        self.assert_ends(run, 0)
        self.assertIn("are copied from process to process: cannot size", run.output)

    def test_it_is_used_unless_somebody_says_no(self):
        for name in ("shm", "ipc", "tcp"):
            with self.subTest(name):
                run = self.start("quadratic", **lane(name), **ENDLESS)
                run.wait_for_clock("worker-0", 2)
                pids = run.pids()
                used = {node: links(pid) > 0 for node, pid in pids.items()
                        if node.startswith(("worker", "server"))}
                self.assertEqual(set(used.values()), {name == "shm"}, used)
                os.kill(run.launcher.pid, signal.SIGINT)
                run.wait()

    def test_nothing_is_left_when_all_are_killed_at_once(self):
        source = random.Random(7)
        before = sorted(os.listdir("/dev/shm"))
        for number in range(KILLS):
            run = self.start("quadratic", "--workers", 3, "--servers", 2, **lane("shm"), **ENDLESS)
            trains = number % 2 == 0  # or its processes are being started, or are meeting
            if trains:
                run.wait_for_clock("worker-0", 1)
            time.sleep(source.uniform(0.0, 0.2 if trains else STARTING_S))
            pids = list(run.pids().values())
            names = [address.name.strip("\0") for address in listening.addresses(pids)
                     if isinstance(address, listening.Local)]
            if trains:
                self.assertEqual(len(names), 5, names)  # the scheduler's, and two of each server's
            os.kill(run.launcher.pid, signal.SIGKILL)
            for pid in {*pids, *run.pids().values()}:
                with contextlib.suppress(ProcessLookupError):  # it noticed the launcher's end
                    os.kill(pid, signal.SIGKILL)
            run.launcher.wait()
            self.wait_until_gone(run, names)
            self.assertEqual(sorted(os.listdir("/dev/shm")), before)
        self.assert_no_process_left()
        self.train("quadratic", train__steps=3, **lane("shm"))


if __name__ == "__main__":
    main()
