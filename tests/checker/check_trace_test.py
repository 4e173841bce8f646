#!/usr/bin/env python3
"""Good traces pass; for each rule, traces spoiled against it are caught, and the rule is named.

Usage: check_trace_test.py [UNITTEST_ARGUMENT...]
"""

import json
import unittest

from good_traces import APPLIED, ARRIVAL, BSP, COMPENSATED, DSSP, Trace, arrival, bsp
from trace_case import TraceTest, check, first, members, other, text_of


class GoodTraces(TraceTest):
    def test_one_file_of_many_runs(self):
        lines = [line for seed in range(5) for line in arrival(seed)]
        output = self.passes(ARRIVAL, {"all.jsonl": text_of(lines)})
        self.assertIn("checked 5 runs, 40 grants, 120 uses, 120 pushes", output)
        self.assertIn("largest staleness 1, largest age 1, 120 repeats", output)

    def test_a_file_for_each_member(self):
        self.passes(ARRIVAL, members(arrival()))
        self.passes(BSP, members(bsp()))

    def test_bsp(self):
        self.passes(BSP, {"all.jsonl": text_of(bsp())})

    def test_without_a_bound(self):
        unbounded = ARRIVAL | {"mode": "asp", "bound": -1}
        lines = [other(line, bound=-1) if "bound" in line else line for line in arrival()]
        self.passes(unbounded, {"all.jsonl": text_of(lines)})

    def test_a_bound_that_moves(self):
        """Each grant has its own, and so have the weights of its step."""
        lines = arrival()
        for event in ("grant", "use"):
            for line in lines:
                if line["event"] == event and (line["worker"], line["clock"]) == (0, 2):
                    line["bound"] = 3
        self.passes(DSSP, {"all.jsonl": text_of(lines)})
        self.caught("staleness", ARRIVAL, {"all.jsonl": text_of(lines)})

    def test_a_worker_that_dies(self):
        for step in range(3):
            self.passes(ARRIVAL, members(arrival(die_at=step)))
            self.passes(BSP, {"all.jsonl": text_of(bsp(die_at=step))})

    def test_a_second_life_takes_a_step_again(self):
        """Under another bound, or with newer weights after a push that was lost with the first life."""
        def lives(first, second, version, age):
            trace = Trace(1)
            trace.all_placed(1, (0, 1), 1)
            name = dict(worker=0, clock=0, slice=0, level=0, index=0)

            def begin(worker, bound, version, life=1):
                for node in ("scheduler", "server-0"):
                    trace.add(node, "active", worker=worker, clock=0, life=life)
                trace.grant(worker, 0, bound, 0)
                trace.begin(worker, 0)
                weights = dict(worker=worker, clock=0, slice=0, version=version, floor=0)
                trace.add("server-0", "serve", **weights, snapshot=0)
                trace.add(f"worker-{worker}", "use", **weights, bound=bound)

            def push(worker):
                trace.add(f"worker-{worker}", "push", **name | {"worker": worker}, samples=8, local_steps=0)

            def settle(worker, version, age):
                pushed = name | {"worker": worker}
                trace.add("server-0", "settle", **pushed, fate=APPLIED, version=version, age=age, samples=8)
                trace.add("scheduler", "tick", worker=worker, clock=0)

            def end(worker, clock):
                trace.add("scheduler", "inactive", worker=worker, clock=clock)
                trace.add("server-0", "inactive", worker=worker, clock=0)

            begin(0, first, 0)
            if version:
                begin(1, first, 0)
                push(1)
                settle(1, 1, 0)
                push(0)
                end(1, 1)
            end(0, 0)
            trace.add("server-0", "sealed", worker=0, life=1, clock=-1, count=0, slices=1)
            begin(0, second, version, life=2)
            push(0)
            settle(0, version + 1, age)
            end(0, 1)
            return members(trace.lines)

        setting = DSSP | {"slices": 1}
        self.passes(setting, lives(first=3, second=1, version=0, age=0))
        self.passes(setting, lives(first=3, second=3, version=1, age=0))
        self.caught("age", setting, lives(first=3, second=3, version=1, age=2))  # of neither life

    def test_a_job_cut_off(self):
        lines = arrival()
        cut = lines.index(first(lines, event="settle", worker=0, clock=2))
        files = members(lines[:cut])
        self.caught("exactly once", ARRIVAL, files)
        self.passes(ARRIVAL | {"complete": False}, files)

    def test_a_torn_last_line_is_a_note(self):
        files = members(arrival(die_at=1))
        files["worker-1.jsonl"] = files["worker-1.jsonl"][:-20]
        self.assertIn("the last line is torn", self.passes(ARRIVAL, files))

    def test_an_aggregate_that_changes_nothing(self):
        not_finite, empty = 4, 5
        for fates in ((empty, not_finite, empty), (not_finite,) * 3, (empty,) * 3):
            lines = bsp()
            for line in lines:
                if line["event"] == "settle" and (line["clock"], line["slice"]) == (2, 1):
                    line |= {"version": 2, "fate": fates[line["index"]]}
            apply = first(lines, event="apply", clock=2, slice=1)
            self.caught("leaves", BSP, {"all.jsonl": text_of(lines)})
            lines.remove(apply)
            self.passes(BSP, {"all.jsonl": text_of(lines)})


    def test_an_answer_given_again(self):
        """Where delays are compensated for, what a worker was given for a step it is given again, old as it may be."""
        lines = arrival()
        served = first(lines, event="serve", worker=1, clock=1, slice=0)
        settled = first(lines, event="settle", worker=1, clock=1, slice=0)  # another update came between
        lines.insert(lines.index(settled), served | {"t": settled["t"]})
        self.passes(COMPENSATED, {"all.jsonl": text_of(lines)})
        self.caught("version", ARRIVAL, {"all.jsonl": text_of(lines)})


class SpoiledTraces(TraceTest):
    """Each method spoils good traces against one rule."""

    def test_kept(self):
        def another_version_for_the_same_step(lines):
            served = first(lines, event="serve", worker=0, clock=1, slice=0)
            lines.insert(lines.index(served), served | {"version": 0, "floor": served["floor"]})

        def weights_for_five_steps(lines):
            served = first(lines, event="serve", worker=0, clock=1, slice=0)
            at = lines.index(served) + 1
            lines[at:at] = [served | {"clock": clock} for clock in (2, 3, 4, 5)]

        self.spoiled("kept", COMPENSATED, arrival(), another_version_for_the_same_step, weights_for_five_steps)

    def test_staleness(self):
        def wrong_minimum(lines):
            first(lines, event="grant", clock=2)["min"] -= 1

        def wrong_bound(lines):
            first(lines, event="grant", clock=2)["bound"] += 1

        def before_the_slowest_ticked(lines):
            grant = first(lines, event="grant", worker=0, clock=2)
            lines.remove(grant)
            lines.insert(lines.index(first(lines, event="tick", worker=1, clock=0)), grant | {"min": 0})

        def before_anybody_knew(lines):
            lines.remove(first(lines, event="tick", worker=1, clock=0))

        self.spoiled("staleness", ARRIVAL, arrival(), wrong_minimum, wrong_bound, before_the_slowest_ticked)
        self.spoiled("staleness", ARRIVAL, arrival(), before_anybody_knew)

    def test_staleness_under_a_bound_that_moves(self):
        def above_the_highest(lines):
            first(lines, event="grant", clock=2)["bound"] = 4

        def below_the_lowest(lines):
            first(lines, event="grant", clock=0)["bound"] = 0

        def beyond_its_own(lines):
            """Within the highest bound, and not within that of the grant."""
            grant = first(lines, event="grant", worker=0, clock=2)
            lines.remove(grant)
            lines.insert(lines.index(first(lines, event="tick", worker=1, clock=0)), grant | {"min": 0})

        self.spoiled("staleness", DSSP, arrival(), above_the_highest, below_the_lowest, beyond_its_own)

    def test_clock(self):
        def lost_tick(lines):
            lines.remove(first(lines, event="tick", worker=0, clock=1))

        def tick_again(lines):
            at = lines.index(first(lines, event="tick", worker=0, clock=1))
            lines.insert(at + 1, lines[at])

        def ends_elsewhere(lines):
            first(lines, event="inactive", node="scheduler")["clock"] -= 1

        def joins_below_the_least(lines):
            at = lines.index(first(lines, event="tick", worker=1, clock=1))
            lines.insert(at + 1, other(first(lines, event="active"), worker=1, clock=0))

        def shard_starts_it_again(lines):
            lines.append(other(first(lines, event="active", node="server-0")))
            lines.insert(lines.index(first(lines, event="tick", worker=0, clock=1)), lines.pop())

        def comes_back_where_a_slice_is_further(lines):
            at = lines.index(first(lines, event="inactive", node="server-0"))
            lines.insert(at + 1, other(first(lines, event="active", node="server-0"), worker=1, clock=2))

        self.spoiled("clock", ARRIVAL, arrival(die_at=2), comes_back_where_a_slice_is_further)
        self.spoiled("clock", ARRIVAL, arrival(), lost_tick, tick_again, ends_elsewhere, joins_below_the_least)
        self.spoiled("clock", ARRIVAL, arrival(), shard_starts_it_again)

    def test_grant(self):
        def given_twice_not_the_same(lines):
            at = lines.index(first(lines, event="grant", clock=2))
            lines.insert(at + 1, other(lines[at], min=0))

        def skipped(lines):
            lines.remove(first(lines, event="grant", worker=1, clock=2))

        def two_ahead(lines):
            at = lines.index(first(lines, event="grant", worker=0, clock=1))
            lines.insert(at + 1, other(lines[at], clock=2))

        def to_nobody(lines):
            lines.append(other(first(lines, event="grant"), worker=1, clock=4))

        def another_bound_used(lines):
            first(lines, event="use")["bound"] = 2

        self.spoiled("grant", ARRIVAL, arrival(), given_twice_not_the_same, skipped, two_ahead, to_nobody)
        def begun_without(lines):
            at = lines.index(first(lines, event="begin", worker=0, clock=2))
            lines.insert(at, lines[at] | {"clock": 9})

        self.spoiled("grant", ARRIVAL, arrival(), another_bound_used, begun_without)

    def test_floor(self):
        def served_too_high(lines):
            first(lines, event="serve", clock=2)["floor"] += 1

        def served_too_low(lines):
            first(lines, event="serve", clock=2)["floor"] -= 1

        def stale_weights(lines):
            first(lines, event="use", clock=3)["floor"] = 0

        def bsp_ahead(lines):
            first(lines, event="serve", clock=1)["floor"] = 2

        def joiner_forgotten(lines):
            lines.remove(first(lines, event="active", node="server-0", worker=1))

        self.spoiled("floor", ARRIVAL, arrival(), served_too_high, served_too_low, stale_weights, joiner_forgotten)
        self.spoiled("floor", BSP, bsp(), bsp_ahead)

    def test_served(self):
        def another_version(lines):
            first(lines, event="use", clock=2)["version"] -= 1

        def to_another_worker(lines):
            first(lines, event="serve", worker=1, clock=2)["worker"] = 0

        def from_a_snapshot(lines):
            first(lines, event="serve", worker=1, clock=2)["snapshot"] = 7

        def two_versions(lines):
            at = lines.index(first(lines, event="use", clock=2))
            lines.insert(at, other(lines[at], version=0))

        def no_weights(lines):
            lines.remove(first(lines, event="use", clock=2))

        spoils = (another_version, to_another_worker, from_a_snapshot, two_versions, no_weights)
        self.spoiled("served", ARRIVAL, arrival(), *spoils)

    def test_snapshot(self):
        def changed(lines):
            first(reversed(lines), event="serve", snapshot=1)["version"] -= 1

        self.spoiled("snapshot", ARRIVAL, arrival(), changed)

    def test_exactly_once(self):
        def never_settled(lines):
            lines.remove(first(lines, event="settle", worker=1, clock=3))

        def settled_twice(lines):
            at = lines.index(first(lines, event="settle", clock=1))
            lines.insert(at + 1, other(lines[at], version=lines[at]["version"] + 1))

        def settled_twice_and_dropped(lines):
            at = lines.index(first(lines, event="settle", clock=1))
            lines.insert(at + 1, other(lines[at], fate=3))

        def never_pushed(lines):
            lines.remove(first(lines, event="push", clock=1))

        def pushed_twice(lines):
            at = lines.index(first(lines, event="push", clock=1))
            lines.insert(at + 1, other(lines[at]))

        def at_another_shard(lines):
            first(lines, event="settle", slice=1, clock=1)["node"] = "server-0"

        def other_samples(lines):
            first(lines, event="settle", clock=1)["samples"] += 1

        def repeat_of_nothing(lines):
            repeat = first(lines, event="repeat", clock=1)
            lines.remove(repeat)
            lines.insert(lines.index(first(lines, event="settle", worker=0, clock=1)), repeat | {"worker": 1})

        def after_its_death(lines):
            settle = first(lines, event="settle", worker=1, clock=3)
            lines.remove(settle)
            lines.append(settle)

        def out_of_order(lines):
            a = first(lines, event="settle", worker=0, slice=0, clock=1)
            b = first(lines, event="settle", worker=0, slice=0, clock=2)
            a["clock"], b["clock"] = 2, 1

        spoils = (never_settled, settled_twice, settled_twice_and_dropped, never_pushed, pushed_twice)
        self.spoiled("exactly once", ARRIVAL, arrival(), *spoils)
        spoils = (at_another_shard, other_samples, repeat_of_nothing, after_its_death, out_of_order)
        self.spoiled("exactly once", ARRIVAL, arrival(), *spoils)

    def test_exactly_once_across_a_death(self):
        def nobody_took_it(lines):
            lines.remove(first(lines, event="repeat"))

        def both_took_it(lines):
            repeat = first(lines, event="repeat")
            at = lines.index(first(lines, event="apply", clock=1, slice=0))
            lines.insert(at, repeat | {"event": "settle", "fate": 1, "version": 2, "age": 0, "samples": 8, "rule_epoch": 1})

        def death_forgotten(lines):
            lines[:] = [line for line in lines if line["event"] != "inactive" or line["worker"] != 1]

        self.spoiled("exactly once", BSP, bsp(die_at=1), nobody_took_it)
        self.spoiled("leaves", BSP, bsp(die_at=1), both_took_it)
        self.spoiled("exactly once", ARRIVAL, arrival(die_at=1), death_forgotten)

    def test_version(self):
        def skipped(lines):
            first(lines, event="settle", clock=1)["version"] += 1

        def rose_without_samples(lines):
            first(lines, event="settle", fate=5)["version"] += 1

        def served_before_it_was(lines):
            first(lines, event="serve", clock=2)["version"] += 1

        def snapshot_of_the_future(lines):
            first(lines, event="serve", snapshot=1)["version"] = 99

        def aggregate_skips(lines):
            first(lines, event="apply", clock=1)["version"] += 1

        def aggregate_changes_nothing(lines):
            first(lines, event="apply", clock=1)["version"] -= 1

        self.spoiled("version", ARRIVAL, arrival(), skipped, rose_without_samples, served_before_it_was)
        self.spoiled("version", ARRIVAL, arrival(), snapshot_of_the_future)
        self.spoiled("version", BSP, bsp(), aggregate_skips, aggregate_changes_nothing)

    def test_age(self):
        def wrong_age(lines):
            first(lines, event="settle", clock=2)["age"] += 1

        self.spoiled("age", ARRIVAL, arrival(), wrong_age)
        self.spoiled("age", BSP, bsp(), wrong_age)

    def test_tick(self):
        def before_a_settle(lines):
            first(lines, event="settle", clock=2)["t"] = 10**9

        def before_a_push(lines):
            lines[:] = [line for line in lines if (line.get("slice"), line.get("clock")) != (2, 3)]

        def lost_settle(lines):
            lines.remove(first(lines, event="settle", clock=2))

        self.spoiled("tick", ARRIVAL, arrival(), before_a_settle, before_a_push)
        self.spoiled("tick", BSP, bsp(), before_a_settle, lost_settle)

    def test_leaves(self):
        def twice(lines):
            at = lines.index(first(lines, event="apply", clock=1))
            lines.insert(at + 1, other(lines[at], version=3))

        def out_of_order(lines):
            a, b = (first(lines, event="apply", slice=0, clock=clock) for clock in (1, 2))
            a["clock"], b["clock"] = 2, 1

        def one_missing(lines):
            lines.remove(first(lines, event="settle", clock=1))

        def one_again(lines):
            first(lines, event="settle", clock=1, index=1)["index"] = 2

        def overlapping(lines):
            first(lines, event="settle", clock=1, index=0)["level"] = 1

        def no_such_leaf(lines):
            first(lines, event="settle", clock=1, index=2)["index"] = 3

        def never_applied(lines):
            lines.remove(first(lines, event="apply", clock=2))

        def of_nothing(lines):
            lines[:] = [line for line in lines if (line["event"], line.get("clock")) != ("settle", 2)]

        def node_on_arrival(lines):
            first(lines, event="push")["index"] = 1

        def aggregate_on_arrival(lines):
            apply = {"seed": 1, "t": 0, "node": "server-0", "event": "apply", "clock": 1, "slice": 0, "version": 1}
            lines.append(apply)

        self.spoiled("leaves", BSP, bsp(), twice, out_of_order, one_missing, one_again, overlapping, no_such_leaf)
        self.spoiled("leaves", BSP, bsp(), never_applied, of_nothing)
        self.spoiled("leaves", ARRIVAL, arrival(), node_on_arrival, aggregate_on_arrival)

    def test_range(self):
        def unknown_worker(lines):
            first(lines, event="active", worker=1)["worker"] = 2

        def unknown_slice(lines):
            first(lines, event="serve")["slice"] = 3

        def anothers_log(lines):
            first(lines, event="push", worker=1)["node"] = "worker-0"

        def cut_into_more(lines):
            first(lines, event="placed", node="server-1")["slices"] = 4

        def cut_otherwise(lines):
            first(lines, event="placed", node="worker-1")["placement"] += 1

        self.spoiled("range", ARRIVAL, arrival(), unknown_worker, unknown_slice, anothers_log, cut_into_more, cut_otherwise)


class Lines(TraceTest):
    def test_lines_that_are_none(self):
        good = json.dumps(first(arrival(), event="tick"))
        for bad in (
            "",
            "not json",
            "[]",
            "17",
            good[:-1],
            good + good,
            good.replace('"clock": 0', '"clock": 0.5'),
            good.replace('"clock": 0', '"clock": "0"'),
            good.replace('"clock": 0', '"clock": null'),
            good.replace('"clock"', '"clocks"'),
            good.replace('"tick"', '"tock"'),
            good.replace('"scheduler"', '"scheduler-x"'),
            good.replace('"scheduler"', '"server-0"'),
            good.replace('"scheduler"', '"worker"'),
        ):
            with self.subTest(line=bad):
                lines = text_of(arrival())
                at = lines.index("\n") + 1
                self.assertNotEqual(bad, good)
                self.caught("line", ARRIVAL, {"all.jsonl": lines[:at] + bad + "\n" + lines[at:]})
                self.caught("line", ARRIVAL, {"all.jsonl": bad + "\n" + lines})

    def test_seeds_stand_together(self):
        self.caught("line", ARRIVAL, {"all.jsonl": text_of(arrival(1) + arrival(2) + arrival(1))})

    def test_nothing_to_check_is_no_pass(self):
        code, output = check(ARRIVAL, {})
        self.assertEqual(code, 1, output)
        code, output = check(ARRIVAL, {"all.jsonl": ""})
        self.assertEqual(code, 1, output)
        self.caught("line", ARRIVAL, {"all.jsonl": text_of([first(arrival(), event="active")])})

    def test_a_description_is_checked(self):
        code, output = check({"mode": "bsp"}, {"all.jsonl": ""})
        self.assertEqual(code, 2)
        self.assertIn("check_trace:", output)
        code, output = check(ARRIVAL | {"boundd": 3}, {"all.jsonl": ""})
        self.assertEqual(code, 2)


if __name__ == "__main__":
    unittest.main()
