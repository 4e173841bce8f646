"""A server that is killed in the middle of a job comes back with what it had, and the job goes on."""

import unittest

from system_case import SystemCase, lane, main

# Some seconds long, if nothing happens to it.
PACE = {"train__steps": 400, "debug__slow_worker_ms": 5}
RETURNS_WITHIN_S = 10.0


class Returns(SystemCase):
    def start_and_kill(self, node, *clocks, mode, worker="worker-1", **settings):
        """Kills the server when that worker reaches each of the clocks."""
        run = self.start("quadratic", "--mode", mode, **{**PACE, **settings})
        for number, clock in enumerate(clocks, 1):
            run.wait_for_clock(worker, clock)
            run.kill(node)
            run.wait_until(lambda: len(returned(run)) >= number * run_threads(settings), f"{node} to return",
                           RETURNS_WITHIN_S)
        return run

    def assert_went_on(self, run, node):
        self.assert_ends(run, 0)
        self.assertIn(f"warning: {node} was killed by SIGKILL; starting it again", run.output)
        self.assertIn(f"{node} is back after", run.output)
        self.assertNotIn("error", run.output)
        self.assertEqual(run.final()["clock"], PACE["train__steps"])
        self.assertEqual({line["server"] for line in returned(run)}, {node})
        self.assertIn("is back after", run.log("scheduler"))

    def test_bsp_has_the_same_weights(self):
        """Over every way to the servers, and of each optimizer that keeps something of its own."""
        for way, rule in (("shm", "adam"), ("ipc", "momentum"), ("tcp", "adam")):
            with self.subTest(way=way):
                settings = {"optimizer__name": rule, "optimizer__rate": 0.01, **lane(way)}
                whole = self.train("quadratic", "--mode", "bsp", train__steps=PACE["train__steps"], **settings)
                run = self.start_and_kill("server-1", 20, 150, mode="bsp", **settings)
                self.assert_went_on(run, "server-1")
                self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])

    def assert_goes_on_on_arrival(self, way):
        for mode in ("ssp:2", "asp", "dssp:1..4"):
            with self.subTest(mode=mode):
                run = self.start_and_kill("server-0", 50, mode=mode, optimizer__name="adam", **lane(way))
                self.assert_went_on(run, "server-0")
                self.assertEqual(run.final()["samples_dropped"], 0)

    def test_on_arrival_it_goes_on_over_shared_memory(self):
        self.assert_goes_on_on_arrival("shm")

    def test_on_arrival_it_goes_on_over_ipc(self):
        self.assert_goes_on_on_arrival("ipc")

    def test_on_arrival_it_goes_on_over_tcp(self):
        self.assert_goes_on_on_arrival("tcp")

    def test_on_arrival_every_update_is_made_once(self):
        """One worker in step with itself makes the same updates in the same order every time: of one that is lost, or
        made twice, the weights would tell."""
        settings = {"cluster__workers": 1, "optimizer__name": "adam", "optimizer__rate": 0.01}
        whole = self.train("quadratic", "--mode", "ssp:0", train__steps=PACE["train__steps"], **settings)
        for way in ("shm", "ipc", "tcp"):
            with self.subTest(way=way):
                run = self.start_and_kill("server-0", 20, 150, mode="ssp:0", worker="worker-0", **settings, **lane(way))
                self.assert_went_on(run, "server-0")
                self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])

    def test_with_two_shards(self):
        run = self.start_and_kill("server-1", 20, mode="bsp", cluster__shard_threads=2)
        self.assert_ends(run, 0)
        whole = self.train("quadratic", "--mode", "bsp", train__steps=PACE["train__steps"], cluster__shard_threads=2)
        self.assertEqual(run.final()["weights_sha256"], whole.final()["weights_sha256"])

    def test_status_says_so_while_it_is_away(self):
        run = self.start("quadratic", "--mode", "ssp:2", **PACE)
        run.wait_for_clock("worker-1", 20)
        run.kill("server-0")
        run.wait_for_output("what it had is there", RETURNS_WITHIN_S)
        self.assert_ends(run, 0)
        lost = [line for line in run.metrics() if line["event"] == "server_lost"]
        self.assertEqual([line["server"] for line in lost], ["server-0"])
        self.assertEqual(lost[0]["reason"], "was killed by signal 9")

    def test_not_again_and_again(self):
        run = self.start("quadratic", "--mode", "ssp:2", train__steps=2000, debug__slow_worker_ms=5)
        for number in range(1, 4):
            run.wait_for_clock("worker-1", 20 * number)
            run.kill("server-0")
            if number < 3:
                run.wait_until(lambda: len(returned(run)) >= number, "its return", RETURNS_WITHIN_S)
        self.assert_one_error(run, 5, "server-0 was killed by SIGKILL")
        self.assertEqual(run.output.count("starting it again"), 2, run.output)

    def test_where_pushes_are_acknowledged_before_they_are_applied_it_ends_the_job(self):
        for mode in ("softsync:2", "backup:1"):
            with self.subTest(mode):
                run = self.start("quadratic", "--mode", mode, **PACE)
                run.wait_for_clock("worker-1", 20)
                run.kill("server-1")
                self.assert_one_error(run, 5, "server-1 was killed by SIGKILL")
                self.assertIn("a push is acknowledged before it is in the weights", run.output)


def returned(run):
    return [line for line in run.metrics() if line["event"] == "server_returned"]


def run_threads(settings):
    return settings.get("cluster__shard_threads", 1)


if __name__ == "__main__":
    main()
