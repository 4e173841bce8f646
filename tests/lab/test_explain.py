"""What `explain` finds, a made run for each finding. Usage: test_explain.py [ARGUMENT of unittest...]"""

import json
import subprocess
import sys
import unittest

import made_metrics
from lab_case import LAUNCHER, LabCase

from rubato_lab.findings import Run, find
from rubato_lab.run_figures import RunFigures


def keys(lines, **job):
    return [finding.key for finding in find(Run(RunFigures.of(lines), job))]


def found(key, lines, **job):
    return next(finding for finding in find(Run(RunFigures.of(lines), job)) if finding.key == key)


def workers(**fields):
    """Of four, each field a list of four, or one for all."""
    base = {"samples": 750, "steps": 30, "time_s": 30.0, "wait_s": 0.0, "wait_workers_s": 0.0, "wait_weights_s": 0.0,
            "held_up_s": 0.0, "age_mean": 1.0}
    return [{"worker": f"worker-{rank}", **base,
             **{key: value[rank] if isinstance(value, list) else value for key, value in fields.items()}}
            for rank in range(4)]


def lost(worker, clock):
    return {"event": "worker_lost", "time_s": 1, "worker": worker, "clock": clock, "reason": "was killed"}


def back(worker, clock):
    return {"event": "worker_returned", "time_s": 1, "worker": worker, "clock": clock, "life": 2}


SGD = {"name": "sgd", "rate": 0.1}
MOMENTUM = {"name": "momentum", "rate": 0.02, "momentum": 0.9}
YOUNG = [[0, 50], [1, 40]]


class Findings(unittest.TestCase):
    def test_a_clean_run(self):
        self.assertEqual(keys(made_metrics.run_lines("bsp"), optimizer=MOMENTUM), [])
        self.assertEqual(keys(made_metrics.run_lines("asp", ages=YOUNG), optimizer=SGD), [])

    def test_ages_above_what_momentum_bears(self):
        finding = found("age", made_metrics.run_lines("asp", ages=[[3, 100]]), optimizer=MOMENTUM)
        self.assertIn("mean age 3.0", finding.figures)
        self.assertIn("momentum 0.975", finding.figures)  # 1 - 0.1 / 4
        self.assertIn("optimizer.momentum=0.60", finding.advice)  # 1 - 0.1 * 4
        self.assertIn("optimizer.rate=0.005", finding.advice)
        self.assertIn('optimizer.age_scaling="inverse"', finding.advice)

    def test_plain_sgd_bears_more(self):
        self.assertNotIn("age", keys(made_metrics.run_lines("asp", ages=[[3, 100]]), optimizer=SGD))
        self.assertIn("age", keys(made_metrics.run_lines("asp", ages=[[7, 100]]), optimizer=SGD))

    def test_a_rate_over_the_age(self):
        """Plain SGD bears any age then; momentum still goes on for too long, and a rate may be left that does little."""
        lines = made_metrics.run_lines("asp", ages=[[7, 100]])
        self.assertEqual(keys(lines, optimizer={**SGD, "age_scaling": "inverse"}), [])
        finding = found("age", lines, optimizer={**MOMENTUM, "age_scaling": "inverse"})
        self.assertIn("at rate 0.02 over the age", finding.figures)
        self.assertNotIn("optimizer.rate", finding.advice)
        lines[-1]["age_factor_mean"] = 0.125
        finding = found("age_scaling", lines, optimizer={**SGD, "age_scaling": "inverse"})
        self.assertIn("0.12 times the schedule's in the mean: 0.013 where the job says 0.1", finding.figures)
        self.assertNotIn("age_scaling", keys(lines, optimizer=SGD))

    def test_of_local_steps_it_is_the_outer_rule_that_meets_old_ones(self):
        optimizer = {**MOMENTUM, "outer": {"name": "nesterov", "rate": 0.7, "momentum": 0.9}}
        finding = found("age", made_metrics.run_lines("local:8+asp", ages=[[3, 100]]), optimizer=optimizer)
        self.assertIn("with nesterov at rate 0.7 and momentum 0.9", finding.figures)
        self.assertIn("optimizer.outer.name=delayed_nesterov", finding.advice)
        self.assertIn("optimizer.outer.rate=0.17", finding.advice)
        optimizer["outer"]["name"] = "delayed_nesterov"
        self.assertNotIn("age", keys(made_metrics.run_lines("local:8+asp", ages=[[3, 100]]), optimizer=optimizer))
        lines = made_metrics.run_lines("local:8+ssp:8", ages=YOUNG, staleness_max=3)
        self.assertIn("no step had more than 3", found("bound_never_binds", lines, optimizer=optimizer).figures)

    def test_a_long_tail(self):
        lines = made_metrics.run_lines("asp", ages=[[0, 500], [1, 480], [90, 20]], workers=workers(age_mean=[0, 0, 30.0, 0]))
        self.assertIn("worker-2 with 30.0", found("age_tail", lines, optimizer=SGD).advice)

    def test_a_mode_that_was_changed(self):
        """What was reached in all of it says nothing of the first bound."""
        lines = made_metrics.run_lines("ssp:8", ages=YOUNG, staleness_max=3)
        change = {"event": "in_force", "time_s": 1.0, "mode": "ssp:8", "rate": 0.05, "clock": 3}
        lines[1:1] = [change]
        self.assertIn("bound_never_binds", keys(lines, optimizer=SGD))
        lines[2:2] = [change | {"mode": "ssp:1", "clock": 7}]
        self.assertNotIn("bound_never_binds", keys(lines, optimizer=SGD))
        self.assertEqual(Run(RunFigures.of(lines), {}).modes, ["ssp:8", "ssp:1"])

    def test_a_bound_that_never_binds(self):
        lines = made_metrics.run_lines("ssp:8", ages=YOUNG, staleness_max=3)
        self.assertIn("no step had more than 3", found("bound_never_binds", lines, optimizer=SGD).figures)
        for mode, reached in (("ssp:3", 3), ("dssp:1..3", 3), ("asp", 90), ("ssp:0", 0)):
            self.assertNotIn("bound_never_binds", keys(made_metrics.run_lines(mode, ages=YOUNG, staleness_max=reached)))
        self.assertIn("bound_never_binds", keys(made_metrics.run_lines("dssp:1..8", ages=YOUNG, staleness_max=3)))

    def test_one_worker_holds_the_others_up(self):
        lines = made_metrics.run_lines("bsp", slow=4.0)
        finding = found("one_culprit", lines, optimizer=SGD)
        self.assertIn("worker-0 held the others up", finding.what)
        self.assertIn("100%", finding.figures)

    def test_waiting_that_is_nobodys_fault(self):
        lines = made_metrics.run_lines("bsp", workers=workers(wait_s=9.0, wait_workers_s=9.0, held_up_s=9.0))
        self.assertEqual(keys(lines), ["waiting"])
        self.assertIn("ssp:1", found("waiting", lines).advice)

    def test_waiting_for_weights_and_for_answers(self):
        self.assertEqual(keys(made_metrics.run_lines("bsp", workers=workers(wait_s=9.0, wait_weights_s=9.0))), ["weights"])
        self.assertEqual(keys(made_metrics.run_lines("bsp", workers=workers(wait_s=9.0))), ["answers"])

    def test_pushes_dropped(self):
        lines = made_metrics.run_lines("backup:1", ages=YOUNG, pushes=400, pushes_dropped=100)
        finding = found("pushes_dropped", lines)
        self.assertIn("25.0%", finding.figures)
        self.assertIn("on purpose", finding.advice)

    def test_samples_dropped_and_workers_lost(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG, samples=900, samples_dropped=100, torn_steps=1)
        lines[1:1] = [lost("worker-2", 7)]
        self.assertEqual(keys(lines), ["workers_lost", "samples_dropped"])
        self.assertIn("100 of 1,000 (10.0%)", found("samples_dropped", lines).figures)
        self.assertIn("data.shards=leased", found("samples_dropped", lines).advice)
        self.assertNotIn("leased", found("samples_dropped", lines, data={"shards": "leased"}).advice)

    def test_workers_are_counted_and_not_deaths(self):
        lines = made_metrics.run_lines("ssp:4", ages=YOUNG, staleness_max=4)
        lines[1:1] = [lost("worker-1", 7), back("worker-1", 9), lost("worker-1", 20), lost("worker-2", 21), back("worker-2", 30)]
        finding = found("workers_lost", lines)
        self.assertEqual(finding.what, "the job went on without 1 of its 4 workers")
        self.assertIn("worker-1: lost at clock 7 (was killed), back at clock 9, lost at clock 20 (was killed); worker-2: lost "
                      "at clock 21 (was killed), back at clock 30", finding.figures)
        del lines[3:5]
        self.assertEqual(keys(lines), ["workers_returned"])
        self.assertEqual(found("workers_returned", lines).what, "2 workers died, and came back")

    def test_what_backup_drops_is_its_design(self):
        lines = made_metrics.run_lines("backup:1", ages=YOUNG, samples=2625, samples_dropped=375,
                                       workers=workers(samples=[750, 750, 750, 375]))
        self.assertEqual(keys(lines), ["samples_dropped", "uneven"])
        self.assertEqual(found("samples_dropped", lines).what, "samples were never trained on, as backup:1 means it")
        self.assertIn("does not need the slowest 1 of each clock", found("samples_dropped", lines).advice)
        self.assertIn("does not need the slowest 1 of each clock", found("uneven", lines).advice)
        for finding in find(Run(RunFigures.of(lines), {})):
            self.assertNotIn("lost", finding.advice)
            self.assertNotIn("dead", finding.advice)

    def test_a_run_that_was_ended_early(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG, workers=workers(samples=[750, 750, 750, 200]))
        lines[0]["train_samples"] = 1000
        self.assertIn("ended before worker-3", found("uneven", lines, train={"epochs": 5}).advice)
        self.assertNotIn("lost", found("uneven", lines, train={"epochs": 3}).advice)

    def test_workers_that_were_done_early(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG, train_s=30.0, workers=workers(time_s=[30.0, 10.0, 12.0, 10.0]))
        finding = found("done_early", lines)
        self.assertIn("48% of all workers' time: worker-1 was done after 10.0 s, worker-0 after 30.0 s", finding.figures)
        self.assertIn("data.shards=leased", finding.advice)
        self.assertNotIn("leased", found("done_early", lines, data={"shards": "leased"}).advice)

    def test_more_processes_than_processors(self):
        """Comes before what it is the cause of, and more servers are no remedy."""
        lines = made_metrics.run_lines("bsp", workers=workers(wait_s=24.0, wait_weights_s=12.0))
        job = {"cluster": {"workers": 4, "servers": 2}}
        found_ = find(Run(RunFigures.of(lines), job, processors=2))
        self.assertEqual([finding.key for finding in found_], ["processors", "weights", "answers"])
        self.assertIn("6 workers and servers on the 2 processors", found_[0].figures)
        self.assertNotIn("cluster.servers", " ".join(finding.advice for finding in found_))
        self.assertEqual([finding.key for finding in find(Run(RunFigures.of(lines), job, processors=6))], ["weights", "answers"])
        self.assertEqual(keys(lines, **job), ["weights", "answers"])

    def test_gradients_that_are_not_finite(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG, nonfinite=1)
        lines.insert(1, {"event": "nonfinite", "time_s": 1, "worker": "worker-2", "clock": 7, "parameter": "fc1.weight"})
        self.assertIn("fc1.weight at clock 7", found("nonfinite", lines).figures)

    def test_divergence(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG, test_loss=None, nonfinite=9)
        next(line for line in reversed(lines) if line["event"] == "progress")["train_loss"] = None
        finding = found("diverged", lines, optimizer=SGD)
        self.assertIn("after 28 updates", finding.figures)
        self.assertIn("than 0.1", finding.advice)

    def test_a_loss_that_rises_again(self):
        lines = made_metrics.run_lines("asp", ages=YOUNG)
        next(line for line in reversed(lines) if line["event"] == "progress")["train_loss"] = 2.0
        self.assertIn("from 0.5263 after 28 updates to 2 at the end", found("loss_rose", lines, optimizer=SGD).figures)

    def test_uneven_shares(self):
        lines = made_metrics.run_lines("bsp", workers=workers(samples=[500, 500, 500, 1000])[1:])
        self.assertIn("does not divide among 3 workers", found("uneven", lines, train={"micro_batches": 4}).advice)
        self.assertNotIn("uneven", keys(made_metrics.run_lines("bsp", workers=workers(samples=[500, 510, 500, 520]))))

    def test_evaluations_skipped_and_late(self):
        lines = made_metrics.run_lines("bsp", time_s=90.0)
        lines.insert(1, {"event": "evaluation_skipped", "time_s": 3, "epoch": 1, "clock": 10})
        self.assertEqual(keys(lines), ["evaluation_skipped", "evaluation_late"])
        self.assertIn("1 of 4", found("evaluation_skipped", lines).figures)

    def test_failed_and_unfinished_jobs(self):
        lines = made_metrics.run_lines("bsp")[:-1]
        self.assertEqual(keys(lines), ["unfinished"])
        lines.append({"event": "failed", "time_s": 9, "exit_code": 5, "reason": "server-0 was killed"})
        self.assertEqual(keys(lines), ["failed"])


class Command(LabCase):
    def explain(self, *words):
        return subprocess.run([sys.executable, LAUNCHER, "explain", *map(str, words)], text=True, capture_output=True)

    def put(self, lines, job='[optimizer]\nname = "sgd"\nrate = 0.1\n'):
        (self.folder / "job.toml").write_text(job)
        (self.folder / "metrics.jsonl").write_text(made_metrics.as_text(lines))

    def test_words(self):
        self.put(made_metrics.run_lines("bsp"))
        self.assertIn("nothing stands out", self.explain(self.folder).stdout)
        self.put(made_metrics.run_lines("bsp", slow=4.0))
        said = self.explain(self.folder).stdout
        self.assertIn("1. worker-0 held the others up", said)
        self.assertIn("   try: ", said)

    def test_the_parts_of_idle_time_add_up(self):
        self.put(made_metrics.run_lines("asp", ages=YOUNG, train_s=30.0, workers=workers(
            time_s=[30.0, 30.0, 20.0, 20.0], wait_s=8.0, wait_workers_s=4.0, wait_weights_s=3.0)))
        self.assertIn("43% of all workers' time without anything to compute: 13% for other workers, 10% for weights, 3% for "
                      "acknowledgements and messages under way, 17% done before the others", self.explain(self.folder).stdout)

    def test_processors_are_of_real_runs_on_this_host(self):
        self.put(made_metrics.run_lines("bsp", workers=workers(wait_s=24.0)), "[cluster]\nworkers = 5000\n")
        self.assertNotIn("processors", self.explain(self.folder).stdout)
        for endpoint, is_told in (("ipc://@rubato", True), ("tcp://10.0.0.1:9", False)):
            (self.folder / "scheduler.json").write_text(json.dumps({"endpoint": endpoint}))
            self.assertEqual("more processes than processors" in self.explain(self.folder).stdout, is_told)

    def test_json(self):
        self.put(made_metrics.run_lines("bsp", slow=4.0))
        self.assertEqual(json.loads(self.explain(self.folder, "--json").stdout)[0]["key"], "one_culprit")

    def test_no_run_is_one_line(self):
        for words in (self.folder / "nowhere", self.folder):
            done = self.explain(words)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
