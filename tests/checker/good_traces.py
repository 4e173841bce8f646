"""Small traces in which every promise is kept, made by a toy of the protocol, for check_trace_test.py to spoil.

Lines are dictionaries in the order of virtual time; each has a "seed".
"""

APPLIED, EMPTY = 1, 5


class Trace:
    def __init__(self, seed):
        self.seed = seed
        self.lines = []

    def add(self, node, event, **fields):
        if event in ("grant", "push", "settle"):
            fields.setdefault("rule_epoch", 1)
        if event == "active":
            fields.setdefault("life", 1)
        if event == "serve":
            fields.setdefault("wanted", fields["floor"])
        self.lines.append({"seed": self.seed, "t": len(self.lines) * 10, "node": node, "event": event, **fields})

    def all_placed(self, shards, workers, slices):
        for node in [f"server-{shard}" for shard in range(shards)] + [f"worker-{worker}" for worker in workers]:
            self.add(node, "placed", slices=slices, placement=0x1234)

    def begin(self, worker, clock, level=0, index=0, leaves=1):
        self.add(f"worker-{worker}", "begin", worker=worker, clock=clock, level=level, index=index, epoch=0,
                 first=8 * clock, count=8, leaves=leaves, rate=0.1, rule_epoch=1)

    def grant(self, worker, clock, bound, least, first=None, epoch=0):
        first = 8 * clock if first is None else first
        self.add("scheduler", "grant", worker=worker, clock=clock, bound=bound, min=least, epoch=epoch, first=first, count=8)

    def all_shards(self, shards, event, **fields):
        for shard in range(shards):
            self.add(f"server-{shard}", event, **fields)


ARRIVAL = {"mode": "ssp:1", "bound": 1, "aggregate": False, "workers": 2, "slices": 3, "leaves": 1, "rate": 0.1}
COMPENSATED = ARRIVAL | {"compensated": True}
DSSP = ARRIVAL | {"mode": "dssp:1..3", "bound": 3, "bound_low": 1}


def arrival(seed=1, die_at=None):
    """Two workers under ssp:1, three slices on two shards; worker 1 is slow, and in its last step has no samples.

    With `die_at`, worker 1 dies in that step, when the first of its pushes is settled and the others are lost.
    """
    trace = Trace(seed)
    steps = 4
    marks = {w: [0] * 3 for w in (0, 1)}
    versions = [0] * 3
    clocks = {0: 0, 1: 0}
    trace.all_placed(2, clocks, 3)
    for worker in (0, 1):
        trace.add("scheduler", "active", worker=worker, clock=0)
        trace.all_shards(2, "active", worker=worker, clock=0)

    def grant(worker, clock):
        trace.grant(worker, clock, 1, min(clocks.values()))

    def step(worker, clock, dies=False):
        samples = 0 if (worker, clock) == (1, steps - 1) else 8
        used = {}
        trace.begin(worker, clock)
        for s in range(3):
            floor = min(marks[w][s] for w in clocks)
            used[s] = versions[s]
            weights = dict(worker=worker, clock=clock, slice=s, version=used[s], floor=floor)
            trace.add(f"server-{s % 2}", "serve", **weights, snapshot=0)
            trace.add(f"worker-{worker}", "use", **weights, bound=1)
        yield
        for s in range(3):
            name = dict(worker=worker, clock=clock, slice=s, level=0, index=0)
            trace.add(f"worker-{worker}", "push", **name, samples=samples, local_steps=0)
            if dies and s > 0:
                continue
            versions[s] += samples > 0
            marks[worker][s] = clock + 1
            age = versions[s] - used[s] - (samples > 0)
            fate = APPLIED if samples else EMPTY
            trace.add(f"server-{s % 2}", "settle", **name, fate=fate, version=versions[s], age=age, samples=samples)
            trace.add(f"server-{s % 2}", "repeat", **name)
        if dies:
            end(worker)
            return
        trace.add("scheduler", "tick", worker=worker, clock=clock)
        clocks[worker] = clock + 1

    def end(worker):
        trace.add("scheduler", "inactive", worker=worker, clock=clocks.pop(worker))
        trace.all_shards(2, "inactive", worker=worker, clock=0)

    for clock in range(steps):
        # Worker 0 takes its step while worker 1 is still in the step before.
        if clock == 0:
            grant(0, 0)
            list(step(0, 0))
        if 1 in clocks:
            grant(1, clock)
            slow = step(1, clock, dies=clock == die_at)
            next(slow)
            if clock + 1 < steps:
                grant(0, clock + 1)
                list(step(0, clock + 1))
            list(slow)
        elif clock + 1 < steps:
            grant(0, clock + 1)
            list(step(0, clock + 1))
    for s in (0, 2):
        for _ in range(2):
            trace.add("server-0", "serve", worker=0, clock=4, slice=s, version=versions[s], floor=4, snapshot=1)
    for worker in list(clocks):
        end(worker)
    return trace.lines


def changed(bound=3, first=2, rate=0.05):
    """arrival(), but that bound and rate change when worker 0 was granted its second step: for steps from `first` on."""
    lines = arrival()
    at = next(i for i, line in enumerate(lines) if (line["event"], line.get("worker"), line.get("clock")) == ("grant", 0, 1))
    lines.insert(at + 1, {"seed": 1, "t": lines[at]["t"], "node": "scheduler", "event": "rules", "rule_epoch": 2,
                          "clock": first, "bound": bound, "least": bound, "rate": rate})
    for line in lines[at + 2:]:
        if line.get("clock", 0) < first:
            continue
        if "rule_epoch" in line:
            line["rule_epoch"] = 2
        if "bound" in line:
            line["bound"] = bound
        if "rate" in line:
            line["rate"] = rate
    return lines


BSP = {"mode": "bsp", "bound": 0, "aggregate": True, "workers": 2, "slices": 2, "leaves": 3}


def bsp(seed=1, die_at=None):
    """Two workers share three leaves: the nodes (0, 0) and (0, 1), (0, 2); one slice on each of two shards.

    With `die_at`, worker 1 dies in that step when slice 0 has its pushes and slice 1 has not; worker 0 computes
    both again.
    """
    trace = Trace(seed)
    nodes = {0: [(0, 0)], 1: [(0, 1), (0, 2)]}
    trace.all_placed(2, nodes, 2)
    for worker in nodes:
        trace.add("scheduler", "active", worker=worker, clock=0)
        trace.all_shards(2, "active", worker=worker, clock=0)

    def push(worker, clock, s, level, index):
        trace.add(f"worker-{worker}", "push", worker=worker, clock=clock, slice=s, level=level, index=index, samples=8,
                  local_steps=0)

    for clock in range(3):
        for worker in nodes:
            trace.grant(worker, clock, 0, clock)
            for node in nodes[worker]:
                trace.begin(worker, clock, *node, leaves=3)
            for s in range(2):
                weights = dict(slice=s, version=clock, floor=clock)
                trace.add(f"server-{s}", "serve", worker=worker, clock=clock, **weights, snapshot=0)
                trace.add(f"worker-{worker}", "use", worker=worker, clock=clock, bound=0, **weights)
        for s in range(2):
            for worker in nodes:
                for node in nodes[worker]:
                    push(worker, clock, s, *node)
        repeats = []
        owners = [dict(nodes), dict(nodes)]  # whose push each slice takes
        if clock == die_at:
            trace.add("scheduler", "inactive", worker=1, clock=clock)
            trace.all_shards(2, "inactive", worker=1, clock=0)
            lost = nodes.pop(1)
            trace.grant(0, clock, 0, clock)
            for node in lost:
                trace.begin(0, clock, *node, leaves=3)
            for s in range(2):
                for node in lost:
                    push(0, clock, s, *node)
            owners[1] = {0: nodes[0] + lost}
            repeats = [dict(worker=0, clock=clock, slice=0, level=level, index=index) for level, index in lost]
            nodes[0] = nodes[0] + lost
        for s in range(2):
            for worker, pushed in owners[s].items():
                for level, index in pushed:
                    name = dict(worker=worker, clock=clock, slice=s, level=level, index=index)
                    trace.add(f"server-{s}", "settle", **name, fate=APPLIED, version=clock + 1, age=0, samples=8)
            trace.add(f"server-{s}", "apply", clock=clock, slice=s, version=clock + 1)
        for repeat in repeats:
            trace.add("server-0", "repeat", **repeat)
        for worker in nodes:
            trace.add("scheduler", "tick", worker=worker, clock=clock)
    for worker in nodes:
        trace.add("scheduler", "inactive", worker=worker, clock=3)
        trace.all_shards(2, "inactive", worker=worker, clock=0)
    return trace.lines
