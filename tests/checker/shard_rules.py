"""Rules over the shards' logs: what is served is what is there, with its floor; each push is settled once.

Each shard's log is followed in its own order. What it settled and served is kept for the rules over the
workers' logs (worker_rules.py).
"""

from collections import defaultdict

from commit_rules import CommittedFloors
from floors import AggregateFloors, ArrivalFloors
from kept_reads import KeptReads
from seal_rules import Lives
from trace_lines import (
    ACCEPTED,
    APPLIED,
    FENCED,
    Active,
    Apply,
    Contribution,
    Drop,
    Inactive,
    Placed,
    Repeat,
    Sealed,
    Serve,
    Settle,
)


class Shards:
    """What the shards' logs say together."""

    def __init__(self):
        self.owners = {}  # slice -> the shard that speaks of it
        self.settles = {}  # (worker, clock, slice, level, index) -> Settle
        self.repeats = set()  # the same key
        self.served = set()  # (worker, slice, version, floor)
        self.contributions = {}  # (worker, clock, slice) -> Contribution
        self.answers = defaultdict(dict)  # (worker, life) -> {shard: its first Sealed}
        self.age_max = 0


def check_shards(run, setting, schedule):
    shards = Shards()
    for node in run.nodes("server"):
        ShardRules(run, setting, schedule, shards, node).follow(run.logs[node])
    return shards


def _floors(run, setting, schedule):
    if setting.committed:
        return CommittedFloors(run, setting, schedule)
    return (AggregateFloors if setting.aggregate else ArrivalFloors)(run, setting)


class ShardRules:
    def __init__(self, run, setting, schedule, shards, node):
        self.run, self.setting, self.shards, self.node = run, setting, shards, node
        self.floors = _floors(run, setting, schedule)
        self.lives = Lives(run, setting, self.floors, shards.answers)
        self.snapshots = {}  # (snapshot, slice) -> Serve
        self.kept = KeptReads(run, schedule) if setting.compensated else None
        self.lives_of_shard = 0
        self.untold = None  # after a return: workers that were active, by life, and that it has not named again

    def follow(self, log):
        steps = {
            Placed: self.placed,
            Serve: self.serve,
            Settle: self.settle,
            Apply: self.apply,
            Repeat: self.repeat,
            Contribution: self.contribution,
            Drop: self.drop,
            Active: self.active,
            Inactive: self.inactive,
            Sealed: self.lives.sealed,
        }
        for event in log:
            if self.untold and type(event) is not Active:
                self.end_return(event)
            steps[type(event)](event)
        self.floors.finish()

    def placed(self, event):
        """A shard that comes back goes on with what it had; it is told again who is active, and holds no snapshot."""
        self.run.placed(event, self.setting.slices)
        self.lives_of_shard += 1
        if self.lives_of_shard == 1:
            return
        self.snapshots.clear()
        self.untold = {worker: self.lives.newest[worker] for worker in self.lives.active_ones}

    def end_return(self, event):
        untold, self.untold = self.untold, None
        for worker in untold:
            self.inactive(Inactive(event.node, event.t, worker, 0))

    def active(self, event):
        if self.untold and event.worker in self.untold:
            if self.untold.pop(event.worker) == event.life:
                return
            self.inactive(Inactive(event.node, event.t, event.worker, 0))
        self.lives.active(event)
        self.floors.active(event)

    def inactive(self, event):
        self.lives.inactive(event)
        self.floors.inactive(event)

    def own(self, event):
        owner = self.shards.owners.setdefault(event.slice, self.node)
        if owner is not self.node:
            self.run.violate("exactly once", f"slice {event.slice} belongs to {owner}", event)
        if event.slice >= self.setting.slices:
            self.run.violate("range", f"a slice of {self.setting.slices}", event)

    def serve(self, event):
        self.own(event)
        node, t, worker, clock, slice_id, version, floor, snapshot, wanted = event
        if snapshot:
            first = self.snapshots.setdefault((snapshot, slice_id), event)
            if (first.version, first.floor) != (version, floor):
                self.run.violate("snapshot", "a fixed snapshot changed", first, event)
            if version > self.floors.versions[slice_id]:
                self.run.violate("version", f"only {self.floors.versions[slice_id]} were applied", event)
            return
        if floor < wanted and self.lives.active_ones:  # with nobody active nothing more can come
            self.run.violate("served", f"floor {floor}, it was asked for {wanted}", event)
        if self.kept is not None and self.kept.repeated(event):
            return
        true, least = self.floors.holds(slice_id, floor)
        if not true:
            self.run.violate("floor", f"served with floor {floor}, it is {least}", event)
        if version != self.floors.versions[slice_id]:
            self.run.violate("version", f"served {version}, {self.floors.versions[slice_id]} were applied", event)
        self.shards.served.add((worker, slice_id, version, floor))

    def settle(self, event):
        if event.fate == FENCED:
            return  # refused: whoever still lives has the push settled another time
        self.own(event)
        key = (event.worker, event.clock, event.slice, event.level, event.index)
        first = self.shards.settles.setdefault(key, event)
        if first is not event:
            self.run.violate("exactly once", "settled twice", first, event)
        self.lives.settle(event)
        if self.kept is not None:
            self.kept.settle(event)
        if event.fate == APPLIED and event.age > self.shards.age_max:
            self.shards.age_max = event.age
        self.floors.settle(event)

    def apply(self, event):
        self.own(event)
        self.floors.apply(event)

    def contribution(self, event):
        self.own(event)
        if not self.setting.committed:
            self.run.violate("commit", "in a mode without commits", event)
            return
        self.shards.contributions[event.worker, event.clock, event.slice] = event
        if event.fate == ACCEPTED and event.age > self.shards.age_max:
            self.shards.age_max = event.age
        self.floors.contribution(event)

    def drop(self, event):
        self.own(event)
        if not self.setting.committed:
            self.run.violate("commit", "in a mode without commits", event)
            return
        self.floors.drop(event)

    def repeat(self, event):
        self.own(event)
        self.lives.heard(event)
        self.shards.repeats.add((event.worker, event.clock, event.slice, event.level, event.index))
        self.floors.repeat(event)
