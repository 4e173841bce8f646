"""What is made of runs: targets, ages, means, the table, RUNS.csv. Usage: test_comparison.py [ARGUMENT of unittest...]"""

import csv
import io
import unittest
from pathlib import Path

import made_metrics
from lab_case import LabCase

from rubato_lab import ages, comparison_table
from rubato_lab.campaign import Outcome
from rubato_lab.chance import Chance
from rubato_lab.comparison import Comparison
from rubato_lab.files import write_whole
from rubato_lab.grid import Cell, Contender
from rubato_lab.run_figures import RunFigures
from rubato_lab.target import Target, default_target
from rubato_lab.verdict_words import paragraph


class Ages(unittest.TestCase):
    def test_figures_of_a_histogram(self):
        histogram = ages.merged([{0: 50, 2: 49}, {100: 1}])
        self.assertEqual(ages.mean(histogram), 1.98)
        self.assertEqual([ages.quantile(histogram, share) for share in (0.5, 0.51, 0.99, 1.0)], [0, 2, 2, 100])
        self.assertIsNone(ages.mean({}))
        self.assertIsNone(ages.quantile({}, 0.99))

    def test_bins_hold_every_age_once(self):
        for age_max in (0, 3, 7, 8, 63, 500):
            bins = ages.bins(age_max)
            covered = [age for low, high in bins for age in range(low, high + 1)]
            self.assertEqual(covered, list(range(len(covered))))
            self.assertGreaterEqual(covered[-1], age_max)
        self.assertEqual(sum(count for _, _, count in ages.binned({0: 3, 9: 2, 70: 1}, ages.bins(70))), 6)


class Targets(unittest.TestCase):
    def test_reached_on_the_line_between_two_evaluations(self):
        run = RunFigures.of(made_metrics.run_lines("bsp", seed=0, accuracies=(0.6, 0.8, 0.85)))
        reached = Target(0.7, True, "").reached(run)
        self.assertAlmostEqual(reached.time_s, 15.0)
        self.assertEqual((reached.updates, reached.samples), (15, 1500))
        self.assertIsNone(Target(0.9, True, "").reached(run))

    def test_a_first_evaluation_that_meets_it_is_an_upper_limit(self):
        run = RunFigures.of(made_metrics.run_lines("bsp", seed=0))
        self.assertEqual(Target(0.5, True, "").reached(run).updates, 10)
        self.assertTrue(Target(0.5, True, "").is_met_at_once(run))
        self.assertFalse(Target(0.7, True, "").is_met_at_once(run))

    def test_a_loss_comes_down_to_its_target(self):
        run = RunFigures.of(made_metrics.run_lines("bsp", seed=0))
        self.assertEqual(Target(0.3, False, "").reached(run).updates, 15)

    def test_default(self):
        self.assertAlmostEqual(default_target({"bsp": [0.8, 0.9], "asp": [0.95]}, True).value, 0.98 * 0.9)
        self.assertAlmostEqual(default_target({"asp": [0.95]}, True).value, 0.98 * 0.95)
        self.assertAlmostEqual(default_target({"bsp": [0.5, 0.49]}, False).value, 0.5)
        self.assertIsNone(default_target({}, True))

    def test_default_is_clearly_above_chance(self):
        ten = Chance(0.1, 10_000)
        self.assertAlmostEqual(ten.floor, 0.2)
        self.assertAlmostEqual(Chance(0.5, 10_000).floor, 0.5625)
        self.assertAlmostEqual(Chance(0.5, 100).floor, 0.65, msg="the noise of a small test set")
        self.assertIsNone(default_target({"bsp": [0.1308], "asp": [0.1993]}, True, ten))
        self.assertAlmostEqual(default_target({"bsp": [0.1004], "asp": [0.5]}, True, ten).value, 0.49)
        self.assertIn("bsp learned nothing", default_target({"bsp": [0.1004], "asp": [0.5]}, True, ten).origin)
        self.assertAlmostEqual(default_target({"bsp": [0.8]}, True, ten).value, 0.98 * 0.8)
        self.assertAlmostEqual(default_target({"bsp": [0.95]}, True, Chance(0.94, 10_000)).value, Chance(0.94, 10_000).floor)

    def test_chance_is_the_largest_class(self):
        lines = made_metrics.run_lines("bsp", details={"per_class": [{"support": 30}, {"support": 70}]})
        self.assertEqual(Chance.of([RunFigures.of(lines)]), Chance(0.7, 100))
        self.assertIsNone(Chance.of([RunFigures.of(made_metrics.run_lines("bsp"))]))


class Comparisons(LabCase):
    def outcomes(self, *runs):
        """(mode, stragglers, seed, lines or what failed)"""
        found = []
        for index, (mode, stragglers, seed, lines) in enumerate(runs):
            run_dir = self.folder / f"run{index}"
            if not isinstance(lines, str):
                write_whole(run_dir / "metrics.jsonl", made_metrics.as_text(lines))
                write_whole(run_dir / "job.toml", '[optimizer]\nname = "sgd"\nrate = 0.1\n')
            found.append(Outcome(Cell(Contender(mode), stragglers, seed), run_dir, lines if isinstance(lines, str) else ""))
        return found

    def comparison(self, *runs, target=0.7):
        return Comparison(self.outcomes(*runs), target, is_real=False, comparable=True)

    def test_means_and_speed_up(self):
        made = made_metrics.run_lines
        found = self.comparison(*[("bsp", "persistent:4x", seed, made("bsp", 4, seed, 4.0)) for seed in (0, 1)],
                                *[("asp", "persistent:4x", seed, made("asp", 4, seed, 4.0)) for seed in (0, 1)])
        bsp, asp = found.under("persistent:4x")
        self.assertAlmostEqual(found.final(bsp), 0.8495)
        self.assertEqual(found.final_spread(bsp), (0.85 - 0.001, 0.85))
        self.assertAlmostEqual(found.speed_up(bsp), 1.0)
        self.assertAlmostEqual(found.speed_up(asp), 16.0, places=6)
        self.assertEqual(found.updates_to_target(asp), 15)
        self.assertAlmostEqual(bsp.wait_share, 0.4 * 3 / 4)
        self.assertAlmostEqual(bsp.wait_matrix()[("worker-1", "worker-0")], 0.4 * 120 * 1.005)
        words = paragraph(found, "persistent:4x")
        self.assertIn("With persistent:4x, asp was the first to reach accuracy 70.00%", words)
        self.assertIn("16.00 times as fast as bsp", words)
        self.assertIn("it won by its pace, 16.00 times as many updates in the same time, and took as many", words)

    def test_workers_that_are_done_early_are_idle(self):
        lines = made_metrics.run_lines("asp", train_s=40.0)
        for worker, time_s, wait_s in zip(lines[-1]["workers"], (40.0, 10.0, 10.0, 20.0), (0.0, 2.0, 2.0, 4.0)):
            worker.update(time_s=time_s, wait_s=wait_s, wait_workers_s=wait_s / 2, wait_weights_s=wait_s / 4)
        time = RunFigures.of(lines).worker_time
        self.assertAlmostEqual(time.waited, 8 / 160)
        self.assertAlmostEqual(time.for_workers, 4 / 160)
        self.assertAlmostEqual(time.messages, 2 / 160)
        self.assertAlmostEqual(time.done_early, 80 / 160)
        found = self.comparison(("asp", "none", 1, lines))
        self.assertEqual(comparison_table.rows(found)[1][0][8:10], ["5%", "50%"])
        lines.insert(1, {"event": "worker_lost", "time_s": 1, "worker": "worker-1", "clock": 7, "reason": "was killed"})
        self.assertAlmostEqual(RunFigures.of(lines).worker_time.done_early, 50 / 130, msg="the dead are not idle")

    def test_runs_that_are_the_same_are_said_to_be(self):
        made = lambda mode, seed, **final: made_metrics.run_lines(mode, seed=seed, **final)
        runs = [(mode, stragglers, seed, made(mode, seed, weights_sha256=f"{stragglers} {seed} {mode if mode in unlike else ''}"))
                for mode in ("bsp", "ssp:2", "dssp:1..8", "asp") for seed in (1, 2)
                for stragglers, unlike in (("none", "bsp"), ("persistent:4x", ("bsp", "ssp:2", "dssp:1..8", "asp")))]
        said = " ".join(comparison_table.notes(self.comparison(*runs)))
        self.assertIn("under none, ssp:2, dssp:1..8 and asp are the same runs, bit for bit: no bound held anybody back", said)
        self.assertNotIn("under persistent", said)
        held = [{"worker": "worker-0", "samples": 1, "steps": 1, "time_s": 9.0, "wait_s": 3.0, "wait_workers_s": 3.0,
                 "wait_weights_s": 0.0, "held_up_s": 0.0, "age_mean": 0.0}]
        runs = [(mode, "none", 1, made(mode, 1, weights_sha256="", workers=held)) for mode in ("ssp:2", "dssp:2..2")]
        said = " ".join(comparison_table.notes(self.comparison(*runs)))
        self.assertIn("are the same runs, bit for bit", said)
        self.assertNotIn("no bound held", said)

    def test_what_a_batch_is_where_modes_mean_different_things(self):
        made = made_metrics.run_lines
        one = self.comparison(("ssp:1", "none", 1, made("ssp:1")), ("asp", "none", 1, made("asp")))
        self.assertNotIn("train.batch", " ".join(comparison_table.notes(one)))
        found = self.comparison(("bsp", "none", 1, made("bsp")), ("asp", "none", 1, made("asp")),
                                ("local:4", "none", 1, made("local:4", updates=5)))
        self.assertIn("train.batch is of a whole update in bsp; of each worker's push in asp; of each local step in local:4, of "
                      "which a push has H. Samples of an update: bsp 100, asp 100, local:4 600",
                      " ".join(comparison_table.notes(found)))

    def test_no_speed_up_where_a_seed_never_gets_there(self):
        made = made_metrics.run_lines
        found = self.comparison(("bsp", "none", 0, made("bsp", seed=0)), ("asp", "none", 0, made("asp", seed=0)),
                                ("bsp", "none", 1, made("bsp")), ("asp", "none", 1, made("asp", accuracies=(0.1,) * 3)))
        self.assertIsNone(found.speed_up(found.under("none")[1]))
        row = comparison_table.rows(found)[1][1]
        self.assertIn("(1 of 2)", row[2])

    def test_divergence_is_no_accuracy(self):
        lines = made_metrics.run_lines("asp", test_loss=None, nonfinite=3)
        found = self.comparison(("bsp", "none", 1, made_metrics.run_lines("bsp")), ("asp", "none", 1, lines))
        self.assertEqual(comparison_table.rows(found)[1][1][4], "diverged")
        self.assertEqual(comparison_table.rows(found)[1][1][6:8], ["-", "-"], "ages are of the time before")
        words = paragraph(found, "none")
        self.assertIn("asp diverged with every seed (asp: until then the mean age of a push was 3.3", words)
        self.assertIn("Older gradients want a smaller rate", words)
        self.assertIn("bsp was the first", words)

    def test_a_loss_of_1e31_is_a_divergence(self):
        made = made_metrics.run_lines
        lines = made("asp", accuracies=(0.6, 0.1, 0.0921), classes=10, test_loss=8.6e34)
        found = self.comparison(("bsp", "none", 1, made("bsp", classes=10)), ("asp", "none", 1, lines))
        self.assertEqual(comparison_table.rows(found)[1][1][4], "diverged")
        words = paragraph(found, "none")
        self.assertIn("asp diverged with every seed (asp: until then the mean age of a push was 3.3", words)
        self.assertIn("--grid optimizer.rate=... shows each mode at its best", words)

    def test_a_mode_that_learned_nothing_is_not_the_closest(self):
        made = made_metrics.run_lines
        runs = [("bsp", "none", 0, made("bsp", seed=0, classes=10)),
                ("asp", "none", 0, made("asp", seed=0, accuracies=(0.1, 0.1, 0.1327), classes=10))]
        words = paragraph(self.comparison(*runs), "none")
        self.assertIn("No other mode got there with every seed.", words)
        self.assertNotIn("The closest", words)
        self.assertIn("asp (13.27%) learned nothing with any seed: that is not clearly above what the largest class alone gives, "
                      "10.00% (asp: the mean age of a push was 3.3 updates, the 99th percentile 5). Older gradients want a "
                      "smaller rate: --grid optimizer.rate=... shows each mode at its best.", words)
        runs += [("bsp", "none", 1, made("bsp", classes=10)),
                 ("asp", "none", 1, made("asp", accuracies=(0.5, 0.6, 0.65), classes=10))]
        self.assertIn("Of asp, 1 of 2 learned nothing.", paragraph(self.comparison(*runs), "none"))

    def test_seeds_that_are_left_do_not_stand_best(self):
        made = made_metrics.run_lines
        found = self.comparison(*[("bsp", "none", seed, made("bsp", seed=seed)) for seed in (1, 2)],
                                *[("ssp:1", "none", seed, made("ssp:1", seed=seed, accuracies=(0.6, 0.7, 0.8))) for seed in (1, 2)],
                                ("asp", "none", 1, made("asp", accuracies=(0.7, 0.8, 0.9))),
                                ("asp", "none", 2, made("asp", seed=2, test_loss=None, nonfinite=3)))
        words = paragraph(found, "none")
        self.assertIn("In the end bsp stood best with 84.85% and ssp:1 worst with 79.85% (without asp, of which seeds diverged).",
                      words)
        self.assertIn("Of asp, 1 of 2 diverged.", words)

    def test_equals_are_named_together(self):
        made = made_metrics.run_lines
        accuracies = {"bsp": (0.5, 0.8, 0.85), "ssp:4": (0.6, 0.75, 0.76), "asp": (0.6, 0.75, 0.76), "backup:1": (0.5, 0.6, 0.8)}
        runs = [(mode, "none", 0, made(mode, seed=0, accuracies=accuracies[mode])) for mode in accuracies]
        words = paragraph(self.comparison(*runs), "none")
        self.assertIn("bsp stood best with 85.00% and ssp:4 and asp worst with 76.00%.", words)
        self.assertIn("ssp:4 and asp were the first to reach accuracy 70.00%, in 4.17 s (backup:1 took 50% longer)", words)
        self.assertIn("The closest, ssp:4 and asp, ended at 76.00%", paragraph(self.comparison(*runs[1:3], target=0.9), "none"))
        self.assertIn("In the end ssp:4 and asp stood alike at 76.00%.", paragraph(self.comparison(*runs[1:3]), "none"))

    def test_divergence_without_ages_is_not_for_old_gradients(self):
        made = made_metrics.run_lines
        found = self.comparison(("bsp", "none", 1, made("bsp")),
                                ("local:4", "none", 1, made("local:4", ages=[[0, 100]], test_loss=None, nonfinite=3)))
        words = paragraph(found, "none")
        self.assertNotIn("Older gradients", words)
        self.assertIn("local:4 diverged with every seed. A smaller rate may be borne", words)

    def test_where_nothing_learned_there_is_no_target_and_no_winner(self):
        made = made_metrics.run_lines
        found = self.comparison(("bsp", "none", 1, made("bsp", accuracies=(0.1, 0.1, 0.1004), classes=10)),
                                ("local:4", "none", 1, made("local:4", accuracies=(0.1, 0.1, 0.1067), classes=10)), target=None)
        self.assertIsNone(found.target)
        words = paragraph(found, "none")
        self.assertIn("nothing learned: the best final accuracy, 10.57% of local:4, is not clearly above what the largest class "
                      "alone gives, 10.00%. So there is no winner.", words)
        self.assertNotIn("first to reach", words)
        self.assertNotIn("stood best", words)
        self.assertIn("target: none, since nothing learned", " ".join(comparison_table.lines(found)))

    def test_a_winner_that_fell_back(self):
        made = made_metrics.run_lines
        words = paragraph(self.comparison(("bsp", "none", 0, made("bsp", seed=0)),
                                          ("asp", "none", 0, made("asp", seed=0, accuracies=(0.5, 0.8, 0.3)))), "none")
        self.assertIn("asp was the first to reach", words)
        self.assertIn("; but it did not stay there, and ended at 30.00%", words)

    def test_why_bsp_won_is_told_of_the_next(self):
        """Not of whichever made the most updates: that one may be the last to get there."""
        made = made_metrics.run_lines
        found = self.comparison(("bsp", "none", 0, made("bsp", seed=0, accuracies=(0.6, 0.85, 0.85))),
                                ("local:4", "none", 0, made("local:4", 1, 0, accuracies=(0.6, 0.72, 0.75), ages=[[0, 9]])),
                                ("asp", "none", 0, made("asp", 2, 0, accuracies=(0.5, 0.6, 0.7))))
        words = paragraph(found, "none")
        self.assertIn("bsp was the first to reach accuracy 70.00%, in 14.0 s (asp took 7% longer)", words)
        self.assertIn("one of asp every 500 ms and it took 30 updates of 100 samples", words)
        self.assertIn("it won by needing fewer updates, 0.47 times as many, although it made 0.50 times as many in the same time",
                      words)
        self.assertNotIn("old gradients would have", words)
        self.assertNotIn("Of local:4, the mean age", words)

    def test_no_cause_where_nobody_knows_when_it_was_reached(self):
        made = made_metrics.run_lines
        words = paragraph(self.comparison(("bsp", "none", 0, made("bsp", seed=0, accuracies=(0.8, 0.8, 0.8))),
                                          ("asp", "none", 0, made("asp", seed=0))), "none")
        self.assertIn("it took at most 10 updates", words)
        self.assertNotIn("it won by", words)

    def test_how_close_the_others_came(self):
        made = made_metrics.run_lines
        found = self.comparison(("bsp", "none", 0, made("bsp", seed=0)),
                                ("ssp:1", "none", 0, made("ssp:1", seed=0, accuracies=(0.5, 0.6, 0.65))),
                                ("asp", "none", 0, made("asp", seed=0, accuracies=(0.5, 0.5, 0.5))))
        words = paragraph(found, "none")
        self.assertIn("No other mode got there with every seed. The closest, ssp:1, ended at 65.00%, after 30 updates of 100 "
                      "samples in 7.5 s, where bsp made 30 updates of 100 samples in 30.0 s.", words)
        self.assertIn("Of ssp:1, the mean age of a push was 3.3 updates", words)

    def test_why_the_others_did_not_get_there(self):
        made = made_metrics.run_lines
        short = (0.5, 0.5, 0.6)
        runs = [("bsp", "none", 0, made("bsp", seed=0)),
                ("ssp:1", "none", 0, made("ssp:1", seed=0, accuracies=short, ages=[[2, 9]])),
                ("asp", "none", 0, made("asp", seed=0, accuracies=short, ages=[[7, 9]])),
                ("local:8", "none", 0, made("local:8", seed=0, accuracies=short, ages=[[0, 9]], updates=4)),
                ("backup:1", "none", 0, made("backup:1", seed=0, accuracies=short, ages=[[0, 9]]))]
        words = paragraph(self.comparison(*runs), "none")
        self.assertIn("local:8 (4) made too few updates for it in all, where bsp took 15.", words)
        self.assertIn("asp (30) made updates enough for it, where bsp took 15; but gradients were older than rate and momentum "
                      "bear, by a rule of thumb (Mitliagkas et al. 2016): asp: mean age 7.0, with sgd at rate 0.1 like momentum "
                      "0.875.", words)
        self.assertIn("ssp:1 (30) and backup:1 (30) made updates enough for it, where bsp took 15, and each update led less far; by the "
                      "rule of thumb for old gradients theirs are borne: ssp:1: mean age 2.0, with sgd at rate 0.1 like momentum "
                      "0.667.", words)
        self.assertIn("--grid optimizer.rate=... shows", words)
        runs.append(("softsync:2", "none", 0, made("softsync:2", seed=0, accuracies=short, ages=[[7, 9]], updates=6)))
        words = paragraph(self.comparison(*runs), "none")
        self.assertIn("local:8 (4) and softsync:2 (6) made too few", words)
        self.assertIn("Besides, gradients were old: softsync:2: mean age 7.0", words)
        words = paragraph(self.comparison(*runs[2:], target=0.9), "none")
        self.assertIn("Gradients were older than rate and momentum bear", words)
        self.assertNotIn("updates enough", words)
        runs.append(("dssp:1..2", "none", 0, made("dssp:1..2", seed=0)))
        self.assertIn("asp (30) made updates enough", paragraph(self.comparison(*runs), "none"), "also where two got there")

    def test_where_processes_shared_processors_there_is_no_winner_by_time(self):
        made = made_metrics.run_lines
        outcomes = self.outcomes(("bsp", "none", 0, made("bsp", seed=0)), ("asp", "none", 0, made("asp", seed=0)))
        words = paragraph(Comparison(outcomes, 0.7, is_real=True, comparable=False), "none")
        self.assertIn("there is no winner by time. Updates to accuracy 70.00%: bsp 15 updates of 100 samples; asp 15", words)
        for untrue in ("first", "times as fast", "pace", "longer"):
            self.assertNotIn(untrue, words)

    def test_runs_csv_has_a_row_a_run(self):
        found = self.comparison(("bsp", "none", 1, made_metrics.run_lines("bsp")), ("asp", "none", 1, "it broke"))
        from rubato_lab.runs_csv import runs_csv
        first, second = csv.DictReader(io.StringIO(runs_csv(found)))
        self.assertEqual(float(first["test_accuracy"]), 0.849)
        self.assertEqual((first["age_max"], first["updates"], first["failure"]), ("0", "30", ""))
        self.assertEqual((second["mode"], second["failure"], second["test_accuracy"]), ("asp", "it broke", ""))

    def test_with_a_holdout_validation_figures_choose(self):
        """The better on what was held out, though the other is the better on the test set; and at its best evaluation,
        not at its last."""
        good = made_metrics.held_out(made_metrics.run_lines("bsp", seed=0, accuracies=(0.6, 0.9, 0.8)), tested=0.5)
        bad = made_metrics.held_out(made_metrics.run_lines("asp", seed=0, accuracies=(0.6, 0.7, 0.75)), tested=0.99)
        found = self.comparison(("bsp", "none", 0, good), ("asp", "none", 0, bad), target=None)
        first, second = found.groups
        self.assertGreater(first.rank(True), second.rank(True))
        self.assertEqual((first.finals(True), second.finals(True)), ([0.9], [0.75]))
        self.assertAlmostEqual(first.finals(False)[0], 0.1)
        self.assertEqual((found.part, found.target.value), ("validation", 0.98 * 0.9))
        self.assertEqual([point.value for point in first.runs[0].accuracy], [0.6, 0.9, 0.8])
        from rubato_lab.runs_csv import runs_csv
        row = next(csv.DictReader(io.StringIO(runs_csv(found))))
        self.assertEqual((row["test_accuracy"], row["best_validation_accuracy"], row["best_epoch"]), ("0.5", "0.9", "2"))

    def test_figures_of_the_validation_part_are_called_that(self):
        """Without a holdout nothing was chosen by them: the last one counts."""
        made = [made_metrics.on_validation(made_metrics.run_lines(mode, seed=0, accuracies=(0.6, 0.9, 0.8)))
                for mode in ("bsp", "asp")]
        found = self.comparison(("bsp", "none", 0, made[0]), ("asp", "none", 0, made[1]), target=None)
        self.assertEqual((found.part, found.groups[0].finals(True)), ("validation", [0.8]))
        self.assertAlmostEqual(found.groups[0].finals(False)[0], 0.2)
        from rubato_lab.runs_csv import runs_csv
        row = next(csv.DictReader(io.StringIO(runs_csv(found))))
        self.assertEqual((row["test_accuracy"], row["validation_accuracy"], row["best_epoch"]), ("", "0.8", ""))

    def test_an_evaluation_free_job_has_no_target(self):
        lines = made_metrics.run_lines("asp", test_accuracy=None, test_loss=None)
        lines = [line for line in lines if line["event"] != "evaluation"]
        found = self.comparison(("asp", "none", 1, lines), target=None)
        self.assertIsNone(found.target)
        self.assertIn("no run was evaluated", " ".join(comparison_table.lines(found)))
        self.assertEqual(comparison_table.rows(found)[1][0][4], "-", "no figure is no divergence")
        self.assertIn("no run can be timed: no run was evaluated", paragraph(found, "none"))


if __name__ == "__main__":
    unittest.main()
