"""Rules over the workers' logs, joined with what scheduler and shards did: weights used were served and new
enough, each push was settled exactly once, and a tick comes after that."""

from collections import defaultdict

from trace_lines import ACCEPTED, APPLIED, Begin, Placed, Push


class Worker:
    """One worker's log, both indexed for the joins and already checked line by line."""

    def __init__(self):
        self.uses = defaultdict(list)  # (clock, slice) -> [Use], one a life
        self.pushes = {}  # (worker, clock, slice, level, index) -> [Push], one a life
        self.by_clock = defaultdict(list)  # clock -> keys of pushes
        self.last_clock = -1


def check_workers(run, setting, schedule, shards):
    workers = {}
    for node in run.nodes("worker"):
        rank = int(node.partition("-")[2])
        workers[rank] = Joins(run, setting, schedule, shards).follow(rank, run.logs[node])
    _check_settles_have_pushes(run, schedule, shards, workers)
    for (rank, clock), tick in schedule.ticks.items():
        _check_tick(run, setting, shards, workers.get(rank) or Worker(), tick)
    return workers


class Joins:
    def __init__(self, run, setting, schedule, shards):
        self.run, self.setting, self.schedule, self.shards = run, setting, schedule, shards
        self.worker = Worker()
        self.settled_elsewhere = None

    def follow(self, rank, log):
        for event in log:
            if type(event) is Placed:
                self.run.placed(event, self.setting.slices)
                continue
            if event.worker != rank:
                self.run.violate("range", f"a line of worker {event.worker} in another's log", event)
            if type(event) is Begin:
                self.begin(event)
                continue
            if event.slice >= self.setting.slices:
                self.run.violate("range", f"a slice of {self.setting.slices}", event)
            if type(event) is Push:
                self.push(event)
            else:
                self.use(event)
            if event.clock > self.worker.last_clock:
                self.worker.last_clock = event.clock
        self.ages()
        return self.worker

    def begin(self, event):
        grant = self.schedule.grants.get((event.worker, event.clock))
        if grant is None:
            self.run.violate("grant", "a step begun that was not granted", event)
        elif (event.epoch, event.first, event.count) != (grant.epoch, grant.first, grant.count):
            if not self.schedule.lives_ended_by(event.worker, event.clock):
                self.run.violate("grant", "a step begun of other samples than were granted", event, grant)
        elif event.rule_epoch != grant.rule_epoch and not self.schedule.lives_ended_by(event.worker, event.clock):
            self.run.violate("rules", "a step begun under other rules than granted", event, grant)
        if self.setting.rate is not None and event.rate != (rate := self.schedule.rates.get(event.rule_epoch)):
            self.run.violate("rules", f"a step begun at rate {event.rate}, that of its rules is {rate}", event)

    def use(self, event):
        node, t, rank, clock, bound, slice_id, version, floor = event
        grant = self.schedule.grants.get((rank, clock))
        if grant is None:
            self.run.violate("grant", "weights used for a step that was not granted", event)
        elif bound != grant.bound and not self.schedule.lives_ended_by(rank, clock):
            self.run.violate("grant", f"weights used under another bound than granted, {grant.bound}", event, grant)
        if bound >= 0 and floor < clock - bound:
            self.run.violate("floor", f"weights of floor {floor} for step {clock} under {bound}", event)
        if (rank, slice_id, version, floor) not in self.shards.served:
            self.run.violate("served", "weights that no shard served to this worker", event)
        uses = self.worker.uses[clock, slice_id]
        if uses and version not in [use.version for use in uses]:
            if len(uses) > self.schedule.lives_ended_by(rank, clock):
                self.run.violate("served", "two versions in one step", *uses, event)
        uses.append(event)

    def push(self, event):
        node, t, rank, clock, slice_id, level, index, samples, rule_epoch, local_steps = event
        key = (rank, clock, slice_id, level, index)
        grant = self.schedule.grants.get((rank, clock))
        if grant is None:
            self.run.violate("grant", "a push of a step that was not granted", event)
        elif rule_epoch != grant.rule_epoch and not self.schedule.lives_ended_by(rank, clock):
            self.run.violate("rules", "a push under other rules than granted", event, grant)
        if not self.setting.aggregate and (level or index):
            self.run.violate("leaves", "a node of the tree in a run without aggregates", event)
        self.local(event)
        earlier = self.worker.pushes.setdefault(key, [])
        if len(earlier) > self.schedule.lives_ended_by(rank, clock):
            self.run.violate("exactly once", "pushed twice", *earlier, event)
        earlier.append(event)
        self.worker.by_clock[clock].append(key)
        settle = self.shards.settles.get(key)
        if settle is None:
            self.unsettled(key, event)
            return
        if rule_epoch != settle.rule_epoch and not self.schedule.lives_ended_by(rank, clock):
            self.run.violate("rules", "settled under other rules than pushed", event, settle)

    def local(self, event):
        """A clock's samples are cut into steps of `batch`, the last of which may be shorter."""
        most = self.setting.local_steps
        steps = -(-event.samples // self.setting.batch) if most else 0
        if event.local_steps != steps or steps > most:
            self.run.violate("local", f"{event.samples} samples make {steps} local steps, {most} are most", event)

    def unsettled(self, key, event):
        """A push without a settle line: its worker died, or another's push of the same leaves was taken."""
        rank, clock, slice_id, level, index = key
        if self.schedule.lives_ended_by(rank, clock):
            return
        if not self.setting.complete and (rank, clock) not in self.schedule.ticks:
            return
        if key in self.shards.repeats and (clock, slice_id, level, index) in self.contributed():
            return
        self.run.violate("exactly once", "a push that was never settled", event)

    def contributed(self):
        """Nodes settled whoever pushed them; asked for after a death in an aggregate mode alone."""
        if self.settled_elsewhere is None:
            self.settled_elsewhere = {key[1:] for key in self.shards.settles} if self.setting.aggregate else set()
        return self.settled_elsewhere

    def ages(self):
        """Once for each step's slice: the shard may have taken it from any of the lives that pushed it."""
        for key, pushes in self.worker.pushes.items():
            settle = self.shards.settles.get(key)
            if settle is not None and settle.fate == APPLIED:
                self.age(pushes[-1], settle, settle.version)
            contribution = self.shards.contributions.get(key[:3])
            if settle is not None and contribution is not None and contribution.fate == ACCEPTED:
                self.age(pushes[-1], contribution, contribution.number)

    def age(self, push, line, version):
        """`line` says the age of a push whose update made this version."""
        uses = self.worker.uses.get((push.clock, push.slice))
        if not uses:
            self.run.violate("served", "a gradient without weights", push)
        elif all(use.version + line.age + 1 != version for use in uses):
            self.run.violate("age", f"version {version} after, age {line.age}", uses[-1], line)
        if self.setting.backups is not None and line.age:
            self.run.violate("age", "an update from other weights than those of its clock", line)


def _check_settles_have_pushes(run, schedule, shards, workers):
    for key, settle in shards.settles.items():
        worker = workers.get(key[0])
        if worker is not None and key in worker.pushes:
            pushes = worker.pushes[key]  # of several lives, perhaps, and of different samples
            if settle.samples not in [push.samples for push in pushes]:
                run.violate("exactly once", "settled with another number of samples", *pushes, settle)
            continue
        # A process may be killed between a push and its line, or while it writes that line.
        if not run.simulated and schedule.lives_ended_by(key[0], settle.clock):
            run.notes.append(f"{settle.node} settled a push of step {settle.clock} that worker {key[0]} died over")
            continue
        run.violate("exactly once", "settled, and never pushed", settle)


def _check_tick(run, setting, shards, worker, tick):
    keys = worker.by_clock.get(tick.clock, ())
    pushed = {slice_id for _, _, slice_id, _, _ in keys}
    if len(pushed) != setting.slices:
        missing = sorted(set(range(setting.slices)) - pushed)
        run.violate("tick", f"before a push of slices {missing}", tick)
    for key in keys:
        settle = shards.settles.get(key)
        if settle is None and key not in shards.repeats:
            run.violate("tick", "before all pushes of its step were settled", tick, worker.pushes[key][-1])
        elif settle is not None and run.simulated and settle.t > tick.t:
            run.violate("tick", "earlier than a settle of its step", tick, settle)
