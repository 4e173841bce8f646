"""Rules over the scheduler's log: clocks, grants, and the staleness of every granted step.

The clocks of the active workers are computed again from the lines `active`, `inactive` and `tick`, in the
order of the log; the staleness of a step is its clock minus the least of them when it was granted.
"""

from collections import defaultdict

from commit_rules import Ledger
from trace_lines import Active, Commit, Contributor, Epoch, Grant, Inactive, Tick


class Schedule:
    """What the scheduler's log says, for the rules over other logs."""

    def __init__(self, run, setting):
        self.ledger = Ledger(run, setting)  # of commits, in a mode that has them
        self.overtakes = setting.backups is not None
        self.clocks = {}  # of the active workers
        self.starts = {}  # where each of them began in this life
        self.granted = {}  # highest clock granted to each of them in this life
        self.grants = {}  # (worker, clock) -> Grant, the latest life's
        self.ticks = {}  # (worker, clock) -> Tick
        self.epochs = []  # Epoch lines
        self.ends = defaultdict(list)  # worker -> clock at which each of its lives ended
        self.staleness_max = 0

    def lives_ended_by(self, worker, clock):
        """How many lives of a worker may have left a push of `clock` behind, unsettled."""
        if self.overtakes and (worker, clock) not in self.ticks:  # whatever clock it was moved to meanwhile
            return len(self.ends.get(worker, ()))
        return sum(end <= clock for end in self.ends.get(worker, ()))


def check_schedule(run, setting):
    schedule = Schedule(run, setting)
    steps = {Active: _active, Inactive: _inactive, Tick: _tick, Grant: _grant, Commit: _commit}
    for event in run.logs.get("scheduler", ()):
        if type(event) is Contributor:
            continue  # taken together with its commit
        if type(event) is Epoch:
            schedule.epochs.append(event)
            continue
        if type(event) is not Commit and event.worker >= setting.workers:
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
    schedule.starts[worker] = event.clock
    schedule.granted[worker] = event.clock - 1
    schedule.ledger.started(event)


def _inactive(run, setting, schedule, event):
    clock = schedule.clocks.pop(event.worker, None)
    if clock != event.clock:
        run.violate("clock", f"ends at {event.clock}, its clock is {clock}", event)
    schedule.ends[event.worker].append(event.clock if clock is None else clock)
    schedule.ledger.ended(event.worker)


def _commit(run, setting, schedule, event):
    if not setting.committed:
        run.violate("commit", "in a mode without commits", event)
        return
    schedule.ledger.commit(event, schedule)


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
    lowest = setting.bound if setting.bound_low is None else setting.bound_low
    if not lowest <= bound <= setting.bound:
        run.violate("staleness", f"under bound {bound}, the job's is {lowest} to {setting.bound}", event)
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
