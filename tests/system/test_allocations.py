"""How often the threads of a worker and of a server call malloc in a warm step, whoever it is that does: no more than
written down here. `allocations.py BUILD_FOLDER` shows who they are.

The job has one worker, one server, and a model in 10 slices. What is left, of each slice: the headers of its frames
(four, sent or received, when this was counted; two blocks each), the bookkeeping of a push under way, and what keeps a
body that was borrowed. Of each step: a grant and a tick, which are coded, and their vectors. On the compute thread it
is oneDNN, inside of its own calls, and Asio, which takes a block for each time the loop is woken from another thread.

How often a loop is woken depends on how busy the machine is; a wake-up is two blocks at most, and there is at most one
for each slice and direction. So limits are what was counted and 2 more a slice. Whoever saves some writes down less.
"""

import unittest

from allocations import AllocationsCase
from system_case import main

WAKE_UPS = 2 * 10

COUNTED = {
    ("shm", "asp"): {("server", "loop"): 94, ("worker", "loop"): 153, ("worker", "compute"): 71},
    ("shm", "bsp"): {("server", "loop"): 114, ("worker", "loop"): 151, ("worker", "compute"): 253},
}


class Allocations(AllocationsCase):
    def assert_no_more_than_counted(self, lane_name, mode):
        calls, octets, _ = self.in_a_step(lane_name, mode)
        for who in sorted(calls):
            print(f"{lane_name} {mode} {' '.join(who):<24} {calls[who]:8.2f} calls {octets[who]:10.1f} bytes a step")
        self.assertGreaterEqual(set(calls), {("server", "loop"), ("worker", "loop"), ("worker", "compute")})
        limits = {who: counted + WAKE_UPS for who, counted in COUNTED[lane_name, mode].items()}
        # Whoever is not named allocates nothing; the clock's own messages (heartbeats) are less than one a step.
        over = {who: calls[who] for who in calls if calls[who] > limits.get(who, 1)}
        self.assertEqual(over, {})

    def test_over_shared_memory(self):
        self.assert_no_more_than_counted("shm", "asp")

    def test_in_lockstep(self):
        self.assert_no_more_than_counted("shm", "bsp")


if __name__ == "__main__":
    main()
