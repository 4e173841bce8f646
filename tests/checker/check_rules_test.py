#!/usr/bin/env python3
"""As check_trace_test.py, of runs whose rules change on the way.

Usage: check_rules_test.py [UNITTEST_ARGUMENT...]
"""

import unittest

from good_traces import ARRIVAL, changed
from trace_case import TraceTest, first, text_of


class GoodTraces(TraceTest):
    def test_rules_that_change(self):
        for bound in (1, 3, -1):
            self.passes(ARRIVAL, {"all.jsonl": text_of(changed(bound))})

    def test_rules_that_never_held(self):
        """Others were announced for the same clock before anybody was granted a step of it."""
        lines = changed(3)
        at = lines.index(first(lines, event="rules"))
        lines.insert(at, lines[at] | {"bound": 0, "least": 0})
        for line in lines[at + 1:]:
            if line.get("rule_epoch") == 2:
                line["rule_epoch"] = 3
        self.passes(ARRIVAL, {"all.jsonl": text_of(lines)})


class SpoiledTraces(TraceTest):
    def test_rules(self):
        def too_early(lines):
            first(lines, event="rules")["clock"] = 1

        def too_late(lines):
            first(lines, event="rules")["clock"] = 3

        def not_the_next(lines):
            first(lines, event="rules")["rule_epoch"] = 3

        def old_rules_beyond(lines):
            first(lines, event="grant", clock=2)["rule_epoch"] = 1

        def new_rules_before(lines):
            first(lines, event="grant", clock=1, worker=1)["rule_epoch"] = 2

        def begun_under_others(lines):
            first(lines, event="begin", clock=2)["rule_epoch"] = 1

        def pushed_under_others(lines):
            first(lines, event="push", clock=2)["rule_epoch"] = 1

        def settled_under_others(lines):
            first(lines, event="settle", clock=2)["rule_epoch"] = 1

        def old_rate_beyond(lines):
            first(lines, event="begin", clock=2)["rate"] = 0.1

        def new_rate_before(lines):
            first(lines, event="begin", clock=1, worker=1)["rate"] = 0.05

        def rate_of_other_rules(lines):
            first(lines, event="rules")["rate"] = 0.1

        self.spoiled("rules", ARRIVAL, changed(), too_early, too_late, not_the_next, old_rules_beyond, new_rules_before,
                     begun_under_others, pushed_under_others, settled_under_others, old_rate_beyond, new_rate_before, rate_of_other_rules)

    def test_no_rate_is_promised_where_a_schedule_moves_it(self):
        lines = changed()
        first(lines, event="begin", clock=1, worker=1)["rate"] = 0.05
        self.passes(ARRIVAL | {"rate": None}, {"all.jsonl": text_of(lines)})

    def test_a_rate_is_a_number(self):
        def words(lines):
            first(lines, event="rules")["rate"] = "high"

        def half_a_clock(lines):
            first(lines, event="rules")["clock"] = 2.5

        self.spoiled("line", ARRIVAL, changed(), words, half_a_clock)

    def test_the_bound_is_that_of_the_rules(self):
        def old_bound_beyond(lines):
            first(lines, event="grant", clock=2)["bound"] = 1

        def new_bound_before(lines):
            first(lines, event="grant", clock=1, worker=1)["bound"] = 3

        self.spoiled("staleness", ARRIVAL, changed(), old_bound_beyond, new_bound_before)


if __name__ == "__main__":
    unittest.main()
