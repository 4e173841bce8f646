"""bench/push_pull as a user runs it: figures that a file has, and processes that stay where they are put."""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from system_case import SystemCase, main

DEADLINE_S = 60.0
# As small as it goes: what is measured is none of this test's business.
SMALL = ["--model", "1", "--slice", "65536"]


def cores_of(pid: int) -> set[int]:
    return os.sched_getaffinity(pid)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


class PushPull(SystemCase):
    def command(self, *words: str) -> list[str]:
        return [str(Path(self.build) / "bin" / "push_pull"), *SMALL, *words]

    def run_to_its_end(self, *words: str, cores=None) -> subprocess.CompletedProcess:
        keep = None if cores is None else lambda: os.sched_setaffinity(0, cores)
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=DEADLINE_S, preexec_fn=keep)

    def test_rows_of_a_file_have_a_figure_beside_its_limit(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.json"
            ended = self.run_to_its_end("--rounds", "3", "--json", str(file))
            self.assertEqual(ended.returncode, 0, ended.stderr)
            rows = {row["name"]: row for row in json.loads(file.read_text())}
        update = rows["shm/momentum/1MiB/64KiB/1w1s/pushed of update"]
        self.assertGreater(update["value"], 0)
        self.assertAlmostEqual(update["ratio"], update["value"] / update["limit"])
        self.assertNotIn("pinned", ended.stdout)

    @unittest.skipIf(len(cores_of(0)) < 2, "one core")
    def test_pinned_ends_run_where_it_says(self):
        # Two workers, two shards and two cores: each core has one of either.
        two = sorted(cores_of(0))[:2]
        words = ["--pin", "--workers", "2", "--shards", "2", "--rounds", "100000"]
        bench = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, text=True,
                                 preexec_fn=lambda: os.sched_setaffinity(0, two))
        try:
            line = next(line for line in bench.stdout if line.startswith("pinned: "))
            said = re.findall(r"(\S+) to core (\d+)", line)
            self.assertEqual(said, [("server-0", str(two[0])), ("server-1", str(two[1])),
                                    ("worker-0", str(two[0])), ("worker-1", str(two[1]))], line)
            # The first worker goes to all cores again and again, to measure limits there.
            deadline, kept = time.monotonic() + DEADLINE_S, []
            while kept.count(two[1]) < 2 and time.monotonic() < deadline:
                kept = [min(cores_of(pid)) for pid in children_of(bench.pid) if len(cores_of(pid)) == 1]
                time.sleep(0.01)
            self.assertIn(sorted(kept), ([two[0], two[1], two[1]], [two[0], two[0], two[1], two[1]]))
        finally:
            bench.kill()
            bench.wait()
            bench.stdout.close()

    def test_one_core_is_too_few_to_pin_to(self):
        one = min(cores_of(0))
        ended = self.run_to_its_end("--pin", "--rounds", "2", cores={one})
        self.assertEqual(ended.returncode, 2)
        self.assertIn(f"--pin: this process may use core {one} alone", ended.stderr)
        self.assertEqual(ended.stdout, "")

    def test_what_cannot_be_measured_is_refused_in_a_line_that_says_what_can(self):
        slices = r"--slice: {} is no size of a slice: a multiple of 4 is allowed, from 4 to the bytes of the model\n"
        for words, line in ((("--slice", "3"), slices.format(3)), (("--slice", "0"), slices.format(0)),
                            (("--slice", "-4"), slices.format(-4)), (("--slice", "64,6"), slices.format(6)),
                            (("--slice", "1048580"), "--slice: 1048580 is more than the model of 1048576 bytes"),
                            (("--model", "0"), "--model: .*0 not in range 1 to"),
                            (("--rule", "foo"), "--rule: foo not in {none,sgd,momentum,nesterov,adam,adamw}")):
            ended = subprocess.run([str(Path(self.build) / "bin" / "push_pull"), *(SMALL[:2] if "--slice" in words else []),
                                    *words], capture_output=True, text=True, timeout=DEADLINE_S)
            self.assertNotEqual(ended.returncode, 0, words)
            self.assertRegex(ended.stderr, "^" + line)
            self.assertEqual(ended.stdout, "")

    def test_help_has_the_defaults(self):
        shown = self.run_to_its_end("--help").stdout
        for default in ("shm", "momentum", "asp", "64", "1048576"):
            self.assertIn(f"=[{default}]", shown)

    def test_copies_are_not_shown_as_shared_memory(self):
        """Nobody may make a file so large, so nothing can be shared."""
        command = ["prlimit", "--fsize=200000", *self.command("--rounds", "2")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"push_pull: --lane shm: \S+ cannot share memory: .*File too large")
        self.assertNotIn("shm/", ended.stdout)

    def started(self):
        """One that runs until it is ended, and its processes: far ends, a stand-in, a shard, a worker."""
        bench = subprocess.Popen(self.command("--rounds", "100000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
        self.addCleanup(bench.communicate)
        self.addCleanup(bench.kill)
        deadline, seen = time.monotonic() + DEADLINE_S, []
        while len(seen) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
            seen = children_of(bench.pid)
        self.assertGreaterEqual(len(seen), 5)
        return bench, seen

    def test_a_child_that_is_killed_is_named_with_its_signal(self):
        bench, children = self.started()
        os.kill(children[-1], signal.SIGKILL)
        _, errors = bench.communicate(timeout=DEADLINE_S)
        self.assertEqual(bench.returncode, 1)
        self.assertIn("push_pull: worker-0 was killed by signal 9 (Killed)", errors)

    def test_nobody_outlives_it(self):
        bench, children = self.started()
        bench.kill()
        bench.wait()
        deadline = time.monotonic() + DEADLINE_S
        while any(runs(pid) for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual([pid for pid in children if runs(pid)], [])


if __name__ == "__main__":
    main(at_once=1)
