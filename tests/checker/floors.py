"""The floor of each slice at one shard, computed again: the least clock settled over the active workers.

On arrival every worker has a mark for every slice, one above the last clock of its that was settled, at first
the clock at which it became active; the floor is the least mark. With nobody active nothing is outstanding,
and any floor from the last one on is true. In an aggregate mode a slice has one mark for all: one above the
last clock that was applied, or given up because a gradient was not finite.
"""

from collections import Counter, defaultdict

from leaves import partition_fault, span
from trace_lines import APPLIED, EMPTY, NON_FINITE


class ArrivalFloors:
    def __init__(self, run, setting):
        self.run = run
        self.starts = {}  # of the active workers
        self.marks = {}  # slice -> {worker: mark}
        self.past = defaultdict(int)  # worker -> the highest mark that an earlier life of it left
        self.last = defaultdict(int)  # slice -> floor when the last active worker left
        self.versions = Counter()

    def _marks(self, slice_id):
        if slice_id not in self.marks:
            self.marks[slice_id] = dict(self.starts)
        return self.marks[slice_id]

    def active(self, event):
        settled = max([self.past[event.worker], *(marks.get(event.worker, 0) for marks in self.marks.values())])
        if event.clock < settled:
            self.run.violate("clock", f"starts below {settled}, to which this shard has settled it", event)
        self.starts[event.worker] = event.clock
        for marks in self.marks.values():
            marks[event.worker] = event.clock

    def inactive(self, event):
        self.starts.pop(event.worker, None)
        for slice_id, marks in self.marks.items():
            if len(marks) == 1:
                self.last[slice_id] = max(self.last[slice_id], *marks.values())
            self.past[event.worker] = max(self.past[event.worker], marks.pop(event.worker, 0))

    def settle(self, event):
        slice_id = event.slice
        marks = self._marks(slice_id)
        mark = marks.get(event.worker)
        if mark is None:
            self.run.violate("exactly once", "settled for a worker that is not active at this shard", event)
        elif event.clock != mark:
            self.run.violate("exactly once", f"settles step {event.clock} where {mark} is due", event)
        if mark is not None:
            marks[event.worker] = max(mark, event.clock + 1)
        if event.fate == APPLIED:
            self.versions[slice_id] += 1
        if event.version != self.versions[slice_id]:
            self.run.violate("version", f"says {event.version}, {self.versions[slice_id]} were applied", event)
            self.versions[slice_id] = event.version

    def apply(self, event):
        self.run.violate("leaves", "an aggregate in a run without aggregates", event)

    def repeat(self, event):
        mark = self._marks(event.slice).get(event.worker)
        if mark is not None and event.clock >= mark:
            self.run.violate("exactly once", "called a repeat, but never settled", event)

    def holds(self, slice_id, floor):
        """Whether a floor is true, and what it should be."""
        marks = self._marks(slice_id)
        if marks:
            least = min(marks.values())
            return floor == least, least
        return floor >= self.last[slice_id], self.last[slice_id]

    def finish(self):
        pass


class Aggregate:
    """What one shard said of one slice's pushes of one clock."""

    def __init__(self):
        self.settles = []
        self.covered = 0  # leaves
        self.event = None  # the Apply
        self.version_before = 0

    def changes_weights(self):
        """A gradient that is not finite spoils an aggregate, and one without samples has nothing to apply."""
        fates = {settle.fate for settle in self.settles}
        return APPLIED in fates and NON_FINITE not in fates


class AggregateFloors:
    def __init__(self, run, setting):
        self.run = run
        self.setting = setting
        self.start = None  # the clock of the first aggregate
        self.due = {}  # slice -> clock of its next aggregate
        self.versions = Counter()
        self.aggregates = defaultdict(Aggregate)  # by (slice, clock)

    def _due(self, slice_id):
        return self.due.setdefault(slice_id, self.start or 0)

    def active(self, event):
        if not self.due:
            self.start = event.clock if self.start is None else min(self.start, event.clock)

    def inactive(self, event):
        pass  # its nodes go to others

    def settle(self, event):
        due = self._due(event.slice)
        if event.clock not in (due, due - 1):  # just before or just after the line of its aggregate
            self.run.violate("leaves", f"settles step {event.clock} where {due} is due", event)
        if event.fate not in (APPLIED, NON_FINITE, EMPTY):
            self.run.violate("leaves", f"fate {event.fate} in a mode that waits for all", event)
        aggregate = self.aggregates[event.slice, event.clock]
        aggregate.settles.append(event)
        leaves = span(event.level, event.index, self.setting.leaves)
        if leaves is not None:
            aggregate.covered += leaves[1] - leaves[0]
        if aggregate.covered >= self.setting.leaves and not aggregate.changes_weights():
            self.due[event.slice] = max(due, event.clock + 1)

    def apply(self, event):
        aggregate = self.aggregates[event.slice, event.clock]
        due = self._due(event.slice)
        if aggregate.event is not None:
            self.run.violate("leaves", "applied twice", aggregate.event, event)
            return
        if event.clock != due:
            self.run.violate("leaves", f"applies clock {event.clock} where {due} is due", event)
        aggregate.event, aggregate.version_before = event, self.versions[event.slice]
        if event.version != aggregate.version_before + 1:
            self.run.violate("version", f"says {event.version}, {aggregate.version_before} were applied before", event)
        self.versions[event.slice] = event.version
        self.due[event.slice] = max(due, event.clock + 1)

    def repeat(self, event):
        pass  # the rules over pushes ask for the one that was settled

    def last_settled(self):
        """slice -> clock"""
        return {slice_id: due - 1 for slice_id, due in self.due.items()}

    def holds(self, slice_id, floor):
        due = self._due(slice_id)
        return floor == due, due

    def finish(self):
        """What can be said of an aggregate once the whole log is known."""
        for (slice_id, clock), aggregate in self.aggregates.items():
            self._check(f"clock {clock} of slice {slice_id}", aggregate)

    def _check(self, name, aggregate):
        event, settles = aggregate.event, aggregate.settles
        lines = [*settles, event] if event else settles
        if event is None and aggregate.changes_weights():
            self.run.violate("leaves", f"{name}: settled as applied, and no line applies it", *lines)
        if event is not None and not aggregate.changes_weights():
            self.run.violate("leaves", f"{name}: applied, and no push says so", *lines)
        fault = partition_fault([(settle.level, settle.index) for settle in settles], self.setting.leaves)
        if fault is not None:
            self.run.violate("leaves", f"{name}: {fault}", *lines)
        for settle in settles:
            if event is not None and settle.fate == APPLIED and settle.version != event.version:
                self.run.violate("version", "a push and its aggregate differ", settle, event)
