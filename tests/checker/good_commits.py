"""As good_traces.py, of modes whose updates are committed."""

from good_traces import Trace

ACCEPTED, DROPPED = 2, 3
SLICES = 2  # slice s on server-s


class Committed(Trace):
    """A toy of the protocol in which shards accept pushes and apply commits."""

    def __init__(self, seed, workers, local_steps=0):
        super().__init__(seed)
        self.local_steps = local_steps  # of every push
        self.floor = 0
        self.versions = [0] * SLICES
        self.used = {}
        for worker in range(workers):
            self.add("scheduler", "active", worker=worker, clock=0)
            self.all_shards(SLICES, "active", worker=worker, clock=0)

    def begin(self, worker, clock, bound, least):
        self.grant(worker, clock, bound, least)
        for s in range(SLICES):
            weights = dict(worker=worker, clock=clock, slice=s, version=self.versions[s], floor=self.floor)
            self.add(f"server-{s}", "serve", **weights, snapshot=0)
            self.add(f"worker-{worker}", "use", **weights, bound=bound)
        self.used[worker, clock] = list(self.versions)

    def push(self, worker, clock, slices=range(SLICES), fate=ACCEPTED):
        for s in slices:
            name = dict(worker=worker, clock=clock, slice=s, level=0, index=0)
            self.add(f"worker-{worker}", "push", **name, samples=8, local_steps=self.local_steps)
            self.add(f"server-{s}", "settle", **name, fate=fate, version=0, age=0, samples=8)
            self.add(f"server-{s}", "repeat", **name)

    def tick(self, worker, clock):
        self.add("scheduler", "tick", worker=worker, clock=clock)

    def step(self, worker, clock, bound, least):
        self.begin(worker, clock, bound, least)
        self.push(worker, clock)
        self.tick(worker, clock)

    def commit(self, floor, *steps, dropped=()):
        """`dropped`: (worker, clock, slice) that were accepted and come too late."""
        number = self.versions[0] + 1
        self.add("scheduler", "commit", number=number, floor=floor)
        for worker, clock in steps:
            self.add("scheduler", "contributor", number=number, worker=worker, clock=clock)
        for s in range(SLICES):
            for worker, clock in steps:
                age = number - 1 - self.used[worker, clock][s]
                self.add(f"server-{s}", "contribution", number=number, worker=worker, clock=clock, slice=s, age=age,
                         fate=ACCEPTED, samples=8)
            self.add(f"server-{s}", "apply", clock=floor, slice=s, version=number)
            for worker, clock, slice_id in dropped:
                if slice_id == s:
                    self.add(f"server-{s}", "drop", worker=worker, clock=clock, slice=s)
            self.versions[s] = number
        self.floor = floor

    def end(self, worker, clock):
        self.add("scheduler", "inactive", worker=worker, clock=clock)
        self.all_shards(SLICES, "inactive", worker=worker, clock=0)


BACKUP = {"mode": "backup:1", "bound": 0, "aggregate": False, "workers": 3, "slices": 2, "leaves": 1, "backups": 1}


def backup(seed=1, dies=False):
    """Three workers, of which two are waited for. Worker 2 needs two clocks for its first step, of which one push
    comes before its clock is closed and one after; in clock 2 worker 1 is the late one.

    With `dies`, worker 1 dies then: one of its pushes is lost, and the other is dropped.
    """
    trace = Committed(seed, 3)
    trace.begin(2, 0, 0, 0)
    for worker in (0, 1):
        trace.step(worker, 0, 0, 0)
    trace.push(2, 0, slices=[0])
    trace.commit(1, (0, 0), (1, 0), dropped=[(2, 0, 0)])
    for worker in (0, 1):
        trace.step(worker, 1, 0, 1)
    trace.push(2, 0, slices=[1], fate=DROPPED)
    trace.commit(2, (0, 1), (1, 1))
    trace.tick(2, 0)
    for worker in (0, 1, 2):
        trace.begin(worker, 2, 0, 2)
    for worker in (0, 2):
        trace.push(worker, 2)
    trace.push(1, 2, slices=[0] if dies else [0, 1])
    for worker in (2, 0):
        trace.tick(worker, 2)
    if dies:
        trace.add("worker-1", "push", worker=1, clock=2, slice=1, level=0, index=0, samples=8,
                  local_steps=0)
        trace.commit(3, (0, 2), (2, 2), dropped=[(1, 2, 0)])
    else:
        trace.commit(3, (0, 2), (2, 2), dropped=[(1, 2, 0), (1, 2, 1)])
        trace.tick(1, 2)
    for worker in (0, 1, 2):
        trace.end(worker, 3)
    return trace.lines


SOFTSYNC = {"mode": "softsync:1", "bound": -1, "aggregate": False, "workers": 2, "slices": 2, "leaves": 1, "splits": 1}


# Two steps of four samples a push.
LOCAL = {**SOFTSYNC, "mode": "local:2+softsync:1", "local_steps": 2, "batch": 4}


def softsync(seed=1, dies=False, local_steps=0):
    """An update from every two pushes; worker 0 is the faster one, and the last update has one push alone.

    With `dies`, worker 1 dies instead when its second step is accepted: that counts in no update, and the floor
    that rises with its death is committed at the end.
    """
    trace = Committed(seed, 2, local_steps)
    trace.begin(1, 0, -1, 0)
    trace.step(0, 0, -1, 0)
    trace.step(0, 1, -1, 0)
    trace.commit(0, (0, 0), (0, 1))
    trace.push(1, 0)
    trace.tick(1, 0)
    trace.step(0, 2, -1, 1)
    trace.commit(1, (0, 2), (1, 0))
    trace.step(1, 1, -1, 1)
    if dies:
        trace.end(1, 2)
        trace.commit(3, dropped=[(1, 1, 0), (1, 1, 1)])
    else:
        trace.commit(2, (1, 1))
        trace.end(1, 2)
    trace.end(0, 3)
    return trace.lines
