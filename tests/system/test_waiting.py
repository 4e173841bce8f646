"""A job in which everybody waits takes next to nothing of the processors."""

import contextlib
import time
import unittest
from pathlib import Path

from system_case import SystemCase, lane, main

# Of one core, all processes of a job together.
SHARE_MAX = 0.01
MEASURED_S = 5.0
SETTLE_S = 1.0
LOOKS_MAX = 3
FOR_EVER_MS = 600_000


def cpu_ns(pid: int) -> int:
    """Of all its threads, as the scheduler of the kernel has it: in nanoseconds, not in ticks of a hundredth of a
    second. So what is measured is off by what runs at that moment alone, far less than a thousandth of MEASURED_S."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total


class Waiting(SystemCase):
    def shares(self, run) -> dict[str, float]:
        """Of one core, by process, over some seconds from now on."""
        pids = run.pids() | {"launcher": run.launcher.pid}
        before, began = {node: cpu_ns(pid) for node, pid in pids.items()}, time.monotonic()
        time.sleep(MEASURED_S)
        after, took_ns = {node: cpu_ns(pid) for node, pid in pids.items()}, 1e9 * (time.monotonic() - began)
        return {node: (after[node] - before[node]) / took_ns for node in pids}

    def assert_waits_quietly(self, run):
        """What others do on this machine only adds to what it takes (a cache that is cold, a core that is shared), so
        one quiet look in three proves it; who spins, or wakes too often, does so in all of them."""
        time.sleep(SETTLE_S)
        for _ in range(LOOKS_MAX):
            shares = self.shares(run)
            shown = ", ".join(f"{node} {100 * share:.3f}" for node, share in sorted(shares.items()))
            print(f"percent of a core, waiting: {shown}; together {100 * sum(shares.values()):.3f}")
            if sum(shares.values()) < SHARE_MAX:
                return
        self.fail(f"percent of a core: {shown}")

    def wait_for_worker_0(self, mode, reached, **settings):
        """Worker 0 sleeps in its first step, and lives; the others wait for it as soon as the mode says so."""
        run = self.start("quadratic", "--mode", mode, "--workers", 3, "--servers", 2, "--no-progress",
                         consistency__evict_after_s=FOR_EVER_MS / 1000, debug__slow_worker_ms=FOR_EVER_MS, **settings)
        run.wait_until(lambda: run.status().get("state") == "training", "training")
        for node in ("worker-1", "worker-2"):
            run.wait_for_clock(node, reached)
        return run

    def test_a_job_that_waits_for_one_worker(self):
        for name in ("shm", "ipc", "tcp"):
            for mode, reached in (("bsp", 0), ("ssp:50", 51)):
                with self.subTest(lane=name, mode=mode):
                    run = self.wait_for_worker_0(mode, reached, **lane(name))
                    self.assert_waits_quietly(run)
                    run.bury()

    def test_shards_with_threads_of_their_own(self):
        run = self.wait_for_worker_0("ssp:50", 51, cluster__shard_threads=2, **lane("shm"))
        self.assert_waits_quietly(run)
        run.bury()


if __name__ == "__main__":
    main()
