"""Who waits for whom, and two jobs side by side."""

import json
import subprocess
import sys
import unittest

from run import LAUNCHER
from system_case import SystemCase, main


class StatusCase(SystemCase):
    def ask(self, *words):
        command = [sys.executable, LAUNCHER, "status", *words]
        result = subprocess.run([str(word) for word in command], env=self.environment, text=True, capture_output=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def own_jobs(self):
        """What `status --json` lists of this test; other jobs of this user may run on the machine."""
        return [job for job in json.loads(self.ask("--json")) if job["run_dir"].startswith(str(self.folder))]


class Waiting(StatusCase):
    def watch(self, mode):
        """A job with a slow worker 0; returns what the status says once worker 1 has waited a little."""
        run = self.start("quadratic", "--mode", mode, train__steps=1000, debug__slow_worker_ms=400)
        found = {}

        def waits():
            found.update(json.loads(self.ask(run.run_dir, "--json")))
            waiting = next((worker["waiting_for"] for worker in found["workers"] if worker["node"] == "worker-1"), None)
            return waiting is not None and waiting["since_s"] > 0.05

        run.wait_for_clock("worker-0", 1)  # so that its step has a time
        run.wait_until(waits, "worker-1 to wait")
        text = self.ask(run.run_dir)
        run.launcher.terminate()
        self.assert_ends(run, 130)
        return found, text

    def test_for_the_clock_of_a_slow_worker(self):
        found, text = self.watch("ssp:2")
        slow, fast = found["workers"]
        self.assertEqual((fast["state"], fast["waiting_for"]["what"], fast["waiting_for"]["of"]),
                         ("waiting", "grant", ["worker-0"]))
        self.assertLess(fast["waiting_for"]["since_s"], 2.0)
        self.assertEqual(fast["waiting_for"]["clock"], fast["clock"])
        self.assertIsNone(slow["waiting_for"])
        self.assertEqual(slow["state"], "computing")
        self.assertEqual((found["mode"], found["bound"], found["state"]), ("ssp:2", 2, "training"))
        self.assertGreater(fast["lead"], 2)
        self.assertLessEqual(fast["clock"] - slow["clock"], 3)
        self.assertRegex(text, r"worker-1 .*waits for clock \d+ of worker-0 for \d+\.\d s")

    def test_for_the_gradient_of_a_slow_worker(self):
        found, _ = self.watch("bsp")
        waiting = found["workers"][1]["waiting_for"]
        self.assertEqual((waiting["what"], waiting["of"]), ("acknowledgement", ["worker-0"]))

    def test_waits_shorter_than_a_heartbeat(self):
        """Seen at no moment, and yet most of worker 1's time."""
        for mode in ("bsp", "ssp:1"):
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, train__steps=100000, debug__slow_worker_ms=20)

                def waited():
                    worker = next((worker for worker in json.loads(self.ask(run.run_dir, "--json"))["workers"]
                                   if worker["node"] == "worker-1"), {})
                    return worker.get("waited_for") == "worker-0" and worker["waited_share"] > 0.5

                run.wait_for_clock("worker-0", 1)
                run.wait_until(waited, "worker-1 to have waited")
                self.assertRegex(self.ask(run.run_dir), r"worker-1 .* \d+% for worker-0")
                run.launcher.terminate()
                self.assert_ends(run, 130)

    def test_every_node_is_there(self):
        found, text = self.watch("ssp:2")
        self.assertEqual([node["node"] for node in found["workers"] + found["servers"] + [found["evaluator"]]],
                         ["worker-0", "worker-1", "server-0", "server-1", "evaluator-0"])
        for worker in found["workers"]:
            self.assertLessEqual({"clock", "staleness", "lead", "samples_per_s", "step_ms", "age_mean"}, set(worker))
        self.assertGreaterEqual(found["workers"][0]["step_ms"], 400)
        for server in found["servers"]:
            self.assertGreater(server["version_max"], 0)
            self.assertGreater(server["pushes"], 0)
            self.assertGreater(server["bytes"], 0)
        self.assertIn("server-1", text)


class TwoJobs(StatusCase):
    def test_do_not_disturb_each_other(self):
        """One is attacked and the other is left alone: it gets the same bits as by itself."""
        settings = {"train__steps": 300, "debug__slow_worker_ms": 5}
        for transport in ("ipc", "tcp"):
            with self.subTest(transport):
                alone = self.train("quadratic", "--mode", "bsp", cluster__transport=transport, **settings)
                runs = [self.start("quadratic", "--mode", "bsp", cluster__transport=transport, **settings)
                        for _ in range(2)]
                for run in runs:
                    run.wait_for_clock("worker-1", 10)
                self.assertEqual({job["run_dir"] for job in self.own_jobs()}, {str(run.run_dir) for run in runs})
                text = self.ask()
                for run in runs:
                    self.assertIn(str(run.run_dir), text)
                runs[0].kill("scheduler")
                self.assert_one_error(runs[0], 5, "scheduler was killed by SIGKILL")
                self.assert_ends(runs[1], 0)
                final = runs[1].final()
                self.assertEqual(final["weights_sha256"], alone.final()["weights_sha256"])
                self.assertEqual(final["refused_frames"], 0)
                self.assertEqual(self.own_jobs(), [])

    def test_of_one_job_file_at_the_same_instant(self):
        runs = [self.start("quadratic", "--mode", "bsp") for _ in range(3)]
        for run in runs:
            self.assert_ends(run, 0)
        self.assertEqual(len({run.final()["weights_sha256"] for run in runs}), 1)


if __name__ == "__main__":
    main()
