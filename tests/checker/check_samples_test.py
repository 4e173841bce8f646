#!/usr/bin/env python3
"""Tests of the checker's rules over samples: with leases each is settled exactly once.

Usage: check_samples_test.py
"""

import unittest

from good_traces import ARRIVAL, arrival
from trace_case import TraceTest, first, members, text_of

LEASED = ARRIVAL | {"leased": True}


def leased(die_at=None):
    """The toy of good_traces.py, in which each step granted takes the next eight samples."""
    lines = arrival(die_at=die_at)
    dealt = {}
    for line in lines:
        if line["event"] == "grant":
            dealt[line["worker"], line["clock"]] = 8 * len(dealt)
        if line["event"] in ("grant", "begin"):
            line["first"] = dealt[line["worker"], line["clock"]]
    last = lines[-1]
    end = {"seed": last["seed"], "t": last["t"] + 10, "node": "scheduler", "event": "epoch", "number": 0}
    return [*lines, end | {"samples": 8 * len(dealt)}]


def of_step(lines, worker, clock):
    return [line for line in lines
            if line["event"] in ("grant", "begin") and (line["worker"], line["clock"]) == (worker, clock)]


class CheckSamples(TraceTest):
    def test_good_traces_pass(self):
        self.passes(LEASED, {"all.jsonl": text_of(leased())})
        self.passes(LEASED, members(leased()))

    def test_a_torn_step_has_had_its_samples(self):
        self.passes(LEASED, {"all.jsonl": text_of(leased(die_at=2))})

    def test_samples(self):
        def twice(lines):
            for line in of_step(lines, 1, 1):
                line["first"] = 0

        def never(lines):
            for line in of_step(lines, 0, 3):
                line["epoch"] = 1

        def not_all(lines):
            first(lines, event="epoch")["samples"] += 8

        self.spoiled("samples", LEASED, leased(), twice, never, not_all)

    def test_a_step_that_nobody_settled_has_to_be_taken_again(self):
        def lost(lines):
            lines[:] = [line for line in lines
                        if line["event"] not in ("settle", "repeat") or (line["worker"], line["clock"]) != (1, 2)]

        self.spoiled("samples", LEASED, leased(die_at=2), lost)

    def test_a_step_is_of_the_samples_that_were_granted(self):
        def other_samples(lines):
            of_step(lines, 1, 1)[1]["first"] += 1

        self.spoiled("grant", LEASED, leased(), other_samples)


if __name__ == "__main__":
    unittest.main()
