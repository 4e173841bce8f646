"""What each worker was given to compute on, and what of it a shard still has to keep.

Where delays are compensated for (`compensated` in the run's description), the weights that a worker read are needed
until its push of that step is settled. So a pull that comes again is answered with a version that answered an earlier
one, unless none of them has the floor that is asked for, and no worker makes a shard keep versions without end: there
is the step whose push is not settled, and the one after it, whose pull may overtake that push; and in each of them the
floor that was expected ahead of the grant, and that of the grant.
"""

from collections import defaultdict

AT_ONCE_MAX = 4


class KeptReads:
    """Of one shard."""

    def __init__(self, run, schedule):
        self.run, self.schedule = run, schedule
        self.given = defaultdict(list)  # (worker, slice) -> [Serve]
        self.settled = {}  # (worker, slice) -> highest clock

    def repeated(self, event):
        """Whether this answers a pull with what answered one before; otherwise it is the slice's current version."""
        key = (event.worker, event.slice)
        if event.clock <= self.settled.get(key, -1):
            return False  # too late to be computed on, and not kept
        earlier = [serve for serve in self.given[key] if serve.clock == event.clock]
        if any((serve.version, serve.floor) == (event.version, event.floor) for serve in earlier):
            return True
        ended = self.schedule.lives_ended_by(event.worker, event.clock)
        if not ended and any(event.floor <= serve.floor for serve in earlier):
            self.run.violate("kept", "another version for the same step", *earlier, event)
        self.given[key].append(event)
        if not ended and len(self.given[key]) > AT_ONCE_MAX:
            self.run.violate("kept", f"{len(self.given[key])} versions at once", *self.given[key])
        return False

    def settle(self, event):
        key = (event.worker, event.slice)
        self.settled[key] = max(event.clock, self.settled.get(key, -1))
        self.given[key] = [serve for serve in self.given[key] if serve.clock > event.clock]
