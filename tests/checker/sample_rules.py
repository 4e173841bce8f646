"""Rules over the samples of a job with leases: each sample of an epoch is settled exactly once.

The samples of a step are those of its grant. The step is settled where every slice settled its push, torn where
only some did, and else as if it had never been: then another step must have its samples. Where updates are
committed, a step is settled when it is in a commit.
"""

from collections import Counter, defaultdict


def check_samples(run, setting, schedule, shards):
    if not setting.leased:
        return
    taken = defaultdict(list)  # epoch -> grants of steps that are settled or torn
    slices = _slices_settled(setting, schedule, shards)
    for step, grant in schedule.grants.items():
        settled = slices[step]
        if settled and grant.count:
            taken[grant.epoch].append(grant)
        if 0 < settled < setting.slices and setting.complete and not schedule.lives_ended_by(*step):
            run.violate("samples", f"{settled} of {setting.slices} slices settled the step of a worker that lived", grant)
    for grants in taken.values():
        grants.sort(key=lambda grant: grant.first)
        for before, grant in zip(grants, grants[1:]):
            if grant.first < before.first + before.count:
                run.violate("samples", "settled twice", before, grant)
    for event in schedule.epochs:
        _check_whole(run, event, taken[event.number])


def _slices_settled(setting, schedule, shards):
    """(worker, clock) -> how many slices settled the step."""
    if setting.committed:
        members = [member for members in schedule.ledger.members.values() for member in members]
        return Counter({(member.worker, member.clock): setting.slices for member in members})
    return Counter(key[:2] for key in shards.settles)


def _check_whole(run, event, grants):
    """An epoch that the scheduler called settled; its grants are in order."""
    at = 0
    for grant in grants:
        if grant.first > at:
            run.violate("samples", f"epoch {event.number} was closed without samples [{at}, {grant.first})", event, grant)
        at = max(at, grant.first + grant.count)
    if at != event.samples:
        run.violate("samples", f"epoch {event.number} was closed at sample {at} of {event.samples}", event)
