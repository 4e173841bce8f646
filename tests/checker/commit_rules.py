"""Rules over commits: which steps make which update, and that every slice makes its updates of the same ones.

In a mode whose updates are committed (`backups` or `splits` in the run's description) the scheduler names, for
each update, the steps whose pushes are in it. A shard settles a push by accepting it, or by dropping it where
its clock is closed; what it accepted is later a contribution to one update, or dropped.
"""

from collections import defaultdict

from trace_lines import ACCEPTED, DROPPED, EMPTY, NON_FINITE, Contributor


class Ledger:
    """The scheduler's commits, followed in the order of its log."""

    def __init__(self, run, setting):
        self.run, self.setting = run, setting
        self.floors = {}  # number -> floor
        self.members = defaultdict(list)  # number -> its Contributor lines
        for event in run.logs.get("scheduler", ()):
            if type(event) is Contributor:
                self.members[event.number].append(event)
        self.done = {}  # worker -> its first clock that is in no commit
        self.due = {}  # (worker, clock) -> Tick: to be in a commit, unless its worker dies
        self.lost = set()  # (worker, clock): whose worker did
        self.small = None  # a commit of too few; only the last one may be

    def started(self, event):
        self.done[event.worker] = event.clock

    def ended(self, worker):
        self.done.pop(worker, None)
        self.lost |= {key for key in self.due if key[0] == worker}
        self.due = {key: tick for key, tick in self.due.items() if key[0] != worker}

    def commit(self, event, schedule):
        """The clocks of the active workers, which backup moves on, are the schedule's."""
        run, number, members = self.run, event.number, self.members[event.number]
        if number != len(self.floors) + 1:
            run.violate("commit", f"number {number} after {len(self.floors)}", event)
        if self.small is not None:
            run.violate("commit", "too few steps, and another commit follows", self.small, event)
        self.floors[number] = event.floor
        steps = [(member.worker, member.clock) for member in members]
        if steps != sorted(set(steps)):
            run.violate("commit", "its steps are not in order, or not different", event, *members)
        for member in members:
            self._contributor(member, schedule)
        needed = self._needed(len(schedule.clocks))
        if len(members) > needed:
            run.violate("commit", f"{len(members)} steps, {needed} are enough", event, *members)
        if len(members) < needed:
            self.small = event
        if self.setting.backups is not None:
            for worker in self.done:
                self.done[worker] = max(self.done[worker], number)
                schedule.clocks[worker] = max(schedule.clocks[worker], number)
        least = min(self.done.values(), default=event.floor)
        if event.floor != least:
            run.violate("commit", f"floor {event.floor}, it is {least}", event)

    def _needed(self, workers):
        if self.setting.backups is not None:
            return max(workers - self.setting.backups, 1)
        return max(workers // self.setting.splits, 1)

    def _contributor(self, member, schedule):
        key = (member.worker, member.clock)
        if key not in self.due:
            self.run.violate("commit", "a step that is not accepted, or is in a commit already", member)
            return
        del self.due[key]
        if self.setting.backups is not None and member.clock != member.number - 1:
            self.run.violate("commit", "a step of another clock", member)
        if member.clock != self.done[member.worker]:
            self.run.violate("commit", f"step {self.done[member.worker]} of this worker comes first", member)
        self.done[member.worker] = member.clock + 1

    def finish(self):
        if self.setting.complete:
            for tick in self.due.values():
                self.run.violate("commit", "an accepted step that is in no update", tick)


class CommittedFloors:
    """What one shard has accepted and applied; see floors.py for the other modes."""

    def __init__(self, run, setting, schedule):
        self.run, self.setting, self.schedule = run, setting, schedule
        self.active_workers = set()
        self.versions = defaultdict(int)  # slice -> number of its last commit
        self.floors = defaultdict(int)
        self.last = {}  # (worker, slice) -> last clock settled
        self.accepted = {}  # (worker, clock, slice) -> Settle
        self.parts = defaultdict(list)  # slice -> contributions to its next update

    def active(self, event):
        self.active_workers.add(event.worker)
        for (worker, _), clock in self.last.items():
            if worker == event.worker and event.clock <= clock:
                self.run.violate("clock", f"starts at a clock that this shard had settled: {clock}", event)

    def inactive(self, event):
        self.active_workers.discard(event.worker)

    def settle(self, event):
        worker, clock, slice_id = event.worker, event.clock, event.slice
        if worker not in self.active_workers:
            self.run.violate("exactly once", "settled for a worker that is not active at this shard", event)
        if clock <= self.last.get((worker, slice_id), -1):
            self.run.violate("exactly once", "settles a step again, or one before it", event)
        self.last[worker, slice_id] = clock
        late = clock < self.floors[slice_id]
        if event.fate not in ((DROPPED,) if late else (ACCEPTED, NON_FINITE, EMPTY)):
            self.run.violate("commit", f"fate {event.fate} at floor {self.floors[slice_id]}", event)
        if not late:
            self.accepted[worker, clock, slice_id] = event

    def contribution(self, event):
        settle = self._take(event)
        if settle is not None and (settle.fate, settle.samples) != (event.fate, event.samples):
            self.run.violate("commit", "not the push that was accepted", settle, event)
        if event.number != self.versions[event.slice] + 1:
            self.run.violate("commit", f"the update due is {self.versions[event.slice] + 1}", event)
        self.parts[event.slice].append(event)

    def apply(self, event):
        slice_id, number = event.slice, event.version
        parts = self.parts.pop(slice_id, [])
        if number != self.versions[slice_id] + 1:
            self.run.violate("version", f"update {number} after {self.versions[slice_id]}", event)
        if number not in self.schedule.ledger.floors:
            self.run.violate("commit", "an update that was never committed", event)
        elif event.clock != self.schedule.ledger.floors[number]:
            self.run.violate("commit", f"floor {self.schedule.ledger.floors[number]} was committed", event)
        members = self.schedule.ledger.members[number]
        if [(part.worker, part.clock) for part in parts] != [(member.worker, member.clock) for member in members]:
            self.run.violate("commit", "other steps than were committed", event, *parts, *members)
        self.versions[slice_id] = number
        self.floors[slice_id] = event.clock

    def drop(self, event):
        self._take(event)
        if event.clock >= self.floors[event.slice]:
            self.run.violate("commit", f"dropped, and its clock is open: {self.floors[event.slice]}", event)

    def _take(self, event):
        settle = self.accepted.pop((event.worker, event.clock, event.slice), None)
        if settle is None:
            self.run.violate("exactly once", "never accepted, or used or dropped before", event)
        return settle

    def repeat(self, event):
        if event.clock > self.last.get((event.worker, event.slice), -1):
            self.run.violate("exactly once", "called a repeat, but never settled", event)

    def holds(self, slice_id, floor):
        return floor == self.floors[slice_id], self.floors[slice_id]

    def finish(self):
        if not self.setting.complete:
            return
        made = len(self.schedule.ledger.floors)
        for slice_id, version in self.versions.items():
            if version != made:
                self.run.violate("commit", f"slice {slice_id} has {version} of {made} updates")
        for (worker, clock, slice_id), settle in self.accepted.items():
            # What its worker's death took out of the commits is dropped once the floor passes it.
            lost = (worker, clock) in self.schedule.ledger.lost and clock >= self.floors[slice_id]
            if not lost and not self.schedule.lives_ended_by(worker, clock):
                self.run.violate("commit", "accepted, and in no update", settle)
