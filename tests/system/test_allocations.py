"""How often the threads of a worker and of a server call malloc in a warm step, whoever it is that does: no more than
written down here. `allocations.py BUILD_FOLDER` shows who they are.

The job has one worker, one server, and a model in 10 slices. Nothing is left of each slice but, in lockstep, what a
server keeps of a clock's pushes until they are added up. Of each step it is what a grant and a tick have of lists, and
their frames, which go to the scheduler and come from it over a socket. On the compute thread it is oneDNN, inside of
its own calls.

How many grants and ticks share a frame, and how many are said again, depends on how busy the machine is: limits are
what was counted and half as many more as there are slices. Whoever saves some writes down less.
"""

import unittest

from allocations import AllocationsCase
from system_case import main

MORE_OF_A_STEP = 5

COUNTED = {
    ("shm", "asp"): {("server", "loop"): 1, ("worker", "loop"): 12, ("worker", "compute"): 64},
    ("shm", "bsp"): {("server", "loop"): 1, ("worker", "loop"): 10, ("worker", "compute"): 244},
}


class Allocations(AllocationsCase):
    def assert_no_more_than_counted(self, lane_name, mode):
        calls, octets, _ = self.in_a_step(lane_name, mode)
        for who in sorted(calls):
            print(f"{lane_name} {mode} {' '.join(who):<24} {calls[who]:8.2f} calls {octets[who]:10.1f} bytes a step")
        self.assertGreaterEqual(set(calls), {("server", "loop"), ("worker", "loop"), ("worker", "compute")})
        limits = {who: counted + MORE_OF_A_STEP for who, counted in COUNTED[lane_name, mode].items()}
        # Whoever is not named allocates nothing; the clock's own messages (heartbeats) are less than one a step.
        over = {who: calls[who] for who in calls if calls[who] > limits.get(who, 1)}
        self.assertEqual(over, {})

    def test_over_shared_memory(self):
        self.assert_no_more_than_counted("shm", "asp")

    def test_in_lockstep(self):
        self.assert_no_more_than_counted("shm", "bsp")


if __name__ == "__main__":
    main(at_once=1)
