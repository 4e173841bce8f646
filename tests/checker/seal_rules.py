"""Rules over the lives of workers: what a shard does once it was told that one has ended.

The scheduler has every shard seal a life that ends before its end, and deals what that life had in hand to others
by what they answer. So from the answer on a shard settles nothing of that life, whatever is still on its way; the
answer is true; and nobody has a step of the life that follows, or samples that were dealt again, before all shards
have answered.

Where the pushes of a clock are aggregated, those that came before the answer are settled with the others of their
clock, and so perhaps after it; what comes after the answer may only not be heard, not even as a repeat.
"""

from collections import defaultdict


class Lives:
    """The workers as one shard knows them."""

    def __init__(self, run, setting, floors, answers):
        self.run, self.setting, self.floors = run, setting, floors
        self.answers = answers  # of all shards: (worker, life) -> {shard: its first Sealed}
        self.active_ones = set()
        self.newest = defaultdict(int)  # worker -> life
        self.sealed_ones = {}  # worker -> Sealed, of the newest life that is sealed
        self.highest = defaultdict(dict)  # worker -> {slice: highest clock settled}
        self.slices = None  # of this shard

    def active(self, event):
        if event.life <= self.newest[event.worker]:
            self.run.violate("sealed", f"life {event.life} is counted after life {self.newest[event.worker]}", event)
        self.newest[event.worker] = max(event.life, self.newest[event.worker])
        self.active_ones.add(event.worker)

    def inactive(self, event):
        self.active_ones.discard(event.worker)

    def settle(self, event):
        if self.setting.aggregate:
            return
        self.heard(event)
        slices = self.highest[event.worker]
        slices[event.slice] = max(event.clock, slices.get(event.slice, -1))

    def heard(self, event):
        """A push of the life that is counted now, or was last."""
        sealed = self.sealed_ones.get(event.worker)
        if sealed is not None and sealed.life >= self.newest[event.worker]:
            self.run.violate("sealed", "a push was taken of a life that is sealed", sealed, event)

    def sealed(self, event):
        clocks = self.floors.last_settled() if self.setting.aggregate else self.highest[event.worker]
        highest = max(clocks.values(), default=-1)
        count = sum(clock == highest for clock in clocks.values()) if highest >= 0 else 0
        if (event.clock, event.count) != (highest, count):
            self.run.violate("sealed", f"says clock {event.clock} at {event.count} slices, it is {highest} at {count}", event)
        if self.slices not in (None, event.slices):
            self.run.violate("sealed", f"says {event.slices} slices, and said {self.slices}", event)
        self.slices = event.slices
        before = self.sealed_ones.get(event.worker)
        if before is None or event.life > before.life:
            self.sealed_ones[event.worker] = event
        self.answers[event.worker, event.life].setdefault(event.node, event)


def check_seals(run, setting, schedule, shards):
    """The rules over what all shards answered."""
    servers = run.nodes("server")
    for (worker, life), answers in shards.answers.items():
        if len(answers) == len(servers) and sum(answer.slices for answer in answers.values()) != setting.slices:
            run.violate("sealed", f"the shards have not {setting.slices} slices together", *answers.values())
        begun = schedule.lives.get(worker, ())
        if all(active.life != life for active in begun):
            run.violate("sealed", "a life that never began", *answers.values())
    for begun in schedule.lives.values():
        for before, active in zip(begun, begun[1:]):
            if active.life <= before.life:
                run.violate("sealed", "a life that is no newer than the one before", before, active)
            _check_answered(run, setting, shards, (before.worker, before.life), active)
            for answer in shards.answers[before.worker, before.life].values():
                if answer.clock >= active.clock:
                    run.violate("sealed", "begins again below what a shard has settled", answer, active)


def _check_answered(run, setting, shards, life, event):
    """`event` may only be once all shards have answered; whether it waited is known where `t` is one time for all."""
    answers = shards.answers[life]
    missing = [node for node in run.nodes("server") if node not in answers]
    if missing and setting.complete and not run.truncated:
        run.violate("sealed", f"before life {life[1]} of worker {life[0]} was sealed at {', '.join(missing)}", event)
    if run.simulated:
        for answer in answers.values():
            if answer.t > event.t:
                run.violate("sealed", "before the life that ended was sealed", event, answer)


def check_dealt_again(run, setting, schedule, shards):
    """Leases on arrival: samples of a step that a life left behind go to others where no shard settled any of it."""
    for left in schedule.left:
        for at in range(left.dealt, len(schedule.dealt)):
            grant = schedule.dealt[at]
            step = left.grant
            if grant.epoch != step.epoch or grant.first >= step.first + step.count or step.first >= grant.first + grant.count:
                continue
            _check_answered(run, setting, shards, (step.worker, left.life), grant)
            for answer in shards.answers[step.worker, left.life].values():
                if answer.clock >= step.clock:
                    run.violate("sealed", "samples dealt again of a step that a shard has settled", step, answer, grant)
