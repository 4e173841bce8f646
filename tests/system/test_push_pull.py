"""bench/push_pull as a user runs it: figures that a file has, and processes that stay where they are put."""

import json
import os
import re
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


if __name__ == "__main__":
    main()
