"""What people hear of memory before a job starts: the estimate beside what there is of it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from launcher_case import LAUNCHER, LauncherCase

sys.path.insert(0, str(LAUNCHER.parent))

from rubato_cli.failure import ExitCode, Failure  # noqa: E402: after the path is set
from rubato_cli.memory import Forecast  # noqa: E402
from rubato_cli.room import PROGRAM_ADDRESSES, Room  # noqa: E402

GIB = 1 << 30
MEMORY = ExitCode.MEMORY


def forecast(room: Room, **rows: int) -> Forecast:
    """Of rows such as at_most_evaluator=5."""
    said = ""
    for name, octets in rows.items():
        kind, what = name.rsplit("_", 1)
        said += f"{octets} {kind.replace('_', '-')} {what}\n"
    return Forecast(subprocess.Popen(["printf", "%s", said], stdout=subprocess.PIPE, text=True), room)


class TheForecast(unittest.TestCase):
    def warnings(self, room: Room, **rows: int) -> list[str]:
        of_job = forecast(room, **rows)
        of_job.refuse_what_cannot_be()
        return [line for line in of_job.lines() if line.startswith("warning: ")]

    def refused(self, room: Room, **rows: int) -> str:
        with self.assertRaises(Failure) as raised:
            forecast(room, **rows).refuse_what_cannot_be()
        self.assertEqual(raised.exception.code, MEMORY)
        return str(raised.exception)

    def test_what_fits_is_not_warned_of(self):
        room = Room(available=3 * GIB, total=4 * GIB)
        self.assertEqual(self.warnings(room, all_weights=GIB, at_most_evaluator=2 * GIB, on_gpu_slices=9 * GIB), [])
        self.assertEqual(self.warnings(Room(), all_weights=1 << 60), [])

    def test_what_is_sure_to_be_wanted_is_compared_with_what_there_is_to_spare(self):
        self.assertEqual(self.warnings(Room(available=3 * GIB, total=5 * GIB), all_weights=4 * GIB),
                         ["warning: this host has 3.0 GiB of memory to spare; the job will want 4.0 GiB"])

    def test_what_may_be_wanted_is_too(self):
        self.assertEqual(self.warnings(Room(available=22 * GIB, total=24 * GIB), all_weights=17 * GIB, at_most_evaluator=11 * GIB),
                         ["warning: the job may not fit: this host has 22.0 GiB of memory to spare, and it may want up to "
                          "28.0 GiB"])

    def test_what_all_would_come_to_at_once_is_no_warning_where_there_is_room_for_half_of_it(self):
        """Upper figures are each for itself; that all of them come, and in the same moment, is not likely."""
        said = forecast(Room(available=23 * GIB, total=24 * GIB), all_weights=17 * GIB, at_most_evaluator=11 * GIB).lines()
        self.assertEqual(said[1:], ["note: this host has 23.0 GiB of memory to spare; should everything that it may want come at "
                                    "once, the job would take 28.0 GiB"])

    def test_more_than_there_is_at_all_is_refused(self):
        room = Room(available=2 * GIB, total=4 * GIB, where="the control group of this process")
        words = self.refused(room, all_weights=5 * GIB)
        self.assertIn("not enough memory: the job takes 5.0 GiB at least, and the control group of this process has 4.0 GiB in "
                      "all", words)
        self.assertEqual(len(self.warnings(room, all_weights=1, at_most_evaluator=5 * GIB)), 1)

    def test_more_than_one_process_may_take_is_refused(self):
        limit = 3 * GIB
        words = self.refused(Room(process=limit), all_weights=1, in_one_slices=3 * GIB)
        self.assertIn("slices alone take 3.0 GiB, in one process", words)
        self.assertIn("it may take 3.0 GiB in all (ulimit -v): raise that, or ", words)
        self.refused(Room(process=limit), all_weights=1, in_one_slices=limit - PROGRAM_ADDRESSES + 1)
        self.assertEqual(self.warnings(Room(process=limit), all_weights=1, in_one_slices=limit - PROGRAM_ADDRESSES), [])


class TheRoom(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="rubato-room-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 6291456 kB\nSwapTotal: 1048576 kB\n")

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def room(self):
        room = Room.here(self.root)
        return room.where, room.available, room.total

    def test_of_a_host(self):
        self.assertEqual(self.room(), ("this host", 6 * GIB, 9 * GIB))

    def test_of_nobody_knows_where(self):
        (self.root / "proc/meminfo").unlink()
        self.assertEqual(self.room(), ("this host", None, None))

    def test_of_a_control_group(self):
        """Of all around this process; files that are kept for no need count as free."""
        self.write("proc/self/cgroup", "0::/slice/job\n")
        self.write("sys/fs/cgroup/slice/memory.max", f"{2 * GIB}\n")
        self.write("sys/fs/cgroup/slice/memory.current", f"{GIB}\n")
        self.write("sys/fs/cgroup/slice/memory.swap.max", "0\n")
        self.write("sys/fs/cgroup/slice/memory.stat", f"anon 5\ninactive_file {GIB // 2}\n")
        self.write("sys/fs/cgroup/slice/job/memory.max", "max\n")
        self.assertEqual(self.room(), ("the control group of this process", 3 * GIB // 2, 2 * GIB))

    def test_of_one_of_the_first_version(self):
        self.write("proc/self/cgroup", "4:memory:/job\n3:cpuset:/job\n0::/\n")
        self.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", f"{GIB}\n")
        self.write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "0\n")
        self.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
        self.assertEqual(self.room(), ("the control group of this process", GIB, 2 * GIB))  # with the host's swap


class TheLauncher(LauncherCase):
    def under(self, mebi, command):
        return self.run_command(["bash", "-c", f'ulimit -v {mebi << 10}; exec "$@"', "small", *map(str, command)])

    def test_refuses_what_this_host_never_had(self):
        result = self.train(memory=f"{1 << 60} all weights\n")
        self.assert_one_line_error(result, MEMORY, "the job takes 1073741824.0 GiB at least, and ")

    def test_starts_nobody_who_has_no_room(self):
        words = self.train_command(memory=f"{8 * GIB} in-one slices of a server\n1 all weights\n")
        self.assert_one_line_error(self.under(4096, words), MEMORY, "slices of a server alone take 8.0 GiB")
        self.assertFalse((self.run_dir / "logs" / "server-0.log").exists())

    def test_says_so_in_one_line_where_programs_could_not_even_start(self):
        for mebi in (16, 20, 64, 150):
            self.assert_one_line_error(self.under(mebi, self.train_command()), MEMORY, "not enough memory")
        self.assertFalse(self.run_dir.exists())


if __name__ == "__main__":
    unittest.main()
