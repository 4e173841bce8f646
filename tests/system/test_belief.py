"""Deep belief networks over real servers: what is told while machines are trained; bits that do not depend on who computes;
what a death means for chains that go on."""

import json
import math

from images_case import IdxCase
from system_case import JOBS, as_options, main

HIDDEN = [24, 12]


class Belief(IdxCase):
    # Two epochs for each machine, and two with labels: of 5 clocks each.
    SMALL = {"model__hidden": HIDDEN, "model__pretrain_epochs": 2, "train__epochs": 6, "train__batch": 50,
             "cluster__slice_bytes": 16384}

    def lines(self, run, event):
        return [line for line in run.metrics() if line["event"] == event]

    def test_what_is_told_of_each_epoch(self):
        run = self.train("fashion_dbn", "--mode", "bsp", **self.settings(optimizer__pretrain_rate=0.1))
        for event, part in (("epoch", "train"), ("evaluation", "test")):
            lines = self.lines(run, event)
            lines = lines if event == "epoch" else lines + self.lines(run, "final")
            self.assertEqual([line["epoch"] for line in lines], [1, 2, 3, 4, 5, 6], event)
            self.assertEqual([line.get("machine") for line in lines], [1, 1, 2, 2, None, None])
            for line in lines:
                other, own = (f"{part}_loss", f"{part}_reconstruction")[:: 1 if "machine" in line else -1]
                self.assertNotIn(other, line)
                self.assertIsInstance(line[own], float)
            errors = [line[f"{part}_reconstruction"] for line in lines[:4]]
            self.assertLess(errors[1], errors[0], "the first machine has learned something")
            self.assertLess(max(errors), 0.3, "a mean square of differences of numbers from 0 to 1")
        for line in self.lines(run, "evaluation"):
            self.assertEqual(line["test_accuracy"] is None, line["epoch"] <= 4)
        self.assertIn("epoch 1: machine 1, test reconstruction error 0.", run.output)
        self.assertIn("after epoch 3: test reconstruction error of machine 2 0.", run.log("scheduler"))
        rates = [line["rate"] for line in self.lines(run, "progress")]
        self.assertEqual(rates[0], 0.1)
        self.assertNotEqual(rates[-1], 0.1)

    def test_in_bsp_the_bits_are_those_of_one_worker(self):
        """Also of persistent chains, which stay with their leaf."""
        digests = {}
        for persistent in (False, True):
            for workers, servers in ((1, 1), (2, 2), (4, 1)):
                run = self.train("fashion_dbn", "--mode", "bsp", **self.settings(
                    model__persistent=persistent, model__cd_steps=2, cluster__workers=workers, cluster__servers=servers))
                digests.setdefault(persistent, set()).add(run.final()["weights_sha256"])
        self.assertEqual([len(digests[persistent]) for persistent in (False, True)], [1, 1])
        self.assertNotEqual(digests[False], digests[True])

    def test_simulated_and_repeated_runs_have_its_chains(self):
        """Whose chains are whose is the same in one process for all workers."""
        settings = self.settings(model__persistent=True)
        real = self.train("fashion_dbn", "--mode", "bsp", **settings).final()["weights_sha256"]
        self.rubato("simulate", JOBS / "fashion_dbn.toml", "--mode", "bsp", "--run-dir", self.folder / "simulated",
                    *as_options(settings))
        lines = (self.folder / "simulated" / "metrics.jsonl").read_text().splitlines()
        self.assertEqual(json.loads(lines[-1])["weights_sha256"], real)
        recorded = self.train("fashion_dbn", "--mode", "asp", train__record=True, **settings)
        self.assertIn(f"weights_sha256 {recorded.final()['weights_sha256']}",
                      self.rubato("simulate", "--replay", recorded.run_dir))

    def test_other_modes_and_rules(self):
        for mode, rule in (("asp", "adam"), ("local:3", "momentum"), ("softsync:2", "sgd"), ("backup:1", "nesterov")):
            with self.subTest(mode, rule=rule):
                rate = 0.001 if rule == "adam" else 0.01
                run = self.train("fashion_dbn", "--mode", mode, **self.settings(
                    model__persistent=True, optimizer__name=rule, optimizer__rate=rate, optimizer__pretrain_rate=0))
                self.assertIsNotNone(run.final()["test_loss"])

    def test_whoever_takes_over_a_leaf_begins_its_chains(self):
        run = self.start("fashion_dbn", "--mode", "bsp", **self.settings(model__persistent=True, train__epochs=40,
                                                                         model__pretrain_epochs=19))
        run.wait_for_clock("worker-1", 5)
        run.kill("worker-1")
        self.assert_ends(run, 0)
        self.assertIsNotNone(run.final()["test_loss"])
        self.assertEqual(len(self.lines(run, "worker_lost")), 1)

    def test_of_a_series_machines_forecast_nothing(self):
        series = self.folder / "series.csv"
        series.write_text("hour,value\n" + "".join(f"{hour},{0.5 + 0.4 * math.sin(hour)}\n" for hour in range(200)))
        run = self.train("fashion_dbn", "--mode", "bsp", **self.SMALL, data__kind="series", data__path=str(series),
                         data__time="hour", data__target=["value"], data__scaling="none", data__window=8, model__loss="mse")
        details = [line.get("details") for line in self.lines(run, "evaluation") + self.lines(run, "final")]
        self.assertEqual([bool(detail) and "mase" in json.dumps(detail) for detail in details], 4 * [False] + 2 * [True])

    def test_weights_leave_and_come_back(self):
        """Without visible biases, which no module reads; a job that begins with such a file has them at zero."""
        run = self.train("fashion_dbn", "--mode", "bsp", **self.settings())
        figures = json.loads(self.rubato("eval", run.run_dir, "--json"))
        self.assertEqual(figures["test_loss"], run.final()["test_loss"])
        path = self.folder / "dbn.safetensors"
        self.rubato("export", run.run_dir, "--to", path)
        self.assertEqual(json.loads(self.rubato("eval", path, "--json"))["test_loss"], figures["test_loss"])
        again = self.train("fashion_dbn", "--mode", "bsp", **self.settings(
            model__pretrained=str(path), model__pretrain_epochs=1, train__steps=1, optimizer__pretrain_rate=1e-30))
        self.assertEqual(json.loads(self.rubato("eval", again.run_dir, "--json"))["test_loss"], figures["test_loss"])


if __name__ == "__main__":
    main()
