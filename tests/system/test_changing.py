"""`rubato set`: other rules for a real job while it runs."""

import http.client
import json
import subprocess
import sys
import unittest
from urllib.parse import urlsplit

import tracing
from run import LAUNCHER
from system_case import SystemCase, main

WORKERS, STEPS, SLICES = 4, 300, 4
PACE = "0,30\n1,12\n2,8\n3,6\n"  # worker, milliseconds a step


def post(run, changes: str) -> dict:
    """At once: a program of its own would take its time to start, and the fastest worker goes on meanwhile."""
    address = run.address()
    url = urlsplit(address["http"])
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    try:
        headers = {"X-Rubato-Token": address["token"], "Content-Type": "application/json"}
        connection.request("POST", "/set", json.dumps({"set": changes}), headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


class ChangingCase(SystemCase):
    def uneven(self, mode, *words, steps=STEPS, **settings):
        """Four workers, each at a pace of its own."""
        pace = self.folder / "pace.csv"
        pace.write_text(PACE)
        return self.start("quadratic", "--mode", mode, "--workers", WORKERS, *words, train__steps=steps,
                          worker__stragglers=f"trace:{pace}", evaluation__every_epochs=1000, debug__trace=True,
                          **settings)

    def aligning(self, run, changes, clock=15):
        """Sets other rules when the slowest worker is at that clock; returns the answer, and a status while they
        align."""
        run.wait_for_clock("worker-0", clock)
        answer = post(run, changes)
        return answer, run.status()

    def assert_promises_kept(self, run):
        checked = tracing.check(run)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    def scheduler_trace(self, run):
        with open(run.run_dir / "trace" / "scheduler.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


class FromAspToSsp(ChangingCase):
    def test_takes_hold_at_its_clock_and_loses_nothing(self):
        run = self.uneven("asp", "--record")
        answer, status = self.aligning(run, "mode=ssp:2 rate=0.05")
        first = answer["clock"]
        self.assertEqual((answer["mode"], answer["rate"], answer["rule_epoch"]), ("ssp:2", 0.05, 2), answer)
        self.assertGreater(answer["to_go"], 2)

        self.assertEqual((status["mode"], status["bound"], status["rule_epoch"]), ("asp", None, 1))
        change, = status["changing"]
        self.assertEqual((change["mode"], change["clock"]), ("ssp:2", first))
        self.assertGreater(change["to_go"], 0)
        self.assertEqual(status["workers"][0]["to_go"], first - status["workers"][0]["clock"])
        run.wait_for_output("in force: ssp:2 at rate 0.05, ")
        self.assertEqual((run.status()["mode"], run.status()["changing"]), ("ssp:2", []))
        self.assert_ends(run, 0)
        self.assertIn(f"set: ssp:2 at rate 0.05 from clock {first} on, ", run.output)
        self.assertRegex(run.output, r"aligning to ssp:2 at rate 0\.05, \d+ clocks? to go")

        lines = self.scheduler_trace(run)
        said = next(i for i, line in enumerate(lines) if line["event"] == "rules")
        grants = [line for line in lines if line["event"] == "grant"]
        beyond = [line for line in lines[said:] if line["event"] == "grant" and line["clock"] >= first]
        self.assertEqual(len(beyond), WORKERS * (STEPS - first))
        for grant in grants:
            new = grant["clock"] >= first
            self.assertEqual((grant["rule_epoch"], grant["bound"]), (2, 2) if new else (1, -1), grant)
            if new:
                self.assertLessEqual(grant["clock"] - grant["min"], 2, grant)
        self.assertEqual(max(line["clock"] for line in lines[:said] if line["event"] == "grant") + 1, first)
        self.assert_promises_kept(run)

        metrics = run.metrics()
        changes = [(line["event"], line["rule_epoch"], line["clock"]) for line in metrics
                   if line["event"] in ("set", "in_force")]
        self.assertEqual(changes, [("set", 2, first), ("in_force", 2, first)])
        self.assertTrue(any(line["event"] == "progress" and line.get("to_go", 0) > 0 for line in metrics))
        final = run.final()
        self.assertEqual((final["mode"], final["rule_epoch"]), ("ssp:2", 2))
        self.assertEqual(final["samples_dropped"], 0)
        self.assertEqual(final["samples"], sum(worker["samples"] for worker in final["workers"]))
        self.assertEqual(final["pushes"], WORKERS * STEPS * SLICES)
        self.assertEqual([worker["steps"] for worker in final["workers"]], [STEPS] * WORKERS)
        replay = subprocess.run([self.build / "bin/rubato-sim", "--replay", run.run_dir], capture_output=True, text=True,
                                timeout=100)
        self.assertEqual(replay.returncode, 0, replay.stdout + replay.stderr)

    def test_a_worker_that_is_killed_while_they_align(self):
        for victim in ("worker-0", "worker-3"):  # the slowest, for whom all wait; the fastest, who waits
            with self.subTest(victim):
                run = self.uneven("asp")
                answer, status = self.aligning(run, "mode=ssp:2")
                self.assertGreater(status["changing"][0]["to_go"], 0)
                run.kill(victim)
                self.assert_ends(run, 0)
                self.assert_promises_kept(run)
                self.assertEqual([line["clock"] for line in run.metrics() if line["event"] == "in_force"],
                                 [answer["clock"]])
                self.assertEqual(run.final()["mode"], "ssp:2")

    def test_another_one_behind_it(self):
        """And one that takes back what nobody has come to."""
        run = self.uneven("asp")
        first, _ = self.aligning(run, "mode=ssp:1")
        undone = post(run, "mode=asp rate=0.05")
        self.assertEqual(undone["clock"], first["clock"])
        run.wait_until(lambda: (run.status().get("clock_max") or 0) > first["clock"], "the fastest to go on")
        last = post(run, "mode=dssp:1..4")
        self.assertGreater(last["clock"], first["clock"])
        self.assert_ends(run, 0)
        self.assert_promises_kept(run)
        self.assertEqual([(line["rule_epoch"], line["replaces"]) for line in run.metrics() if line["event"] == "set"],
                         [(2, None), (3, 2), (4, None)])
        self.assertEqual([line["rule_epoch"] for line in run.metrics() if line["event"] == "in_force"], [3, 4])


class Lockstep(ChangingCase):
    def test_another_rate(self):
        """All are at one clock, so nobody has to align."""
        run = self.uneven("bsp", steps=60)
        answer, _ = self.aligning(run, "rate=0.02", clock=5)
        self.assertLessEqual(answer["to_go"], 1)
        self.assert_ends(run, 0)
        self.assert_promises_kept(run)
        self.assertEqual({line["rate"] for line in run.metrics() if line["event"] == "in_force"}, {0.02})


class Command(ChangingCase):
    def set(self, *words, code=0):
        command = [sys.executable, LAUNCHER, "set", *map(str, words)]
        result = subprocess.run(command, env=self.environment, text=True, capture_output=True, timeout=100)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        if code:
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        return result.stderr if code else result.stdout

    def test_says_what_follows(self):
        run = self.uneven("ssp:3", steps=100_000)
        run.wait_for_clock("worker-0", 3)
        self.assertRegex(self.set(run.run_dir, "mode=ssp:1", "--dry-run"), r"^would be ssp:1 at rate 0\.1 from clock \d+ on; ")
        self.assertEqual(run.status()["changing"], [])
        self.assertRegex(self.set(run.run_dir, "mode=ssp:1", "rate=0.05", "--wait"),
                         r"^ssp:1 at rate 0\.05 from clock \d+ on(; .*)?\nin force: ssp:1 at rate 0\.05\n$")
        self.assertRegex(self.set(run.run_dir, "rate=0.05"), r"^nothing to change: ssp:1 at rate 0\.05 ")
        for words, code, text in (
                ((), 2, "nothing to set"),
                (("mode=lsp:3",), 2, "must be bsp, backup:B, softsync:N, ssp:S, dssp:LO..HI, asp, local:H"),
                (("rate=0",), 2, "must be a number above 0"),
                (("bound=3",), 2, "the bound is part of the mode"),
                (("mode=bsp",), 9, "start a new job with mode bsp")):
            with self.subTest(words):
                self.assertIn(text, self.set(run.run_dir, *words, code=code))
        self.assertIn("neither a run directory nor a change", self.set("asp", code=2))
        self.assertIn("is no run directory of a job", self.set(self.folder, "rate=1", code=2))
        run.launcher.terminate()
        self.assert_ends(run, 130)
        self.assertIn("is over", self.set(run.run_dir, "rate=0.01", code=5))
        self.assertEqual(run.final()["mode"], "ssp:1")


if __name__ == "__main__":
    main()
