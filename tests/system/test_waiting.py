"""A job in which everybody waits takes next to nothing of the processors."""

import contextlib
import time
import unittest
from pathlib import Path

from run import Run
from system_case import SystemCase, lane, main

# Of one core, each process. All of a job together take 0.4 to 0.7 % on a machine that has nothing else to do, and more
# where a virtual machine's processors are slow to wake: that is printed and not asked, for nobody here can help it.
SHARE_MAX = 0.01
# Wake-ups a second, which no machine changes. A heartbeat and its answer are four sleeps of a member at most (its timer,
# the answer, and libzmq's thread for either), twice a second: twice that is asked, and of the scheduler as much for
# each of the seven that it answers. The launcher looks five times a second, and at the status now and then.
MEMBER_WAKES_MAX = 2 * 4 * 2
WAKES_MAX = {"scheduler": 7 * MEMBER_WAKES_MAX, "launcher": 2 * (5 + 5)}
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


def sleeps(pid: int) -> int:
    """How often a thread of it has gone to sleep of its own accord: as often as it was woken."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((thread / "status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def taken(runs: dict[str, Run]) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Of each job, by process, over some seconds from now on: shares of a core, and wake-ups a second."""
    pids = {what: run.pids() | {"launcher": run.launcher.pid} for what, run in runs.items()}
    before = {pid: (time.monotonic(), cpu_ns(pid), sleeps(pid)) for of_job in pids.values() for pid in of_job.values()}
    time.sleep(MEASURED_S)
    found = {}
    for what, of_job in pids.items():
        shares, wakes = {}, {}
        for node, pid in of_job.items():
            began, cpu, woken = before[pid]
            took_s = time.monotonic() - began
            shares[node], wakes[node] = (cpu_ns(pid) - cpu) / (1e9 * took_s), (sleeps(pid) - woken) / took_s
        found[what] = shares, wakes
    return found


class Waiting(SystemCase):
    def assert_wait_quietly(self, runs: dict[str, Run], shards=1):
        """What others do on this machine, and the other jobs that wait, only add to what one takes (a cache that is
        cold, a core that is shared), so one quiet look in three proves it; who spins, or wakes too often, does so in all
        of them."""
        # Shards with threads are members of their own, and what goes to and from a thread is one more wake-up.
        servers = {node: MEMBER_WAKES_MAX * shards * (2 if shards > 1 else 1) for node in ("server-0", "server-1")}
        most = WAKES_MAX | servers
        time.sleep(SETTLE_S)
        for _ in range(LOOKS_MAX):
            loud = {}
            for what, (shares, wakes) in taken(runs).items():
                shown = ", ".join(f"{node} {100 * share:.3f} ({wakes[node]:.0f})" for node, share in sorted(shares.items()))
                print(f"{what}: percent of a core (and wake-ups a second), waiting: {shown}; together "
                      f"{100 * sum(shares.values()):.3f}")
                if max(shares.values()) >= SHARE_MAX or any(
                        rate > most.get(node, MEMBER_WAKES_MAX) for node, rate in wakes.items()):
                    loud[what] = shown
            runs = {what: runs[what] for what in loud}
            if not runs:
                return
        self.fail(f"percent of a core, and wake-ups a second: {loud}")

    def wait_for_worker_0(self, mode, reached, **settings):
        """Worker 0 sleeps in its first step, and lives; the others wait for it as soon as the mode says so."""
        run = self.start("quadratic", "--mode", mode, "--workers", 3, "--servers", 2, "--no-progress",
                         consistency__evict_after_s=FOR_EVER_MS / 1000, debug__slow_worker_ms=FOR_EVER_MS, **settings)
        run.wait_until(lambda: run.status().get("state") == "training", "training")
        for node in ("worker-1", "worker-2"):
            run.wait_for_clock(node, reached)
        return run

    def test_a_job_that_waits_for_one_worker(self):
        """All of these wait side by side, and are looked at together."""
        runs = {f"{mode} over {name}": self.wait_for_worker_0(mode, reached, **lane(name))
                for name in ("shm", "ipc", "tcp") for mode, reached in (("bsp", 0), ("ssp:50", 51))}
        self.assert_wait_quietly(runs)

    def test_shards_with_threads_of_their_own(self):
        run = self.wait_for_worker_0("ssp:50", 51, cluster__shard_threads=2, **lane("shm"))
        self.assert_wait_quietly({"two shards": run}, shards=2)


if __name__ == "__main__":
    main(at_once=1)
