"""How often the threads of a worker and of a server call malloc in a warm step, whoever it is that does: no more than
written down here. `allocations.py BUILD_FOLDER` shows who they are.

The job has one worker, one server, and a model in 10 slices. No loop allocates anything of its own. Left are libzmq's
two of each tick, one for each part of its frame; and on the compute thread what oneDNN takes inside of its own calls, and
libgomp for the loss of each leaf.

Heartbeats, and what is said again on a busy machine, come by the clock and not by steps: less than one of them a step.
"""

import unittest

from allocations import AllocationsCase
from system_case import main

# More than counted: of a loop what comes by the clock; oneDNN chooses its ways by the processor.
MORE = {"loop": 1, "compute": 5}

COUNTED = {
    ("shm", "asp"): {("server", "loop"): 0, ("worker", "loop"): 2, ("worker", "compute"): 65},
    ("shm", "bsp"): {("server", "loop"): 0, ("worker", "loop"): 2, ("worker", "compute"): 248},
}


class Allocations(AllocationsCase):
    def assert_no_more_than_counted(self, lane_name, mode):
        calls, octets, _ = self.in_a_step(lane_name, mode)
        for who in sorted(calls):
            print(f"{lane_name} {mode} {' '.join(who):<24} {calls[who]:8.2f} calls {octets[who]:10.1f} bytes a step")
        self.assertGreaterEqual(set(calls), {("server", "loop"), ("worker", "loop"), ("worker", "compute")})
        counted = COUNTED[lane_name, mode]  # whoever is not named allocates nothing
        over = {who: calls[who] for who in calls if calls[who] > counted.get(who, 0) + MORE.get(who[1], 1)}
        self.assertEqual(over, {})

    def test_over_shared_memory(self):
        self.assert_no_more_than_counted("shm", "asp")

    def test_in_lockstep(self):
        self.assert_no_more_than_counted("shm", "bsp")


if __name__ == "__main__":
    main(at_once=1)
