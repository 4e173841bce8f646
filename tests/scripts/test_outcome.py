"""How a job ends: exit codes, the processes' surroundings, the run directory, the last lines."""

import os
import subprocess
import sys
import tomllib
import unittest
from pathlib import Path

from launcher_case import LAUNCHER, LauncherCase


class Success(LauncherCase):
    def test_shows_evaluation_and_where_things_are(self):
        result = self.train("--servers", 2, "--workers", 2)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for words in ("accuracy  0.9123", "finished in", "4,321 samples/s", "test accuracy 91.23%",
                      "final.safetensors", "epoch 1: test accuracy 87.65%"):
            self.assertIn(words, result.stdout)
        self.assertEqual(result.stderr, "")
        nodes = ["scheduler", "server-0", "server-1", "worker-0", "worker-1", "evaluator-0"]
        self.assert_gone(self.pids(*nodes))
        self.assertEqual({path.stem for path in (self.run_dir / "logs").iterdir()}, set(nodes))

    def test_children_have_their_own_session_and_a_quiet_openmp(self):
        self.assertEqual(self.train().returncode, 0)
        worker = self.note("worker-0")
        self.assertEqual(worker["sid"], worker["pid"])
        self.assertEqual(worker["OMP_WAIT_POLICY"], "passive")
        self.assertIsNone(worker["OMP_NUM_THREADS"])

    def test_flags_win_over_settings(self):
        words = ("--seed", 7, "--workers", 3, "--mode", "asp", "--set", "train.seed=1", "--set", "cluster.servers=2")
        self.assertEqual(self.train(*words).returncode, 0)
        job = tomllib.loads((self.run_dir / "job.toml").read_text())
        self.assertEqual(job["train"]["seed"], 7)
        self.assertEqual(job["cluster"], {"servers": 2, "workers": 3, "restarts": 0})
        self.assertEqual(job["consistency"]["mode"], "asp")

    def test_default_run_dir_is_named_for_the_job(self):
        command = self.command("train", self.job, "--build-dir", self.build)
        self.assertEqual(self.run_command(command).returncode, 0)
        self.assertEqual(self.run_command(command).returncode, 0)
        found = [path.name for path in (self.folder / "runs").iterdir()]
        self.assertEqual(len(found), 2)
        for name in found:
            self.assertRegex(name, r"^tiny-\d{8}-\d{6}")


class Failures(LauncherCase):
    def test_the_first_cause_gives_the_exit_code(self):
        result = self.train(server_0_exit=8, server_0_says="the disk is full", duration_s=20)
        self.assert_one_line_error(result, 8, "server-0", "storage", "the disk is full", "logs")

    def test_the_schedulers_own_reason_comes_first(self):
        self.assert_one_line_error(self.train(job_exit=6), 6, "scheduler", "diverged")

    def test_a_worker_that_knows_the_reason_is_blamed(self):
        result = self.train(worker_0_exit=3, worker_0_says="train labels: 59,999 for 60,000 images",
                            job_exit=5, duration_s=1.0)
        self.assert_one_line_error(result, 3, "worker-0", "59,999")

    def test_a_diverged_job_says_so(self):
        result = self.train(final='{"test_loss": null, "nonfinite": 2040}')
        self.assertEqual(result.returncode, 0, "the job was told to skip such gradients")
        self.assertIn("warning: it diverged: 2,040 gradients of slices were not finite and dropped; the loss is no number",
                      result.stdout)

    def test_dropped_gradients_are_in_the_last_lines_whatever_the_loss(self):
        first = '"first_nonfinite": {"worker": "worker-2", "clock": 7, "parameter": "fc1.weight", "time_s": 3.21}'
        result = self.train(final='{"test_loss": 1e33, "nonfinite": 1, %s}' % first)
        self.assertIn("warning: 1 gradient of slices was not finite and dropped, that of fc1.weight at clock 7 of worker-2, "
                      "after 3.2 s; a smaller optimizer.rate", result.stdout)

    def test_a_full_disk_is_named(self):
        """Where the log that would have said so is on it."""
        result = self.train(server_0_exit=8, duration_s=20)
        self.assertNotIn("is full", result.stderr)
        # A folder of the system in which nobody can keep a byte stands for a full disk.
        sys.path.insert(0, str(LAUNCHER.parent))
        from rubato_cli.run_dir import RunDir
        from rubato_cli.summary import failure_line
        from rubato_cli.verdict import End, Verdict
        line = failure_line(RunDir(Path("/proc")), Verdict(8, End("scheduler", 8)))
        self.assertIn("the disk of /proc is full (0 B of 0 B are free)", line)

    def test_a_reader_that_goes_away_takes_no_exit_code_along(self):
        command = " ".join(self.train_command(job_exit=6)).replace('"', "")
        done = self.run_command(["bash", "-c", f"({command} 2>&1 >/dev/null; echo $? > {self.folder}/code) | true"])
        self.assertEqual(done.returncode, 0)
        self.assertEqual((self.folder / "code").read_text().strip(), "6")

    def test_an_accuracy_of_nothing_is_one(self):
        """And not that of an evaluation before."""
        result = self.train(final='{"test_accuracy": 0.0}')
        self.assertRegex(result.stdout, r"(?m)^finished in .*, test accuracy 0\.00%$")

    def test_as_many_words_of_a_check_as_there_are(self):
        """More than a pipe holds, where nobody reads it before the end."""
        result = self.train(note="a" * 100_000)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("note: " + "a" * 100_000, result.stdout)

    def test_a_killed_worker_is_a_warning_where_the_job_finishes(self):
        result = self.train("--workers", 2, worker_1_exit=-9, duration_s=1.0)
        self.assertEqual(result.returncode, 0)
        self.assertIn("warning: worker-1 was killed by SIGKILL", result.stdout)

    def test_a_killed_server_ends_everything_with_one_error(self):
        result = self.train("--servers", 2, "--workers", 2, server_1_exit=-9, duration_s=20)
        self.assert_one_line_error(result, 5, "server-1 was killed by SIGKILL")
        self.assertNotIn("the scheduler has gone", result.stdout)
        self.assert_gone(self.pids("scheduler", "server-0", "worker-0", "worker-1"))

    def test_what_happens_to_all_is_told_once(self):
        silent = "the scheduler has not answered for 2.{} s: it is gone; {} stops"
        result = self.train("--workers", 2, duration_s=20, worker_0_exit=5, worker_0_says=silent.format(0, "worker-0"),
                            worker_1_exit=5, worker_1_says=silent.format(1, "worker-1"), server_0_exit=5,
                            server_0_after_s=0.3, server_0_says=silent.format(2, "server-0"))
        self.assertEqual(result.returncode, 5)
        self.assertEqual(result.stdout.count("has not answered"), 1, result.stdout)

    def test_a_cause_is_told_when_it_happens_and_at_the_end(self):
        """Not that its process ended, nor what the scheduler says of that."""
        result = self.train("--workers", 2, "--no-progress", worker_1_exit=3, worker_1_says="no such file",
                            scheduler_exit=3, scheduler_after_s=1.0, duration_s=20,
                            scheduler_says="worker-1 exited with code 3 before it joined")
        self.assertEqual(result.stdout.splitlines()[1:], ["error: worker-1: no such file"])
        self.assert_one_line_error(result, 3, "worker-1", "no such file")

    def test_a_server_that_said_why_needs_no_more_words(self):
        result = self.train("--no-progress", server_0_exit=8, server_0_says="the disk is full", duration_s=20)
        self.assertEqual(result.stdout.splitlines()[1:], ["error: server-0: the disk is full"])

    def test_a_process_that_was_killed_is_told_whatever_it_said_before(self):
        result = self.train("--workers", 2, worker_1_exit=-9, worker_1_says="an odd frame", duration_s=1.0)
        self.assertIn("warning: worker-1 was killed by SIGKILL", result.stdout)

    def test_a_killed_scheduler_ends_everything(self):
        result = self.train(scheduler_exit=-9, scheduler_after_s=0.5, duration_s=20)
        self.assert_one_line_error(result, 5, "scheduler was killed by SIGKILL")
        self.assert_gone(self.pids("server-0", "worker-0"), patience_s=0.5)

    def test_members_that_do_not_end_are_killed(self):
        self.assertEqual(self.train(deaf=True).returncode, 0)
        self.assert_gone(self.pids("server-0", "worker-0"), patience_s=0.5)

    def test_a_scheduler_that_does_not_end_is_ended(self):
        result = self.train(stuck=True, server_0_exit=-9)
        self.assertEqual(result.returncode, 5)
        self.assertIn("warning: scheduler did not end the job; killing it", result.stdout)

    def test_an_evaluator_that_died_is_started_again(self):
        result = self.train(evaluator_0_exit=-11, duration_s=1.5)
        self.assertEqual(result.returncode, 0)
        self.assertIn("evaluator-0 was killed by SIGSEGV; starting it again", result.stdout)


class Streams(LauncherCase):
    """Where standard output takes nothing."""

    def status(self, **streams):
        return subprocess.run(self.command("status"), env=self.environment, cwd=self.folder, text=True,
                              stderr=subprocess.PIPE, **streams)

    def test_a_full_disk_is_one_line(self):
        with open("/dev/full", "w") as full:
            done = self.status(stdout=full)
        self.assertEqual((done.returncode, done.stderr),
                         (8, "rubato: error: cannot write to standard output: no space left on device\n"))

    def test_closed_ones_are_nothing(self):
        for closed in ((1,), (0, 1), (0,)):
            with self.subTest(closed):
                done = self.status(preexec_fn=lambda: [os.close(descriptor) for descriptor in closed])
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_job_without_them_ends_as_any_other(self):
        done = subprocess.run(self.train_command(), env=self.environment, cwd=self.folder,
                              preexec_fn=lambda: [os.close(descriptor) for descriptor in (0, 1, 2)])
        self.assertEqual(done.returncode, 0)
        self.assertTrue((self.run_dir / "final.safetensors").exists())


class Refusals(LauncherCase):
    def test_a_run_dir_that_is_not_empty(self):
        self.run_dir.mkdir()
        (self.run_dir / "precious").write_text("results")
        self.assert_one_line_error(self.train(), 2, "not empty", str(self.run_dir))
        self.assertEqual([path.name for path in self.run_dir.iterdir()], ["precious"])

    def test_a_bad_job_leaves_no_run_dir(self):
        self.assert_one_line_error(self.train("--set", "clutser.workers=2"), 2, "unknown table clutser")
        self.assertFalse(self.run_dir.exists())

    def test_a_missing_job_file(self):
        self.job.unlink()
        self.assert_one_line_error(self.train(), 2, "tiny.toml")

    def test_programs_that_are_not_built(self):
        (self.build / "bin" / "rubato-worker").unlink()
        self.assert_one_line_error(self.train(), 2, "rubato-worker", "scripts/build.sh")

    def test_bad_usage(self):
        for words, told in (
            (["train"], ("JOB.toml", "--help")),
            (["trian"], ('unknown command "trian"', "did you mean train?")),
            (["train", self.job, "--wokers", 3], ("unknown argument --wokers", "did you mean --workers?")),
            (["status", self.folder, "more"], ("unknown argument more", "rubato status --help")),
        ):
            self.assert_one_line_error(self.run_command(self.command(*words)), 2, *told)

    def test_no_command_shows_the_help(self):
        result = self.run_command(self.command())
        self.assert_one_line_error(result, 2, "which command?")
        self.assertIn("scripts/rubato status", result.stdout)

    def test_a_scheduler_that_ends_before_it_listens(self):
        result = self.train(silent=True, scheduler_exit=4, scheduler_says="port 80 is in use")
        self.assert_one_line_error(result, 4, "port 80 is in use")


if __name__ == "__main__":
    unittest.main()
