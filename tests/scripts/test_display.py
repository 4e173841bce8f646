"""What people see: the display on a terminal and in a pipe, and the command `status`."""

import json
import os
import pty
import subprocess
import unittest

from launcher_case import LauncherCase


class Progress(LauncherCase):
    def test_a_pipe_gets_plain_lines(self):
        result = self.train(duration_s=2.5)
        self.assertNotIn("\x1b", result.stdout)
        self.assertNotIn("\r", result.stdout)
        lines = [line for line in result.stdout.splitlines() if "epoch 1/2, " in line or "epoch 2/2, " in line]
        self.assertGreaterEqual(len(lines), 2, result.stdout)  # one for each epoch
        self.assertLessEqual(len(lines), 5, result.stdout)
        self.assertRegex(lines[0], r"epoch 1/2, \d+%, 4,000 samples/s, loss 0\.\d{4}, .* left")

    def test_no_progress_keeps_warnings_and_the_end(self):
        result = self.train("--no-progress", "--workers", 2, worker_1_exit=-9, duration_s=1.0)
        self.assertNotIn("samples/s, loss", result.stdout)
        self.assertIn("warning: worker-1", result.stdout)
        self.assertIn("finished in", result.stdout)

    def test_notes_on_the_job_come_first(self):
        for words in ((), ("--no-progress",)):
            self.run_dir = self.folder / f"run{len(words)}"
            lines = self.train(*words, note="early pushing is off").stdout.splitlines()
            self.assertEqual(lines[1], "note: early pushing is off")

    def test_the_memory_that_the_job_will_take_comes_before_it(self):
        rows = "1048576 all weights\n3145728 all optimizer state\n2097152 at-most evaluator\n1024 all data\n"
        lines = self.train(memory=rows).stdout.splitlines()
        self.assertEqual(lines[1], "memory: 4.0 MiB to 6.0 MiB: weights 1.0 MiB, optimizer state 3.0 MiB, "
                                   "evaluator up to 2.0 MiB, others 1.0 KiB")
        self.assertNotIn("warning", "".join(lines))

    def test_without_an_estimate_there_is_no_word_of_it(self):
        self.assertNotIn("memory", self.train().stdout)
        (self.build / "bin" / "rubato-sim").unlink()
        self.run_dir = self.folder / "another"
        result = self.train(memory="1048576 all weights\n")
        self.assertNotIn("memory", result.stdout)
        self.assertEqual(result.returncode, 0)

    def test_a_terminal_gets_a_bar_that_warnings_do_not_garble(self):
        screen = self.train_on_a_terminal("--workers", 2, worker_1_exit=3, worker_1_says="no such file", duration_s=2.0)
        self.assertIn("\x1b[J", screen)
        self.assertIn("waits for clock 9 of worker-1 for 3.2 s", screen)
        kept = screen.replace("\x1b[J", "\n").replace("\x1b[K", "").splitlines()
        self.assertIn("error: worker-1: no such file", kept)
        self.assertNotIn("ended with exit code 3", screen)  # it has said why

    def train_on_a_terminal(self, *words, **fake):
        leader, follower = pty.openpty()
        environment = dict(self.environment, TERM="xterm", COLUMNS="100", LINES="30")
        launcher = subprocess.Popen(self.train_command(*words, **fake), cwd=self.folder, env=environment,
                                    stdin=follower, stdout=follower, stderr=follower)
        self.addCleanup(self.bury, launcher)
        os.close(follower)
        screen = b""
        while True:
            try:
                screen += os.read(leader, 4096)
            except OSError:  # the other side is closed
                break
        os.close(leader)
        self.assertEqual(launcher.wait(), 0)
        return screen.decode()


class Status(LauncherCase):
    def status(self, *words):
        return self.run_command(self.command("status", *words))

    def own_jobs(self):
        """The run directories listed, without those of jobs that run on this machine for other reasons."""
        listed = [job["run_dir"] for job in json.loads(self.status("--json").stdout)]
        return [run_dir for run_dir in listed if run_dir.startswith(str(self.folder))]

    def start_job(self):
        launcher = self.start("--workers", 2, duration_s=60)
        self.note("worker-1")
        return launcher

    def test_one_job_as_tables(self):
        self.start_job()
        result = self.status(self.run_dir)
        self.assertEqual(result.returncode, 0, result.stderr)
        lines = result.stdout.splitlines()
        header = next(line for line in lines if line.startswith("worker "))
        waiting, computing = (next(line for line in lines if line.startswith(f"worker-{rank}")) for rank in (0, 1))
        self.assertTrue(waiting.endswith("waits for clock 9 of worker-1 for 3.2 s"), waiting)
        for heading in ("clock", "staleness", "samples/s"):  # flush right, so the columns end together
            end = header.index(heading) + len(heading)
            self.assertTrue(waiting[end - 1].isdigit() and computing[end - 1].isdigit(), result.stdout)
        self.assertTrue(any(line.startswith("server-0") and "17 to 18" in line and "4.0 MiB" in line for line in lines))

    def test_as_json(self):
        self.start_job()
        found = json.loads(self.status(self.run_dir, "--json").stdout)
        self.assertEqual(found["workers"][0]["waiting_for"]["of"], ["worker-1"])

    def test_all_jobs_are_listed(self):
        self.assertEqual(self.own_jobs(), [])
        if not json.loads(self.status("--json").stdout):
            self.assertIn("no job of yours is running", self.status().stdout)
        first = self.run_dir
        self.start_job()
        self.run_dir = self.folder / "second"
        self.start_job()
        self.wait_until((self.run_dir / "scheduler.json").exists, "the second job")
        result = self.status()
        self.assertIn(f"{first} ", result.stdout)
        self.assertIn(f"{self.run_dir} ", result.stdout)
        self.assertEqual(self.own_jobs(), [str(first), str(self.run_dir)])

    def test_what_is_no_running_job(self):
        self.assert_one_line_error(self.status(self.folder), 2, "no run directory")
        self.assertEqual(self.train().returncode, 0)
        self.assert_one_line_error(self.status(self.run_dir), 5, "is over", "test accuracy 91.23%", "final.safetensors")


if __name__ == "__main__":
    unittest.main()
