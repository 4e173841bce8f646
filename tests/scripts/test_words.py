"""Pure functions of the launcher: who is to blame, what a status looks like as a line."""

import json
import os
import re
import subprocess
import sys
import tempfile
import types
import unittest
import unittest.mock
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LAUNCHER = str(SCRIPTS / "rubato")
sys.path.insert(0, str(SCRIPTS))

from rubato_cli import set_rules, text  # noqa: E402: after the path is set
from rubato_cli.failure import Failure  # noqa: E402
from rubato_cli.log_file import LogFile, LogLine  # noqa: E402
from rubato_cli.news import News  # noqa: E402
from rubato_cli.progress import Block  # noqa: E402
from rubato_cli.progress_lines import (  # noqa: E402
    ended_part, epoch_line, fraction_done, headline, rules_line, stopped_line, worker_lines)
from rubato_cli.running_jobs import RunningJob, running_jobs  # noqa: E402
from rubato_cli.status_view import job_lines  # noqa: E402
from rubato_cli.summary import tested_weights  # noqa: E402
from rubato_cli.train import sentence  # noqa: E402
from rubato_cli.verdict import End, decide  # noqa: E402


class OldPython(unittest.TestCase):
    """One that is asked for by name, or is called python3 where it is."""

    def assert_refused(self, *command):
        done = subprocess.run([*command], text=True, capture_output=True)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, r"^rubato: error: Python 3.11 or newer is needed; this is [0-9.]+[^ ]* \([^ ]+\)\n$")

    def test_is_told_in_one_line(self):
        pretend = "import runpy, sys; sys.version_info = (3, 10, 9); runpy.run_path(sys.argv[1], run_name='__main__')"
        self.assert_refused(sys.executable, "-c", pretend, LAUNCHER)

    def test_whatever_this_machine_has(self):
        """Also by those that would not know the grammar of what they are not to read."""
        folders = [Path("/usr/bin"), *(Path.home() / ".pyenv/versions").glob("*/bin")]
        found = {minor: str(folder / f"python{minor}") for folder in folders
                 for minor in ("2.7", "3.4", "3.5", "3.6", "3.8", "3.10") if (folder / f"python{minor}").exists()}
        for minor, python in found.items():
            with self.subTest(minor):
                self.assert_refused(python, LAUNCHER, "status")


class Verdict(unittest.TestCase):
    def assert_blames(self, code, node, *ends):
        verdict = decide([End(*end) for end in ends])
        self.assertEqual((verdict.code, verdict.blamed.node if verdict.blamed else None), (code, node))

    def test_nobody_where_the_job_finished(self):
        self.assert_blames(0, None, ("worker-1", -9), ("scheduler", 0))

    def test_the_member_that_knows_the_reason(self):
        self.assert_blames(3, "worker-0", ("worker-0", 3, "no such file"), ("server-0", 3, "worker-0 exited"),
                           ("scheduler", 3, "worker-0 exited"))

    def test_the_member_whose_words_the_scheduler_repeats(self):
        self.assert_blames(7, "worker-1", ("worker-0", 1, "a mistake"), ("worker-1", 7, "no GPU"),
                           ("scheduler", 5, "worker-1: no GPU; no worker is left"))

    def test_a_killed_server_and_not_those_who_miss_it(self):
        self.assert_blames(5, "server-1", ("worker-0", 5, "gone"), ("server-1", -9),
                           ("scheduler", 5, "server-2 was killed by signal 9: its part"))

    def test_a_silent_server_is_named_by_the_scheduler(self):
        words = "server-0 has been silent for 2.1 s"
        self.assert_blames(5, "scheduler", ("evaluator-0", 5, words), ("scheduler", 5, words))

    def test_an_older_loss_is_not_the_cause(self):
        words = "server-0 has been silent for 2.1 s"
        self.assert_blames(5, "scheduler", ("worker-1", -11), ("worker-2", 3, "no such file"), ("scheduler", 5, words))
        self.assert_blames(5, "scheduler", ("worker-1", -9), ("scheduler", -9))

    def test_the_last_worker(self):
        self.assert_blames(3, "worker-0", ("worker-1", -9), ("worker-0", 3, "no such file"),
                           ("scheduler", 5, "worker-0 exited with code 3; no worker is left"))

    def test_a_scheduler_that_never_ended(self):
        self.assert_blames(5, "server-0", ("server-0", 5, "the scheduler has not answered"))


class Sentence(unittest.TestCase):
    def test_is_the_last_line_without_what_it_begins_with(self):
        """A program that ends as a command of its own would have its failure announced twice."""
        self.assertEqual(sentence(["10:00:00.000 scheduler error: no"]), "no")
        self.assertEqual(sentence(["a note", "rubato: error: model.toml:3: no"]), "model.toml:3: no")
        self.assertEqual(sentence(["as it is"]), "as it is")
        self.assertEqual(sentence([]), "")


class EpochLine(unittest.TestCase):
    def test_what_is_held_out_is_called_validation(self):
        record = {"event": "evaluation", "epoch": 3, "train_loss": 0.2}
        self.assertEqual(epoch_line({**record, "test_accuracy": 0.5, "test_loss": 1.0}),
                         "epoch 3: test accuracy 50.00%, test loss 1.0000, training loss 0.2000")
        self.assertEqual(epoch_line({**record, "validation_accuracy": 0.5, "validation_loss": 1.0, "best": True}),
                         "epoch 3: validation accuracy 50.00%, validation loss 1.0000, training loss 0.2000")
        self.assertEqual(epoch_line({**record, "test_loss": 1e30}), "epoch 3: test loss 1e+30, training loss 0.2000")
        self.assertIsNone(epoch_line(record), "nothing was evaluated")
        self.assertEqual(epoch_line({"event": "evaluation", "epoch": 1, "machine": 2, "validation_reconstruction": 0.5,
                                     "validation_accuracy": None}),
                         "epoch 1: machine 2, validation reconstruction error 0.5000")

    def test_the_end_is_of_the_test_part_where_there_are_figures_of_both(self):
        for final, part in (({"test_accuracy": 0.5}, "test"), ({"validation_accuracy": 0.5}, "validation"),
                            ({"validation_accuracy": 0.5, "test_accuracy": None}, "test"), ({}, "test")):
            self.assertEqual(ended_part(final), part)

    def test_training_that_ends_early_says_why(self):
        self.assertEqual(stopped_line({"event": "stopped_early", "reason": "stopped early: so"}), "stopped early: so")
        self.assertIsNone(stopped_line({"event": "evaluation", "reason": "no"}))


class TestedWeights(unittest.TestCase):
    def test_the_summary_names_them_where_they_are_not_the_last_ones(self):
        for final, words in (({}, ""), ({"best_epoch": 3}, " of the best weights, of epoch 3"),
                             ({"average": 0.99}, " of the moving average of the weights"),
                             ({"average": 0.99, "best_epoch": 3}, " of the best moving average of the weights, of epoch 3")):
            self.assertEqual(tested_weights(final), words)


class Log:
    def __init__(self, node, *texts):
        self._lines = [LogLine(f"{at}", node, "warning", text) for at, text in texts]

    def new_lines(self):
        return self._lines


class Logs(unittest.TestCase):
    def test_a_line_ends_where_it_was_ended(self):
        """And not at a letter of a file's name that others take for an end."""
        with tempfile.TemporaryDirectory() as folder:
            log = LogFile(Path(folder) / "worker-0.log")
            text = "cannot read a\u2028b\x0cc\rd\x85e: no such file"
            log.path.write_text(f"12:00:00.000 worker-0 error: {text}\n12:00:00.001 worker-0 err", newline="\n", encoding="utf-8")
            self.assertEqual([line.text for line in log.new_lines()], [text])
            self.assertEqual(log.last_words, text)


class Warnings(unittest.TestCase):
    THERE = ("no shared memory with one who had connected here: the process at the other end cannot go on with it, and its log "
             "says why")

    def shown(self, *logs):
        children = [types.SimpleNamespace(role="worker", log=log) for log in logs]
        said = []
        metrics = types.SimpleNamespace(new_records=list)
        News(types.SimpleNamespace(children=children), metrics, types.SimpleNamespace(say=said.append)).show()
        return said

    def test_where_links_break_for_one_cause_one_says_so(self):
        cause = "cannot map 268435456 bytes of shared memory: Cannot allocate memory"
        said = self.shown(Log("worker-2", (1, f"no shared memory with ipc://@a: {cause}"),
                              (3, f"no shared memory with ipc://@b: {cause}")),
                          Log("server-0", (2, self.THERE)),
                          Log("worker-1", (4, f"some gradients or weights are copied from process to process: {cause}")),
                          Log("worker-0", (5, f"no shared memory with ipc://@a: {cause}"), (6, "something else")))
        self.assertEqual(said, [f"warning: worker-2: no shared memory with ipc://@a: {cause}",
                                f"warning: worker-1: some gradients or weights are copied from process to process: {cause}",
                                "warning: worker-0: something else"])

    def test_who_knows_no_cause_is_no_news_before_it(self):
        said = self.shown(Log("server-0", (1, self.THERE)), Log("worker-0", (2, "no shared memory with ipc://@a: cannot map")))
        self.assertEqual(said, [f"warning: server-0: {self.THERE}", "warning: worker-0: no shared memory with ipc://@a: cannot map"])


class Headline(unittest.TestCase):
    STATUS = {"epoch": 2, "epochs": 5, "samples_done": 30, "samples_total": 100, "samples_per_s": 10.0, "eta_s": 7.0}

    def line(self, state, **more):
        return headline({**self.STATUS, "state": state, **more})

    def test_tells_what_is_left_only_where_something_is(self):
        self.assertEqual(self.line("training"), "epoch 2/5, 30%, 10 samples/s, 7.0 s left")
        self.assertEqual(self.line("draining"), "draining, epoch 2/5, 30%, 10 samples/s")
        for state in ("failed", "interrupted"):
            self.assertEqual(self.line(state), f"{state}, epoch 2/5, 30%")

    def test_tells_how_far_it_is_to_other_rules(self):
        change = {"mode": "ssp:2", "rate": 0.05, "clock": 90, "to_go": 40}
        self.assertEqual(self.line("training", changing=[change]), "epoch 2/5, 30%, 10 samples/s, "
                         "aligning to ssp:2 at rate 0.05, 40 clocks to go, 7.0 s left")
        then = {"mode": "asp", "rate": 0.05, "clock": 95, "to_go": 45}
        self.assertIn("aligning to ssp:2 at rate 0.05, 1 clock to go (then asp at rate 0.05), ",
                      self.line("training", changing=[{**change, "to_go": 1}, then]))
        self.assertEqual(self.line("training", changing=[]), self.line("training"))

    def test_a_finished_job_has_done_all(self):
        """Also where samples were lost with a worker."""
        self.assertEqual(self.line("finished"), "finished, epoch 2/5, 100%")
        self.assertEqual(fraction_done({"state": "finished", "samples_done": 0, "samples_total": 0}), 1.0)


class RulesThatChange(unittest.TestCase):
    def test_are_told_when_they_are_set_and_when_they_hold(self):
        rules = {"mode": "ssp:2", "rate": 0.0125, "clock": 90}
        self.assertEqual(rules_line({"event": "set", "to_go": 40, **rules}),
                         "set: ssp:2 at rate 0.0125 from clock 90 on, 40 clocks to go")
        self.assertEqual(rules_line({"event": "set", "to_go": 0, **rules}), "set: ssp:2 at rate 0.0125 from clock 90 on")
        self.assertEqual(rules_line({"event": "in_force", "since_set_s": 3.21, **rules}),
                         "in force: ssp:2 at rate 0.0125, 3.2 s after it was set")
        self.assertIsNone(rules_line({"event": "progress", "rate": 0.1}))

    def test_show_at_the_workers_that_have_not_come_to_them(self):
        waiting = {"what": "grant", "clock": 90, "of": ["worker-0"], "since_s": 1.0}
        self.assertEqual(text.doing({"to_go": 1}), "1 clock to go")
        self.assertEqual(text.doing({"to_go": None, "waiting_for": None}), "")
        self.assertEqual(text.doing({"to_go": 2, "waiting_for": waiting}),
                         "waits for clock 90 of worker-0 for 1.0 s, 2 clocks to go")


class NarrowTerminals(unittest.TestCase):
    STATUS = {"workers": [
        {"node": "worker-0", "pid": 123, "clock": 9, "staleness": 0, "samples_per_s": 900.0, "state": "computing"},
        {"node": "worker-1", "pid": 124, "clock": 12, "staleness": 3, "samples_per_s": 950.0, "state": "waiting",
         "waiting_for": {"what": "grant", "clock": 12, "of": ["worker-0"], "since_s": 3.2}},
        {"node": "worker-2", "pid": 125, "clock": 11, "staleness": 2, "samples_per_s": 950.0, "state": "waiting",
         "waiting_for": {"what": "acknowledgement", "clock": 12, "slice": 3, "of": ["server-0"], "since_s": 0.2}},
    ]}

    def test_show_who_waits_for_whom_at_every_width(self):
        for width in range(36, 140):
            for lines in (worker_lines(self.STATUS, 9, width), job_lines(self.STATUS, width)):
                told = [next(line for line in lines if line.startswith(f"worker-{rank}"))[:width] for rank in range(3)]
                self.assertIn("9", told[0], width)
                self.assertRegex(told[1], "waits for .*worker-0", width)
                self.assertRegex(told[2], "waits for .*server-0", width)

    def test_lack_the_less_important_columns(self):
        self.assertEqual(worker_lines(self.STATUS, 9, 42)[:2],
                         ["worker-0   computing, clock 9", "worker-1   waits for worker-0, clock 12"])
        self.assertEqual(worker_lines(self.STATUS, 9, 80)[1],
                         "worker-1   clock      12  waits for clock 12 of worker-0 for 3.2 s")
        self.assertIn("staleness  3     950/s", worker_lines(self.STATUS, 9, 100)[1])
        self.assertIn("pid", job_lines(self.STATUS)[3])
        self.assertEqual(job_lines(self.STATUS, 60)[3].split(), ["worker", "clock"])


class RunningJobs(unittest.TestCase):
    def found(self, *words):
        """Of a process that is younger than the file about it, as the clocks say now."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", *words])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "abc.json"
        file.write_text(json.dumps({"pid": process.pid, "http": "http://127.0.0.1:1", "run_dir": "runs/a", "started": 1e9}))
        with unittest.mock.patch("rubato_cli.running_jobs.folders", lambda: [Path(folder.name)]):
            return [job.run_dir for job in running_jobs()], file.exists()

    def test_are_not_those_whose_number_another_process_has(self):
        self.assertEqual(self.found("some other program"), ([], False))

    def test_are_found_after_the_clock_was_set(self):
        """A machine that was suspended, or asked for the time late: whoever is a scheduler still is that one."""
        self.assertEqual(self.found("build/bin/rubato-scheduler"), ([Path("runs/a")], True))


class WhichJob(unittest.TestCase):
    def reached(self, *words, jobs=()):
        run_dir, changes = set_rules.split(list(words))
        with unittest.mock.patch.object(set_rules, "running_jobs", return_value=list(jobs)):
            return set_rules.reach(run_dir), changes

    def test_is_the_only_one_or_the_one_that_is_named(self):
        one, other = (RunningJob(Path(f"runs/{name}"), f"client of {name}") for name in ("a", "b"))
        self.assertEqual(self.reached("mode=asp", "rate=1", jobs=[one]), ("client of a", ["mode=asp", "rate=1"]))
        with self.assertRaisesRegex(Failure, "several jobs of yours are running, so say which: runs/a, runs/b"):
            self.reached("mode=asp", jobs=[one, other])
        with self.assertRaisesRegex(Failure, "no job of yours is running"):
            self.reached("mode=asp")
        with self.assertRaisesRegex(Failure, '"runs/c" is neither a run directory nor a change'):
            self.reached("runs/c", "mode=asp", jobs=[one])


class Screen:
    """What a terminal is told."""

    encoding = "utf-8"

    def __init__(self):
        self.told = []

    def write(self, data):
        self.told.append(data)

    def flush(self):
        pass


class Redrawing(unittest.TestCase):
    STATUS = {**Headline.STATUS, "state": "training", "workers": [{"node": "worker-0", "clock": 1}]}

    def setUp(self):
        patch = unittest.mock.patch.dict("os.environ", LINES="30", NO_COLOR="1")
        patch.start()
        self.addCleanup(patch.stop)

    def draw(self, block, columns):
        os.environ["COLUMNS"] = str(columns)
        block.update(self.STATUS)

    def lines(self, screen):
        return re.sub(r"\x1b\[\d*[A-Z]|\r", "", screen.told[-1]).splitlines()

    def test_lines_that_a_narrower_terminal_has_wrapped_are_erased_whole(self):
        screen = Screen()
        block = Block(screen)
        self.draw(block, 100)
        longest = max(map(len, self.lines(screen)))
        self.draw(block, 100)
        self.assertTrue(screen.told[-1].startswith("\x1b[2A"), screen.told[-1])
        self.draw(block, longest - 1)
        self.assertRegex(screen.told[-1], r"^\x1b\[[34]A")

    def test_nothing_is_erased_from_its_top(self):
        """tmux keeps a screen that is cleared from its top, so that every frame would stay in its history."""
        screen = Screen()
        block = Block(screen)
        for _ in range(2):
            self.draw(block, 100)
            self.assertTrue(screen.told[-1].endswith("\n\x1b[J"), screen.told[-1])
        block.say("x" * 100)  # a full row, whose last letter an erasure would take
        self.assertIn("x\n", screen.told[-1])

    def test_the_bar_gives_way_to_the_words(self):
        for columns in (50, 60, 70, 200):
            screen = Screen()
            self.draw(Block(screen), columns)
            self.assertIn("7.0 s left", screen.told[-1], columns)
            self.assertLess(max(map(len, self.lines(screen))), columns)


if __name__ == "__main__":
    unittest.main()
