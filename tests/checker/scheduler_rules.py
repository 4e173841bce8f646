"""Rules over the scheduler's log: clocks, grants, rule epochs, and the staleness of every granted step.

The clocks of the active workers are computed again from the lines `active`, `inactive` and `tick`, in the
order of the log; the staleness of a step is its clock minus the least of them when it was granted.

A line `rules` begins a rule epoch: its bounds hold for steps from its clock on, which is above every step granted
so far. So no step is granted under rules that are older than those of its clock.
"""

from bisect import bisect_right
from collections import defaultdict
from typing import NamedTuple

from commit_rules import Ledger
from trace_lines import Active, Commit, Contributor, Epoch, Grant, Inactive, Rules, Tick


class RuleEpoch(NamedTuple):
    number: int
    first: int  # clock
    least: int  # bounds that grants may have, from this ...
    bound: int  # ... to that; -1 is none


class Left(NamedTuple):
    life: int
    grant: Grant
    dealt: int  # how many grants with samples there were then


class Schedule:
    """What the scheduler's log says, for the rules over other logs."""

    def __init__(self, run, setting):
        self.ledger = Ledger(run, setting)  # of commits, in a mode that has them
        self.overtakes = setting.backups is not None
        self.leased = setting.leased and not setting.committed  # what commits take is known without the shards
        self.clocks = {}  # of the active workers
        self.starts = {}  # where each of them began in this life
        self.granted = {}  # highest clock granted to each of them in this life
        self.grants = {}  # (worker, clock) -> Grant, the latest life's
        self.ticks = {}  # (worker, clock) -> Tick
        self.epochs = []  # Epoch lines
        self.lives = defaultdict(list)  # worker -> [Active]
        self.dealt = []  # grants with samples, in order
        self.left = []  # steps that a worker had in hand when a life of it ended
        self.ends = defaultdict(list)  # worker -> clock at which each of its lives ended
        self.staleness_max = 0
        least = setting.bound if setting.bound_low is None else setting.bound_low
        self.rules = [RuleEpoch(1, 0, least, setting.bound)]
        self.rates = {1: setting.rate}  # rule epoch -> that of its steps, where the schedule moves none

    def rules_at(self, clock):
        return self.rules[bisect_right(self.rules, clock, key=lambda rules: rules.first) - 1]

    def lives_ended_by(self, worker, clock):
        """How many lives of a worker may have left a push of `clock` behind, unsettled."""
        if self.overtakes and (worker, clock) not in self.ticks:  # whatever clock it was moved to meanwhile
            return len(self.ends.get(worker, ()))
        return sum(end <= clock for end in self.ends.get(worker, ()))


def check_schedule(run, setting):
    schedule = Schedule(run, setting)
    steps = {Active: _active, Inactive: _inactive, Tick: _tick, Grant: _grant, Rules: _rules, Commit: _commit}
    for event in run.logs.get("scheduler", ()):
        if type(event) is Contributor:
            continue  # taken together with its commit
        if type(event) is Epoch:
            schedule.epochs.append(event)
            continue
        if type(event) not in (Commit, Rules) and event.worker >= setting.workers:
            run.violate("range", f"a worker of {setting.workers}", event)
        steps[type(event)](run, setting, schedule, event)
    schedule.ledger.finish()
    if not schedule.grants and setting.complete:
        run.violate("line", "the scheduler's log grants nothing: there is nothing to check")
    return schedule


def _active(run, setting, schedule, event):
    clocks, worker = schedule.clocks, event.worker
    if worker in clocks:
        run.violate("clock", "active already", event)
    ends = schedule.ends.get(worker)
    if ends and event.clock < ends[-1]:
        run.violate("clock", f"the worker comes back before clock {ends[-1]}, where it ended", event)
    if clocks and event.clock < min(clocks.values()):
        run.violate("clock", f"starts below the least active clock {min(clocks.values())}", event)
    clocks[worker] = event.clock
    schedule.lives[worker].append(event)
    schedule.starts[worker] = event.clock
    schedule.granted[worker] = event.clock - 1
    schedule.ledger.started(event)


def _inactive(run, setting, schedule, event):
    clock = schedule.clocks.pop(event.worker, None)
    if clock is not None and schedule.leased:
        for step in range(clock, schedule.granted[event.worker] + 1):
            grant = schedule.grants.get((event.worker, step))
            if grant is not None and grant.count:
                schedule.left.append(Left(schedule.lives[event.worker][-1].life, grant, len(schedule.dealt)))
    if clock != event.clock:
        run.violate("clock", f"ends at {event.clock}, its clock is {clock}", event)
    schedule.ends[event.worker].append(event.clock if clock is None else clock)
    schedule.ledger.ended(event.worker)


def _commit(run, setting, schedule, event):
    if not setting.committed:
        run.violate("commit", "in a mode without commits", event)
        return
    schedule.ledger.commit(event, schedule)


def _rules(run, setting, schedule, event):
    last = schedule.rules[-1]
    # Where clocks are closed without a worker, its next step is above those that it was granted.
    highest = max((max(schedule.granted[worker], clock - 1) for worker, clock in schedule.clocks.items()), default=-1)
    first = max(highest + 1, last.first)
    if event.rule_epoch != last.number + 1:
        run.violate("rules", f"epoch {event.rule_epoch} after {last.number}", event)
    if event.clock != first:
        run.violate("rules", f"begin at clock {event.clock}; {first} is one above the highest step granted", event)
    if (setting.aggregate or setting.committed) and (event.least, event.bound) != (last.least, last.bound):
        run.violate("rules", "another bound in a mode whose updates are of several pushes", event)
    if event.clock == last.first:  # nobody was granted a step of those: they never hold
        schedule.rules.pop()
    schedule.rates[event.rule_epoch] = event.rate
    schedule.rules.append(RuleEpoch(event.rule_epoch, event.clock, event.least, event.bound))


def _tick(run, setting, schedule, event):
    clock = schedule.clocks.get(event.worker)
    if _is_late(setting, schedule, event, clock):
        schedule.ticks[event.worker, event.clock] = event
        return
    if clock != event.clock:
        run.violate("clock", f"a tick of step {event.clock} by a worker whose clock is {clock}", event)
    if clock is not None:
        schedule.clocks[event.worker] = max(clock, event.clock + 1)
        schedule.ticks[event.worker, event.clock] = event
        if setting.committed:
            schedule.ledger.due[event.worker, event.clock] = event
        if event.clock > schedule.granted[event.worker]:
            run.violate("grant", "a tick of a step that was not granted", event)


def _is_late(setting, schedule, event, clock):
    """backup: the step was in hand when its clock was closed without it."""
    key = (event.worker, event.clock)
    behind = clock is not None and event.clock < clock
    return setting.backups is not None and behind and key in schedule.grants and key not in schedule.ticks


def _grant(run, setting, schedule, event):
    worker, clock, bound, least_said = event.worker, event.clock, event.bound, event.min
    own = schedule.clocks.get(worker)
    if own is None:
        run.violate("grant", "to a worker that is not active", event)
        return
    granted = schedule.granted[worker]
    earlier = schedule.grants.get((worker, clock))
    if clock <= granted and earlier is not None:  # again, with nodes of a worker that died
        if event[4:] != earlier[4:]:
            run.violate("grant", "given twice, not the same", earlier, event)
        return

    least = min(schedule.clocks.values())
    if least_said != least:
        run.violate("staleness", f"says that the least active clock is {least_said}, it is {least}", event)
    rules = schedule.rules_at(clock)
    if event.rule_epoch != rules.number:
        run.violate("rules", f"granted under rules {event.rule_epoch}, those of clock {clock} are {rules.number}", event)
    if not rules.least <= bound <= rules.bound:
        run.violate("staleness", f"under bound {bound}, that of its rules is {rules.least} to {rules.bound}", event)
    if bound >= 0 and clock - least > bound:
        run.violate("staleness", f"{clock - least} at the grant, its bound is {bound}", event)
    if setting.backups is not None:  # the others may have left the worker behind
        if granted >= schedule.starts[worker] and (worker, granted) not in schedule.ticks:
            run.violate("grant", f"of step {clock}, and step {granted} is in hand", event)
    elif clock != granted + 1:
        run.violate("grant", f"of step {clock}, the one before was {granted}", event)
    if clock > own + 1:
        run.violate("grant", f"of step {clock}, the worker's clock is {own}: more than one ahead", event)
    schedule.staleness_max = max(schedule.staleness_max, clock - least)
    schedule.granted[worker] = max(clock, granted)
    schedule.grants[worker, clock] = event
    if schedule.leased and event.count:
        schedule.dealt.append(event)
