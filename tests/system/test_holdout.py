"""Jobs that set training samples aside: what decides, which weights stay, when training ends, and that the test set is
read once."""

import json

import images
import safetensors_file
from system_case import JOBS, SystemCase, as_options, main

TRAIN, TEST, SHARE = 500, 120, 0.2
HELD_OUT = 100
# Far too many epochs for so few images: it learns them by heart, and gets worse on others.
SMALL = {"model__hidden": [64], "train__batch": 20, "train__epochs": 200, "optimizer__rate": 0.1,
         "optimizer__schedule__name": "constant", "cluster__slice_bytes": 16384, "evaluation__holdout": SHARE}


class Holdout(SystemCase):
    def setUp(self):
        super().setUp()
        self.images = images.write(self.folder / "images", train=TRAIN, test=TEST)

    def settings(self, **more):
        return {**SMALL, **self.images, **more}

    def evaluations(self, lines):
        return [line for line in lines if line["event"] in ("evaluation", "final")]

    def assert_decided_by_what_is_held_out(self, lines, metric="loss"):
        """The best evaluation is the one that `final` names, and nothing before it was said of the test set."""
        found, final = self.evaluations(lines), lines[-1]
        sign = -1 if metric == "loss" else 1
        figures = [line[f"validation_{metric}"] for line in found]
        best = max(range(len(found)), key=lambda at: (sign * figures[at], -at))
        self.assertEqual((final["best_epoch"], final["best_clock"]), (found[best]["epoch"], found[best]["clock"]))
        self.assertEqual(final[f"best_validation_{metric}"], figures[best])
        for line in found[:-1]:
            self.assertNotIn("test_loss", line)
            self.assertNotIn("test_accuracy", line)
            self.assertEqual(sum(entry["support"] for entry in line["details"]["per_class"]), HELD_OUT)
        self.assertEqual(sum(entry["support"] for entry in final["details"]["per_class"]), TEST)

    def test_training_ends_when_it_gets_no_better_in_every_mode(self):
        for mode, more in (("bsp", {}), ("ssp:2", {}), ("asp", {}), ("asp", {"data__shards": "leased"}), ("local:4", {})):
            with self.subTest(mode, **more):
                run = self.train("fashion_mlp", "--mode", mode, **self.settings(
                    evaluation__patience=3, evaluation__min_delta=0.5, **more))
                lines, final = run.metrics(), run.final()
                self.assert_decided_by_what_is_held_out(lines)
                self.assertTrue(final["stopped_early"])
                self.assertLess(final["epoch"], 200)
                stopped = [line["reason"] for line in lines if line["event"] == "stopped_early"]
                self.assertEqual(len(stopped), 1)
                self.assertTrue(stopped[0].startswith("stopped early: 3 evaluations without"), stopped)
                self.assertEqual(run.output.count("stopped early: "), 1, run.output)
                self.assertIn("finished in", run.output)
                self.assertIn(f"of the best weights, of epoch {final['best_epoch']}", run.output)
                self.assertIn("validation accuracy", run.output)

    def test_the_best_weights_stay_and_are_what_is_tested(self):
        run = self.train("fashion_mlp", "--mode", "bsp", **self.settings(train__epochs=12, evaluation__metric="accuracy"))
        lines, final = run.metrics(), run.final()
        self.assert_decided_by_what_is_held_out(lines, "accuracy")
        self.assertFalse(final["stopped_early"])
        best, last = run.run_dir / "best.safetensors", run.run_dir / "final.safetensors"
        safetensors_file.check(best)
        self.assertEqual(safetensors_file.weights_sha256(best), final["best_sha256"])
        self.assertEqual(safetensors_file.weights_sha256(last), final["weights_sha256"])
        # In bsp the weights of a clock are those of a job that ends there.
        again = self.train("fashion_mlp", "--mode", "bsp", **self.settings(train__epochs=final["best_epoch"]))
        self.assertEqual(again.final()["weights_sha256"], final["best_sha256"])
        # What is done with a run is done with its best weights.
        said = json.loads(self.rubato("eval", run.run_dir, "--json"))
        self.assertEqual((said["test_loss"], said["test_accuracy"]), (final["test_loss"], final["test_accuracy"]))
        held = json.loads(self.rubato("eval", run.run_dir, "--part", "validation", "--json"))
        self.assertEqual(held["validation_accuracy"], final["best_validation_accuracy"])
        other = json.loads(self.rubato("eval", last, "--job", run.run_dir / "job.toml", "--part", "validation", "--json"))
        self.assertEqual(other["validation_accuracy"], final["validation_accuracy"])
        self.assertIn("best.safetensors on the test part", self.rubato("eval", run.run_dir))
        exported = self.folder / "exported.safetensors"
        self.assertIn("best.safetensors", self.rubato("export", run.run_dir, "--to", exported))
        self.assertEqual(json.loads(self.rubato("eval", exported, "--json"))["test_loss"], final["test_loss"])
        predicted = self.folder / "predicted.csv"
        self.assertIn("best.safetensors", self.rubato("predict", run.run_dir, "--part", "test", "--to", predicted))

    def test_simulated_and_real_runs_decide_alike(self):
        settings = self.settings(train__epochs=6)
        real = self.train("fashion_mlp", "--mode", "bsp", **settings).final()
        self.rubato("simulate", JOBS / "fashion_mlp.toml", "--mode", "bsp", "--run-dir", self.folder / "simulated",
                    *as_options(settings))
        lines = [json.loads(line) for line in (self.folder / "simulated" / "metrics.jsonl").read_text().splitlines()]
        self.assert_decided_by_what_is_held_out(lines)
        for name in ("best_epoch", "best_sha256", "best_validation_loss", "test_loss", "weights_sha256"):
            self.assertEqual(lines[-1][name], real[name], name)

    def test_a_killed_evaluator_is_started_again_with_the_best_there_was(self):
        run = self.start("fashion_mlp", "--mode", "asp", **self.settings(train__epochs=60, debug__slow_worker_ms=5))
        run.wait_until(lambda: len(self.evaluations(run.metrics())) >= 2, "two evaluations")
        run.kill("evaluator-0")
        self.assert_ends(run, 0)
        self.assert_decided_by_what_is_held_out(run.metrics())
        self.assertEqual(safetensors_file.weights_sha256(run.run_dir / "best.safetensors"), run.final()["best_sha256"])

    def test_a_drained_job_has_the_best_weights_too(self):
        run = self.start("fashion_mlp", "--mode", "ssp:2", **self.settings(debug__slow_worker_ms=5))
        run.wait_until(lambda: len(self.evaluations(run.metrics())) >= 2, "two evaluations")
        run.launcher.send_signal(2)
        self.assert_ends(run, 130)
        self.assert_decided_by_what_is_held_out(run.metrics())
        self.assertFalse(run.final()["stopped_early"])

    def test_machines_of_a_belief_network_decide_nothing(self):
        """Two machines of three epochs each: by their errors patience would be at its end in the first."""
        run = self.train("fashion_dbn", "--mode", "bsp", **self.settings(
            model__hidden=[24, 12], model__pretrain_epochs=3, train__batch=50, train__epochs=9, optimizer__rate=0.05,
            evaluation__patience=1, evaluation__min_delta=1e6))
        found = self.evaluations(run.metrics())
        for line in found:
            if line["epoch"] <= 6:
                self.assertFalse(line["best"])
                self.assertIn("validation_reconstruction", line)
                self.assertNotIn("validation_loss", line)
        self.assertGreaterEqual(len([line for line in found if line["epoch"] <= 6]), 3)
        self.assertGreaterEqual(run.final()["best_epoch"], 7)
        stopped = [line["epoch"] for line in run.metrics() if line["event"] == "stopped_early"]
        self.assertLessEqual(stopped, [8])
        self.assertTrue(all(epoch >= 8 for epoch in stopped))

    def test_compare_chooses_by_what_is_held_out(self):
        """Also which point of a grid is the best."""
        out = self.folder / "report"
        settings = {key: value for key, value in self.settings(train__epochs=3).items() if key != "optimizer__rate"}
        self.rubato("compare", JOBS / "fashion_mlp.toml", "--modes", "bsp", "--workers", "2", "--seeds", "1", "--grid",
                    "optimizer.rate=1e-9,0.1", "--out", out, *as_options(settings))
        rows = (out / "RUNS.csv").read_text().splitlines()
        names = rows[0].split(",")
        shown = [dict(zip(names, row.split(","))) for row in rows[1:]]
        chosen = [row for row in shown if row["tuning"] == "0"]
        self.assertEqual([row["optimizer.rate"] for row in chosen], ["0.1"])
        self.assertTrue(chosen[0]["best_validation_accuracy"])
        page = next(out.glob("*.html")).read_text()
        self.assertIn("Validation accuracy", page)
        self.assertNotIn("Test accuracy", page)

    def test_fashion_mnist(self):
        """All of it: 54,000 images are trained on, and the test set is all there was."""
        run = self.train("fashion_mlp", "--mode", "asp", model__hidden=[32], evaluation__holdout=0.1,
                         train__epochs=50, evaluation__per_epoch=6, evaluation__patience=2, evaluation__min_delta=10)
        lines, final = run.metrics(), run.final()
        start = next(line for line in lines if line["event"] == "start")
        self.assertEqual(start["train_samples"], 54000)
        self.assertTrue(final["stopped_early"])
        self.assertLess(final["samples"], 54000 * 20, "training goes on while an evaluation is made, and not for long")
        for line in self.evaluations(lines)[:-1]:
            self.assertEqual(sum(entry["support"] for entry in line["details"]["per_class"]), 6000)
        self.assertEqual(sum(entry["support"] for entry in final["details"]["per_class"]), 10000)
        self.assertGreater(final["test_accuracy"], 0.6)

    def test_what_does_not_go_together_is_said_before_anything_starts(self):
        for settings, words in (
                ({"evaluation__holdout": 0, "evaluation__patience": 2}, "set evaluation.holdout"),
                ({"evaluation__part": "validation"}, "evaluation.part = \"validation\" does not go with")):
            with self.subTest(**settings):
                run = self.start("fashion_mlp", **self.settings(**settings))
                self.assertEqual(run.wait(), 2, run.output)
                self.assertIn(words, run.last_line)


if __name__ == "__main__":
    main()
