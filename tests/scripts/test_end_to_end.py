"""bench/end_to_end.py and bench/overhead.py on made-up figures: what is a row, and what is asked of which."""

import contextlib
import io
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import end_to_end  # noqa: E402

CASE = ("fashion_cnn", "shm", "asp", 2)


def round_of(wall, cpu, local_wall=2000.0, local_cpu=1000.0):
    return {"local_train": {"samples_per_s": local_wall, "samples_per_cpu_s": local_cpu},
            "processes": {"samples_per_s": wall, "samples_per_cpu_s": cpu}}


class Rows(unittest.TestCase):
    def rows(self, rounds, case=CASE):
        return {row["name"]: row for row in end_to_end.rows_of(end_to_end.parse([]), {case: rounds})}

    def test_a_row_is_the_median_beside_its_limit(self):
        rows = self.rows([round_of(1900, 800), round_of(1000, 700), round_of(1950, 900)])
        wall, cpu = rows["fashion_cnn/shm/asp/2w/wall"], rows["fashion_cnn/shm/asp/2w/cpu"]
        self.assertEqual((wall["value"], wall["unit"], wall["limit"], wall["ratio"]), (1900, "samples/s", 2000, 0.95))
        self.assertEqual((cpu["value"], cpu["unit"], cpu["limit"], cpu["ratio"]), (800, "samples/CPU s", 1000, 0.8))

    def test_a_ratio_is_of_one_round(self):
        """Where the machine is slower for both in one of them, that is no difference between them."""
        rounds = [round_of(1900, 900), round_of(475, 900, 500), round_of(950, 900, 1000)]
        self.assertAlmostEqual(self.rows(rounds)["fashion_cnn/shm/asp/2w/wall"]["ratio"], 0.95)

    def test_on_a_quiet_machine_the_wall_decides(self):
        rows = self.rows([round_of(1700, 950)])
        self.assertFalse(rows["fashion_cnn/shm/asp/2w/wall"]["kept"])
        self.assertIsNone(rows["fashion_cnn/shm/asp/2w/cpu"]["asked"])

    def test_on_a_busy_machine_the_cpu_decides(self):
        rows = self.rows([round_of(500, 850, local_wall=1000)])
        self.assertIsNone(rows["fashion_cnn/shm/asp/2w/wall"]["asked"])
        self.assertEqual(rows["fashion_cnn/shm/asp/2w/cpu"]["asked"], 0.9)
        self.assertFalse(rows["fashion_cnn/shm/asp/2w/cpu"]["kept"])

    def test_of_others_nothing_is_asked(self):
        for case in (("fashion_cnn", "tcp", "asp", 2), ("fashion_cnn", "shm", "asp", 1), ("fashion_mlp", "shm", "asp", 2)):
            rows = self.rows([round_of(100, 100)], case)
            self.assertTrue(all(row["kept"] and row["asked"] is None for row in rows.values()), rows)

    def test_workers_that_share_a_batch_have_as_many_samples_each(self):
        options = end_to_end.parse([])
        for mode, batch in (("asp", 64), ("bsp", 128)):
            words = end_to_end.overhead.settings_of(end_to_end.settings(options, "fashion_cnn", "shm", mode, 2))
            self.assertIn(f"train.batch={batch}", words)
            self.assertIn("cluster.workers=2", words)

    def test_each_column_has_a_name_and_a_ratio_says_what_it_is(self):
        options, cases = end_to_end.parse([]), {CASE: [round_of(1900, 900)]}
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            end_to_end.show(options, end_to_end.rows_of(options, cases), cases)
        self.assertRegex(shown.getvalue(), r"\n +processes +trainers +ratio +at least\n")
        self.assertIn("the median of the rounds' ratios", shown.getvalue())


class Overhead(unittest.TestCase):
    """The table of what is asked of the processes, which docs/overhead.md has in words."""

    def judged(self, *words, ratio=0.0):
        options = end_to_end.overhead.parse(words)
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            found = end_to_end.overhead.report_ratios(options, [round_of(1000 * ratio, 1000 * ratio, 1000, 1000)])
        return found[0], shown.getvalue()

    def test_what_is_asked_depends_on_job_and_cores(self):
        mlp = ("--job", "fashion_mlp", "--batch", "128")
        for words, asked in (((), 0.92), (("--cores", "0,1"), 0.95), (("--cores", "0-1", "--lane", "shm"), 0.95),
                             (mlp, 0.80), ((*mlp, "--cores", "2,3"), 0.85)):
            below, shown = self.judged(*words, ratio=asked - 0.01)
            self.assertEqual((below["limit"], below["within"]), (asked, False), words)
            self.assertRegex(shown, rf"{asked:.2f} +TOO LOW")
            self.assertTrue(self.judged(*words, ratio=asked)[0]["within"], words)

    def test_of_others_nothing_is_asked(self):
        for words in (("--batch", "32"), ("--lane", "tcp"), ("--lane", "ipc"), ("--workers", "2"), ("--threads", "2"),
                      ("--cores", "0-3"), ("--set", "train.seed=2"), ("--job", "fashion_mlp")):
            found, shown = self.judged(*words, ratio=0.1)
            self.assertEqual((found["limit"], found["within"]), (None, True), words)
            self.assertNotIn("TOO LOW", shown)


if __name__ == "__main__":
    unittest.main()
