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


def found(key, lines, is_simulated=False, **job):
    run = Run(RunFigures.of(lines), job, is_simulated=is_simulated)
    return next(finding for finding in find(run) if finding.key == key)


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
        for mode, bound in (("asp", "a bound (consistency.mode=ssp:S),"), ("ssp:64", "a smaller bound,"),
                            ("local:4+asp", "a bound (consistency.mode=local:4+ssp:S),")):
            lines = made_metrics.run_lines(mode, ages=[[0, 500], [1, 480], [90, 20]])
            self.assertTrue(found("age_tail", lines, optimizer=SGD).advice.startswith(bound))

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
        """A greatest staleness of 3 was granted while the step before was in hand: that one began 2 clocks ahead."""
        lines = made_metrics.run_lines("ssp:8", ages=YOUNG, staleness_max=3)
        finding = found("bound_never_binds", lines, optimizer=SGD)
        self.assertEqual(finding.figures, "ssp:8 allows a staleness of 8, and no step had more than 3")
        self.assertEqual(finding.advice, "it ran as asp would; steps began up to 2 clocks ahead of the slowest worker, so a bound "
                                         "below 2 would do something")
        self.assertIn("bound_never_binds", keys(made_metrics.run_lines("dssp:1..8", ages=YOUNG, staleness_max=3)))
        for mode, reached in (("asp", 90), ("ssp:0", 0), ("dssp:0..0", 0), ("bsp", 0)):
            self.assertNotIn("bound_never_binds", keys(made_metrics.run_lines(mode, ages=YOUNG, staleness_max=reached)))

    def test_a_bound_that_was_reached_binds_only_where_somebody_waited(self):
        for mode in ("ssp:1", "dssp:1..3"):
            finding = found("bound_never_binds", made_metrics.run_lines(mode, ages=YOUNG, staleness_max=1))
            self.assertNotIn("asp", finding.advice, "a grant may have come later than asp's, if in time")
            self.assertNotIn("would do something", finding.advice)
        self.assertIn("though steps were granted ahead up to it, no worker waited for another",
                      found("bound_never_binds", made_metrics.run_lines("ssp:1", ages=YOUNG, staleness_max=1)).figures)
        for mode, reached in (("ssp:3", 3), ("dssp:1..8", 3)):
            lines = made_metrics.run_lines(mode, ages=YOUNG, staleness_max=reached, workers=workers(wait_s=1.0, wait_workers_s=1.0))
            self.assertNotIn("bound_never_binds", keys(lines))
            self.assertNotIn("bound_never_binds", keys(made_metrics.run_lines(mode, ages=YOUNG, staleness_max=reached, workers=[])))

    def test_one_worker_has_no_bound_to_try(self):
        advice = found("bound_never_binds", made_metrics.run_lines("ssp:3", 1, ages=[[0, 9]], staleness_max=1)).advice
        self.assertEqual(advice, "nothing: one worker has nobody to run ahead of, so no bound holds it back")

    def test_with_leases_no_bounded_mode_runs_as_asp(self):
        lines = made_metrics.run_lines("ssp:16", ages=YOUNG, staleness_max=13)
        advice = found("bound_never_binds", lines, data={"shards": "leased"}).advice
        self.assertNotIn("as asp would", advice)
        self.assertIn("a bound below 12 would do something", advice)
        advice = found("bound_never_binds", made_metrics.run_lines("local:4+ssp:8", ages=YOUNG, staleness_max=3)).advice
        self.assertIn("as local:4+asp would", advice)
        lines[1:1] = [lost("worker-1", 7)]
        self.assertNotIn("as asp would", found("bound_never_binds", lines).advice)

    def test_one_worker_holds_the_others_up(self):
        lines = made_metrics.run_lines("bsp", slow=4.0)
        finding = found("one_culprit", lines, optimizer=SGD)
        self.assertIn("worker-0 held the others up", finding.what)
        self.assertIn("100%", finding.figures)

    def test_waiting_that_is_nobodys_fault(self):
        lines = made_metrics.run_lines("bsp", workers=workers(wait_s=9.0, wait_workers_s=9.0, held_up_s=9.0))
        self.assertEqual(keys(lines), ["waiting"])
        self.assertIn("ssp:1", found("waiting", lines).advice)

    def test_advice_is_of_the_mode_that_waited(self):
        waiting = workers(wait_s=9.0, wait_workers_s=9.0, held_up_s=9.0)
        advice = lambda mode: found("waiting", made_metrics.run_lines(mode, ages=[[0, 9]], workers=waiting)).advice
        self.assertEqual(advice("ssp:4"), "a larger bound, or dssp, at the price of older gradients")
        self.assertNotIn("or dssp", advice("dssp:1..4"))
        self.assertIn("backup:3 waits for one worker fewer", advice("backup:2"))
        self.assertIn("local:8+ssp:1 to local:8+ssp:4", advice("local:8"))
        self.assertIn("local:8+backup:1 waits", advice("local:8"))
        self.assertIn("a larger H", advice("local:8"))
        self.assertNotIn("backup:4", advice("backup:3"), "there are four workers")
        for mode in ("backup:2", "local:8"):
            self.assertNotIn("bound", advice(mode))
        lines = made_metrics.run_lines("asp", ages=[[0, 9]], workers=waiting)
        self.assertIn("while rules change", found("waiting", lines).advice)
        lines[1:1] = [{"event": "in_force", "time_s": 1.0, "mode": "ssp:2", "rate": 0.1, "clock": 3}]
        self.assertIn("a larger bound", found("waiting", lines).advice)

    def test_one_slow_worker_by_mode_and_by_what_made_it_slow(self):
        slow = workers(wait_s=9.0, wait_workers_s=9.0, held_up_s=[36.0, 0.0, 0.0, 0.0])
        advice = lambda mode, **more: found("one_culprit", made_metrics.run_lines(mode, ages=[[0, 9]], workers=slow), **more).advice
        self.assertIn("what else runs on the host of worker-0", advice("bsp"))
        self.assertIn("what else runs on the host of worker-0", advice("bsp", worker={"stragglers": "lognormal:0.5"}))
        self.assertNotIn("host", advice("bsp", is_simulated=True))
        said = advice("bsp", is_simulated=True, worker={"stragglers": "persistent:4x"})
        self.assertIn('worker.stragglers="persistent:4x" makes steps longer', said)
        self.assertIn("backup:2 goes on without", advice("backup:1"))
        self.assertNotIn("backup:4", advice("backup:3"))
        self.assertIn("local:8+asp does not wait", advice("local:8"))
        early = made_metrics.run_lines("local:8+asp", ages=YOUNG, train_s=30.0, workers=workers(time_s=[30.0, 10.0, 10.0, 10.0]))
        self.assertNotIn("host", found("done_early", early, is_simulated=True).advice)

    def test_simulated_servers_take_no_time(self):
        for field, key in (("wait_weights_s", "weights"), ("wait_s", "answers")):
            lines = made_metrics.run_lines("asp", ages=YOUNG, workers=workers(**{"wait_s": 9.0, field: 9.0}))
            self.assertIn("cluster.shard_threads", found(key, lines).advice)
            advice = found(key, lines, is_simulated=True, simulation={"network_us": 20000.0, "network_spread_us": 0.0}).advice
            self.assertIn("messages take what the job says (simulation.network_us=20000)", advice)
            self.assertNotIn("more cluster", advice)

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
        lines = made_metrics.run_lines("asp", ages=YOUNG, staleness_max=4)
        lines[1:1] = [lost("worker-1", 7), back("worker-1", 9), lost("worker-1", 20), lost("worker-2", 21), back("worker-2", 30)]
        finding = found("workers_lost", lines)
        self.assertEqual(finding.what, "the job went on without 1 of its 4 workers")
        self.assertIn("the launcher starts one again", finding.advice)
        self.assertNotIn("launcher", found("workers_lost", lines, is_simulated=True).advice)
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
        lines.insert(2, {"event": "nonfinite", "time_s": 1, "worker": "worker-2", "clock": 8, "parameter": "fc2.bias"})
        lines.insert(3, {"event": "nonfinite", "time_s": 1, "worker": "worker-2", "clock": 9, "parameter": "fc2.bias"})
        figures = found("nonfinite", lines).figures
        self.assertIn("fc1.weight at clock 7", figures)
        self.assertIn("most often fc2.bias 2, fc1.weight 1", figures)

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

    def test_a_loss_far_above_that_of_an_untrained_model_is_a_divergence(self):
        """Ten times ln 10; where there are no classes, ten times the first."""
        for loss, classes, is_told in ((24.0, 10, True), (22.0, 10, False), (22.0, 0, True), (16.0, 0, False)):
            lines = made_metrics.run_lines("asp", ages=YOUNG, classes=classes)
            next(line for line in reversed(lines) if line["event"] == "progress")["train_loss"] = loss
            self.assertEqual([key for key in keys(lines, optimizer=SGD) if key in ("diverged", "loss_rose")],
                             ["diverged" if is_told else "loss_rose"], loss)
        lines[-1]["test_loss"] = 1e31
        finding = found("diverged", lines, optimizer=SGD)
        self.assertIn("1e+31 at the end", finding.figures)
        self.assertIn("--grid optimizer.rate", finding.advice)

    def test_an_accuracy_at_chance_shows_nothing_that_was_learned(self):
        lines = made_metrics.run_lines("asp", ages=[[3, 9]], classes=10, accuracies=(0.1, 0.1, 0.1337), seed=0)
        finding = found("learned_nothing", lines, optimizer=SGD)
        self.assertEqual(finding.figures, "test accuracy 13.37%, not clearly above what the largest class alone gives, 10.00%")
        self.assertIn("a smaller optimizer.rate than 0.1", finding.advice)
        self.assertIn("--grid optimizer.rate", finding.advice)
        lines = made_metrics.run_lines("bsp", classes=10, accuracies=(0.5, 0.1, 0.1), seed=0)
        self.assertIn("it was 50.00% after 10 updates", found("learned_nothing", lines, optimizer=SGD).figures)
        self.assertNotIn("learned_nothing", keys(made_metrics.run_lines("bsp", classes=10)))

    def test_uneven_shares(self):
        lines = made_metrics.run_lines("bsp", workers=workers(samples=[500, 500, 500, 1000])[1:])
        self.assertIn("does not divide among 3 workers", found("uneven", lines, train={"micro_batches": 4}).advice)
        self.assertNotIn("uneven", keys(made_metrics.run_lines("bsp", workers=workers(samples=[500, 510, 500, 520]))))

    def test_evaluations_skipped_and_late(self):
        lines = made_metrics.run_lines("bsp", time_s=90.0)
        lines.insert(1, {"event": "evaluation_skipped", "time_s": 3, "epoch": 1, "clock": 10})
        self.assertEqual(keys(lines), ["evaluation_skipped", "evaluation_late"])
        self.assertIn("1 of 4", found("evaluation_skipped", lines).figures)
        for key in ("evaluation_skipped", "evaluation_late"):
            self.assertIn("or a processor for the evaluator", found(key, lines).advice)
            self.assertIn("or a smaller simulation.evaluation_ms", found(key, lines, is_simulated=True).advice)

    def test_failed_and_unfinished_jobs(self):
        lines = made_metrics.run_lines("bsp")[:-1]
        self.assertEqual(keys(lines), ["unfinished"])
        self.assertIn("logs/scheduler.log", found("unfinished", lines).advice)
        self.assertIn("logs/simulation.log", found("unfinished", lines, is_simulated=True).advice)
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
        self.assertIn(": bsp, 4 workers", self.explain(self.folder).stdout)
        self.put(made_metrics.run_lines("bsp", 1))
        self.assertIn(": bsp, 1 worker,", self.explain(self.folder).stdout)
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

    def test_simulated_runs_are_known_by_their_log(self):
        self.put(made_metrics.run_lines("bsp", slow=4.0))
        self.assertIn("host of worker-0", self.explain(self.folder).stdout)
        (self.folder / "logs").mkdir()
        (self.folder / "logs" / "simulation.log").touch()
        self.assertNotIn("host of worker-0", self.explain(self.folder).stdout)

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
