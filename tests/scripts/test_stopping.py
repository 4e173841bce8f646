"""Ends that nobody planned: Ctrl-C once and twice, kill -9 of the launcher, a child that dies."""

import signal
import time
import unittest

from launcher_case import LauncherCase, kill

NODES = ("scheduler", "server-0", "worker-0", "worker-1")


class Stopping(LauncherCase):
    def start_long_job(self, duration_s=60, **fake):
        launcher = self.start("--workers", 2, duration_s=duration_s, **fake)
        pids = self.pids(*NODES)
        self.wait_until(lambda: "epoch 1/2" in self.output(), "the job to be under way")
        return launcher, pids

    def test_ctrl_c_once_drains(self):
        launcher, pids = self.start_long_job()
        launcher.send_signal(signal.SIGINT)
        self.assertEqual(launcher.wait(), 130)
        self.assertIn("/drain", [request["path"] for request in self.requests()])
        self.assertIn("Ctrl-C again kills", self.output())
        self.assertIn("drained in", self.output())
        self.assertNotIn("cannot go on", self.output())
        self.assertIn("final.safetensors", self.output())
        self.assert_gone(pids)

    def test_sigterm_drains_as_well(self):
        launcher, pids = self.start_long_job()
        launcher.terminate()
        self.assertEqual(launcher.wait(), 130)
        self.assert_gone(pids)

    def test_a_hang_up_drains_as_well(self):
        """Also where every process gets it, as from a session's manager."""
        launcher, pids = self.start_long_job()
        for pid in pids[1:]:
            kill(pid, signal.SIGHUP)
        launcher.send_signal(signal.SIGHUP)
        self.assertEqual(launcher.wait(), 130)
        self.assertNotIn("SIGHUP", self.output())
        self.assertIn("final.safetensors", self.output())
        self.assert_gone(pids)

    def test_under_nohup_a_hang_up_ends_nobody(self):
        launcher, pids = self.start_long_job(duration_s=2, ignored=[signal.SIGHUP])
        for pid in (launcher.pid, *pids):
            kill(pid, signal.SIGHUP)
        self.assertEqual(launcher.wait(), 0, self.output())
        self.assertNotIn("stopping", self.output())

    def test_behind_a_script_s_ampersand_ctrl_c_is_for_others(self):
        """A shell without job control has its background ignore SIGINT: the terminal sends it to all of the script."""
        launcher, pids = self.start_long_job(ignored=[signal.SIGINT])
        for pid in (launcher.pid, *pids):
            kill(pid, signal.SIGINT)
        time.sleep(0.5)
        self.assertNotIn("stopping", self.output())
        launcher.terminate()
        self.assertEqual(launcher.wait(), 130)
        self.assertNotIn("SIGINT", self.output())
        self.assert_gone(pids)

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        """`timeout` sends it to the process, and then to the process's group."""
        launcher, pids = self.start_long_job()
        for _ in range(3):
            launcher.terminate()
        self.assertEqual(launcher.wait(), 130)
        self.assertIn("final.safetensors", self.output())
        self.assert_gone(pids)

    def test_ctrl_c_twice_kills(self):
        launcher, pids = self.start_long_job(stuck=True, deaf=True)
        launcher.send_signal(signal.SIGINT)
        self.wait_until(lambda: "Ctrl-C again kills" in self.output(), "the answer to the first Ctrl-C")
        time.sleep(0.2)
        launcher.send_signal(signal.SIGINT)
        self.assertEqual(launcher.wait(), 130)
        self.assertIn("rubato: error: interrupted", self.output())
        self.assertIn("/abort", [request["path"] for request in self.requests()])
        self.assert_gone(pids, patience_s=0.5)

    def test_ctrl_c_before_anybody_listens(self):
        launcher = self.start(silent=True)
        pids = self.pids("scheduler")
        launcher.send_signal(signal.SIGINT)
        self.assertEqual(launcher.wait(), 130)
        self.assert_gone(pids, patience_s=0.5)

    def test_kill_9_of_the_launcher_leaves_nothing(self):
        launcher, pids = self.start_long_job(deaf=True)
        kill(launcher.pid)
        launcher.wait()
        self.assert_gone(pids, patience_s=5.0)

    def test_kill_9_of_the_launcher_leaves_nobody_stopped(self):
        launcher, pids = self.start_long_job()
        kill(pids[3], signal.SIGSTOP)
        kill(launcher.pid)
        launcher.wait()
        self.assert_gone(pids, patience_s=5.0)

    def test_a_stopped_scheduler_does_not_stop_the_launcher(self):
        launcher, pids = self.start_long_job()
        kill(pids[0], signal.SIGSTOP)
        launcher.send_signal(signal.SIGINT)
        self.wait_until(lambda: "Ctrl-C again kills" in self.output(), "the answer to the first Ctrl-C")
        time.sleep(0.2)
        launcher.send_signal(signal.SIGINT)
        self.assertEqual(launcher.wait(), 130)
        self.assert_gone(pids)

    def test_a_child_that_dies_is_told_within_a_second(self):
        _, pids = self.start_long_job()
        killed_at = time.time()
        kill(pids[3])
        self.wait_until(lambda: "worker-1 was killed by SIGKILL" in self.output(), "the news", patience_s=1.0)
        self.wait_until(self.requests, "the scheduler to be told")
        request = self.requests()[0]
        self.assertEqual(request["path"], "/exited")
        self.assertEqual(request["body"], {"node": "worker-1", "pid": pids[3], "exit_code": -9, "again": False})
        self.assertLess(request["time"] - killed_at, 1.0)


if __name__ == "__main__":
    unittest.main()
