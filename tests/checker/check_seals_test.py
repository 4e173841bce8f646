#!/usr/bin/env python3
"""Tests of the checker's rules over lives that end: what shards answer when they seal one, and what comes after.

Usage: check_seals_test.py
"""

import unittest

from good_commits import ACCEPTED, Committed
from good_traces import APPLIED, ARRIVAL, BSP, COMPENSATED, Trace, bsp
from trace_case import TraceTest, first, members, other, text_of

UNBOUNDED = ARRIVAL | {"bound": -1, "mode": "asp", "slices": 2}
LEASED = UNBOUNDED | {"leased": True}
SOFTSYNC = {"mode": "softsync:1", "bound": -1, "aggregate": False, "workers": 2, "slices": 2, "leaves": 1, "splits": 1}


class Toy(Trace):
    """Two workers under asp, slice s on server-s."""

    def __init__(self):
        super().__init__(1)
        self.versions = [0, 0]
        self.marks = {}
        self.all_placed(2, (0, 1), 2)

    def active(self, worker, clock, life=1):
        self.add("scheduler", "active", worker=worker, clock=clock, life=life)
        self.all_shards(2, "active", worker=worker, clock=clock, life=life)
        self.marks[worker] = [clock, clock]

    def begin(self, worker, clock, at):
        """The samples from `at` on."""
        self.grant(worker, clock, -1, min(min(marks) for marks in self.marks.values()), first=at)
        self.begin_of(worker, clock, at)
        for s in range(2):
            weights = dict(worker=worker, clock=clock, slice=s, version=self.versions[s],
                           floor=min(marks[s] for marks in self.marks.values()))
            self.add(f"server-{s}", "serve", **weights, snapshot=0)
            self.add(f"worker-{worker}", "use", **weights, bound=-1)

    def begin_of(self, worker, clock, at):
        self.add(f"worker-{worker}", "begin", worker=worker, clock=clock, level=0, index=0, epoch=0, first=at, count=8,
                 leaves=1, rate=0.1, rule_epoch=1)

    def push(self, worker, clock, settled=(0, 1)):
        for s in range(2):
            name = dict(worker=worker, clock=clock, slice=s, level=0, index=0)
            self.add(f"worker-{worker}", "push", **name, samples=8, local_steps=0)
            if s in settled:
                self.versions[s] += 1
                self.marks[worker][s] = clock + 1
                self.add(f"server-{s}", "settle", **name, fate=APPLIED, version=self.versions[s], age=0, samples=8)
                self.add(f"server-{s}", "repeat", **name)

    def step(self, worker, clock, at):
        self.begin(worker, clock, at)
        self.push(worker, clock)
        self.add("scheduler", "tick", worker=worker, clock=clock)

    def sealed(self, worker, *clocks, life=1):
        for s, clock in enumerate(clocks):
            self.add(f"server-{s}", "sealed", worker=worker, life=life, clock=clock, count=int(clock >= 0), slices=1)

    def end(self, worker, clock):
        self.add("scheduler", "inactive", worker=worker, clock=clock)
        self.all_shards(2, "inactive", worker=worker, clock=0)
        del self.marks[worker]


def returns(settled=(0,)):
    """Worker 1 dies in its second step, of which shards settled so much, and comes back for its third or that one."""
    toy = Toy()
    for worker in (0, 1):
        toy.active(worker, 0)
    toy.step(0, 0, 0)
    toy.step(1, 0, 8)
    toy.begin(1, 1, 16)
    toy.push(1, 1, settled)
    clocks = [1 if s in settled else 0 for s in range(2)]
    toy.sealed(1, *clocks)
    toy.end(1, 1)
    toy.sealed(1, *clocks)  # the first answer was lost
    again = max(clocks) + 1
    toy.active(1, again, life=2)
    toy.sealed(1, *clocks)  # asked for long ago
    if settled:
        toy.step(0, 1, 24)
        toy.step(1, again, 32)
        last = 40
    else:
        toy.step(0, 1, 16)  # dealt again
        toy.step(1, again, 24)
        last = 32
    toy.end(0, 2)
    toy.end(1, again + 1)
    toy.add("scheduler", "epoch", number=0, samples=last)
    return toy.lines


def late_pushes(lines):
    """A push of worker 1 that comes to server-1 right after its answer, and what it makes wrong is put right."""
    at = lines.index(first(lines, event="sealed", node="server-1"))
    version = first(reversed(lines[:at]), node="server-1", event="settle")["version"]
    settle = other(first(lines, event="settle", node="server-1", worker=1), clock=1, version=version + 1)
    for line in lines[at:]:
        if line.get("slice") == 1 and "version" in line:
            line["version"] += 1
    lines.insert(at + 1, settle)


class GoodTraces(TraceTest):
    def test_a_worker_that_comes_back(self):
        for settled in ((), (0,), (0, 1)):
            self.passes(UNBOUNDED, {"all.jsonl": text_of(returns(settled))})
            self.passes(UNBOUNDED, members(returns(settled)))
            self.passes(LEASED, {"all.jsonl": text_of(returns(settled))})
            self.passes(LEASED, members(returns(settled)))

    def test_an_aggregate_is_settled_with_what_came_before_the_answer(self):
        lines = bsp(die_at=1)
        for server in (1, 0):
            at = lines.index(first(lines, event="inactive", node=f"server-{server}"))
            lines.insert(at, {**lines[at], "event": "sealed", "life": 1, "clock": 0, "count": 1, "slices": 1})
        self.passes(BSP, {"all.jsonl": text_of(lines)})
        self.passes(BSP, members(lines))

    def test_word_that_overtakes_itself(self):
        """A shard may hear that a life began when it has sealed it already; it takes nothing of it."""
        toy = Toy()
        toy.active(0, 0)
        toy.step(0, 0, 0)
        toy.add("scheduler", "active", worker=1, clock=1, life=1)
        toy.add("scheduler", "inactive", worker=1, clock=1)
        toy.sealed(1, -1, -1)
        toy.all_shards(2, "active", worker=1, clock=1, life=1)
        toy.all_shards(2, "inactive", worker=1, clock=0)
        toy.end(0, 1)
        self.passes(UNBOUNDED, {"all.jsonl": text_of(toy.lines)})

    def test_nothing_more_can_come(self):
        """With nobody active a shard gives what there is, whatever was asked for."""
        lines = returns()
        end = lines.index(first(reversed(lines), event="inactive", node="server-0"))
        lines.insert(end + 1, {**first(lines, event="serve", node="server-0"), "worker": 0, "clock": 7, "wanted": 9,
                               "version": 5, "floor": 3, "snapshot": 0})
        self.passes(UNBOUNDED, {"all.jsonl": text_of(lines)})


class SpoiledTraces(TraceTest):
    def test_nothing_is_taken_of_a_life_that_is_sealed(self):
        def heard_again(lines):
            at = lines.index(first(lines, event="sealed", node="server-0"))
            lines.insert(at + 1, other(first(lines, event="repeat", node="server-0", worker=1)))

        self.spoiled("sealed", UNBOUNDED, returns(), late_pushes, heard_again)
        self.spoiled("sealed", UNBOUNDED, returns(()), late_pushes)

    def test_nor_where_updates_are_committed(self):
        trace = Committed(1, 2)
        trace.step(0, 0, -1, 0)
        trace.begin(1, 0, -1, 0)
        trace.push(1, 0, slices=[0])
        for s in range(2):
            trace.add(f"server-{s}", "sealed", worker=1, life=1, clock=0 if s == 0 else -1, count=1 - s, slices=1)
        good = list(trace.lines)

        def finish():
            trace.end(1, 0)
            trace.commit(1, (0, 0), dropped=[(1, 0, 0)])
            trace.end(0, 1)
            return trace.lines

        lines = finish()
        self.passes(SOFTSYNC, members(lines))

        def late(lines):
            push = first(lines, event="push", worker=1)
            name = {key: push[key] for key in ("worker", "clock", "level", "index", "samples", "rule_epoch")}
            lines[len(good):len(good)] = [other(push, slice=1), {**other(lines[len(good) - 1]), **name, "slice": 1,
                                                                "event": "settle", "fate": ACCEPTED, "version": 0, "age": 0}]

        self.spoiled("sealed", SOFTSYNC, lines, late)

    def test_nor_in_an_aggregate(self):
        lines = bsp(die_at=1)
        at = lines.index(first(lines, event="inactive", node="server-0"))
        lines.insert(at, {**lines[at], "event": "sealed", "life": 1, "clock": 0, "count": 1, "slices": 1})

        def heard_again(lines):
            name = dict(worker=1, clock=1, slice=0, level=0, index=1)
            lines.insert(at + 1, {"seed": 1, "t": lines[at]["t"], "node": "server-0", "event": "repeat", **name})

        def untrue(lines):
            lines[at]["clock"] = 1

        self.spoiled("sealed", BSP, lines, heard_again, untrue)

    def test_the_answer_is_true(self):
        def another_clock(lines):
            first(lines, event="sealed", node="server-1")["clock"] = 1

        def settled_nothing(lines):
            first(lines, event="sealed", node="server-1").update(clock=-1, count=0)

        def at_more_slices(lines):
            first(lines, event="sealed", node="server-0")["count"] = 2

        def of_more_slices(lines):
            for line in lines:
                if line["event"] == "sealed" and line["node"] == "server-0":
                    line["slices"] = 2

        def of_other_slices_than_before(lines):
            first(reversed(lines), event="sealed", node="server-0")["slices"] = 2

        def of_nobody(lines):
            at = lines.index(first(lines, event="sealed", node="server-0"))
            lines.insert(at, other(lines[at], life=7))

        self.spoiled("sealed", UNBOUNDED, returns(), another_clock, settled_nothing, at_more_slices, of_more_slices,
                     of_other_slices_than_before, of_nobody)

    def test_the_next_life(self):
        def before_the_answer(lines):
            """The scheduler did not wait for it."""
            answers = [line for line in lines if line["event"] == "sealed" and line["node"] == "server-1"]
            active = first(lines, event="active", node="scheduler", life=2)
            for answer in answers:
                answer["t"] = max(answer["t"], active["t"] + 5)

        def without_an_answer(lines):
            lines[:] = [line for line in lines if line["event"] != "sealed" or line["node"] != "server-1"]

        def below_what_was_settled(lines):
            for line in lines:
                if line.get("life") == 2 or line.get("worker") == 1 and line.get("clock") == 2:
                    line["clock"] = 1

        def the_same_again(lines):
            for line in lines:
                if line.get("life") == 2:
                    line["life"] = 1

        def counted_again_at_a_shard(lines):
            first(lines, event="active", node="server-1", life=2)["life"] = 1

        self.spoiled("sealed", UNBOUNDED, returns(), before_the_answer, without_an_answer, below_what_was_settled,
                     the_same_again, counted_again_at_a_shard)

    def test_samples_dealt_again(self):
        def of_a_step_in_part_settled(lines):
            """Worker 0 is given what worker 1 tore."""
            for line in lines:
                if line["event"] in ("grant", "begin") and (line["worker"], line["clock"]) == (0, 1):
                    line["first"] = 16

        def before_the_answer(lines):
            answers = [line for line in lines if line["event"] == "sealed" and line["node"] == "server-1"]
            grant = first(lines, event="grant", worker=0, clock=1)
            for line in lines:  # nor does it come back
                line["t"] += 1000 if line["t"] > grant["t"] else 0
            for answer in answers:
                answer["t"] = grant["t"] + 5

        self.spoiled("sealed", LEASED, returns(), of_a_step_in_part_settled)
        self.spoiled("sealed", LEASED, returns(()), before_the_answer)

    def test_a_floor_below_what_was_asked_for(self):
        def kept_whatever_is_asked(lines):
            serve = first(lines, event="serve", worker=0, clock=1, slice=0)
            at = lines.index(serve)
            lines.insert(at + 1, other(serve, wanted=serve["floor"] + 1))

        self.spoiled("served", COMPENSATED | UNBOUNDED, returns(), kept_whatever_is_asked)
        self.spoiled("served", UNBOUNDED, returns(), kept_whatever_is_asked)


if __name__ == "__main__":
    unittest.main()
