#!/usr/bin/env python3
"""As check_trace_test.py, for traces of modes whose updates are committed.

Usage: check_commits_test.py [UNITTEST_ARGUMENT...]
"""

import unittest

from good_commits import BACKUP, LOCAL, SOFTSYNC, Committed, backup, softsync
from good_traces import ARRIVAL, arrival
from trace_case import TraceTest, first, members, other, text_of


class GoodTraces(TraceTest):
    def test_committed_updates(self):
        for setting, lines in ((BACKUP, backup()), (BACKUP, backup(dies=True)),
                               (SOFTSYNC, softsync()), (SOFTSYNC, softsync(dies=True)),
                               (LOCAL, softsync(local_steps=2))):
            self.passes(setting, {"all.jsonl": text_of(lines)})
            self.passes(setting, members(lines))


    def test_accepted_and_never_used_by_the_death_of_its_worker(self):
        """Nor dropped, where no later floor reaches it: worker 2 stays at its first clock."""
        trace = Committed(1, 3)
        for step in ((0, 0), (0, 1), (1, 0)):
            trace.step(*step, -1, 0)
        trace.commit(0, (0, 0), (0, 1), (1, 0))
        trace.step(1, 1, -1, 0)
        lives_on = list(trace.lines)
        trace.end(1, 2)
        setting = SOFTSYNC | {"workers": 3}
        for worker, clock in ((0, 2), (2, 0)):
            trace.end(worker, clock)
        self.passes(setting, members(trace.lines))
        self.caught("commit", setting, members(lives_on))


class SpoiledTraces(TraceTest):
    """Each method spoils good traces against one rule."""

    def test_commit(self):
        def other_steps_at_one_slice(lines):
            first(lines, event="contribution", slice=1, number=2)["worker"] = 2

        def one_fewer_at_one_slice(lines):
            lines.remove(first(lines, event="contribution", slice=1, number=2))

        def before_its_turn(lines):
            a, b = (first(lines, event="apply", slice=1, version=version) for version in (1, 2))
            a["version"], b["version"] = 2, 1

        def another_floor(lines):
            first(lines, event="commit", number=2)["floor"] = 1

        def another_floor_at_a_shard(lines):
            first(lines, event="apply", slice=0, version=2)["clock"] = 1

        def never_applied_at_one_slice(lines):
            lines[:] = [line for line in lines if (line["node"], line.get("number"), line.get("version"),
                                                   line["event"]) not in (
                ("server-1", 3, None, "contribution"), ("server-1", None, 3, "apply"))]

        def dropped_while_open(lines):
            first(lines, event="settle", worker=0, clock=1, slice=0)["fate"] = 3

        def not_dropped_when_late(lines):
            first(lines, event="settle", fate=3)["fate"] = 2

        def of_another_clock(lines):
            first(lines, event="contributor", number=3, worker=0)["clock"] = 1

        def too_few(lines):
            lines.remove(first(lines, event="contributor", number=1, worker=1))

        def skipped(lines):
            for line in lines:
                if line.get("number") == 3:
                    line["number"] = 4

        spoils = (other_steps_at_one_slice, one_fewer_at_one_slice, another_floor, another_floor_at_a_shard,
                  never_applied_at_one_slice, dropped_while_open, not_dropped_when_late, of_another_clock, too_few,
                  skipped)
        self.spoiled("commit", BACKUP, backup(), *spoils)
        self.spoiled("version", BACKUP, backup(), before_its_turn)

        def lost(lines):
            """The step of the last, smaller update is in none, and nobody died over it."""
            lines[:] = [line for line in lines if line.get("number") != 3 and line["event"] != "inactive"
                        and (line["event"], line.get("version")) != ("apply", 3)]

        def before_its_tick(lines):
            tick = first(lines, event="tick", worker=0, clock=1)
            lines.remove(tick)
            lines.insert(lines.index(first(lines, event="commit", number=2)), tick)

        def out_of_order(lines):
            a, b = (first(lines, event="contributor", number=1, clock=clock) for clock in (0, 1))
            a["clock"], b["clock"] = 1, 0

        def too_many(lines):
            at = lines.index(first(lines, event="contributor", number=2, worker=0))
            lines.insert(at + 1, other(lines[at], clock=3))

        def in_a_mode_without(lines):
            commit = {"seed": 1, "t": 0, "node": "scheduler", "event": "commit", "number": 1, "floor": 0}
            lines.append(commit)

        self.spoiled("commit", SOFTSYNC, softsync(), lost, before_its_tick, out_of_order, too_many)
        self.spoiled("commit", ARRIVAL, arrival(), in_a_mode_without)

    def test_a_committed_push_counts_exactly_once(self):
        def twice(lines):
            at = lines.index(first(lines, event="contribution", number=2))
            lines.insert(at + 1, other(lines[at]))

        def dropped_and_used(lines):
            at = lines.index(first(lines, event="contribution", number=2))
            lines.insert(at, {**first(lines, event="drop"), "worker": 0, "clock": 1})

        def settled_twice(lines):
            at = lines.index(first(lines, event="settle", worker=0, clock=1))
            lines.insert(at + 1, other(lines[at]))

        self.spoiled("exactly once", BACKUP, backup(), twice, dropped_and_used, settled_twice)

    def test_ages_of_commits(self):
        def wrong(lines):
            first(lines, event="contribution", number=2, worker=1)["age"] += 1

        def of_old_weights(lines):
            """In lockstep there are none: the weights of the clock before, honestly reported."""
            for event in ("serve", "use"):
                first(lines, event=event, worker=1, clock=1, slice=0)["version"] = 0
            first(lines, event="contribution", number=2, worker=1, slice=0)["age"] = 1

        self.spoiled("age", SOFTSYNC, softsync(), wrong)
        self.spoiled("age", BACKUP, backup(), of_old_weights)

    def test_local_steps(self):
        def too_few(lines):
            first(lines, event="push")["local_steps"] = 1

        def a_gradient(lines):
            first(lines, event="push")["local_steps"] = 0

        def too_many_samples(lines):
            for event in ("push", "settle", "contribution"):
                for line in lines:
                    if (line["event"], line.get("worker"), line.get("clock")) == (event, 1, 0):
                        line["samples"] = 12
                        if event == "push":
                            line["local_steps"] = 3

        self.spoiled("local", LOCAL, softsync(local_steps=2), too_few, a_gradient, too_many_samples)
        self.spoiled("local", SOFTSYNC, softsync(), lambda lines: first(lines, event="push").update(local_steps=1))

    def test_grants_of_backup(self):
        def two_in_hand(lines):
            grant = first(lines, event="grant", worker=2, clock=2)
            lines.remove(grant)
            lines.insert(lines.index(first(lines, event="tick", worker=2, clock=0)), grant)

        def of_a_closed_clock(lines):
            first(lines, event="grant", worker=2, clock=2)["clock"] = 1

        self.spoiled("grant", BACKUP, backup(), two_in_hand, of_a_closed_clock)


if __name__ == "__main__":
    unittest.main()
