"""Makes the history of a failing seed shorter. Usage: shrink.py is a library of seeds.py.

A seed brings a whole cluster's worth of trouble; what fails needs little of it. One simplification after another
(simpler.h) is tried, and kept if the seed still fails, until none can be taken any more.
"""

import subprocess
from dataclasses import dataclass, field

TRIES_MAX = 400
NOT_SIMPLER = 3  # exit code of sim_seeds: there was nothing left to take away


@dataclass
class Shrunk:
    simpler: list[str] = field(default_factory=list)
    tries: int = 0

    def command(self, program, seed) -> str:
        words = f"{program} --first {seed} --count 1 --out DIR"
        return words + (f" --simpler {','.join(self.simpler)}" if self.simpler else "")


def shrink(program, seed, fails) -> Shrunk:
    """`fails(simpler)` runs the seed with these simplifications: True, False, or None where they are none."""
    names = subprocess.run([program, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    found = Shrunk()
    progress = True
    while progress and found.tries < TRIES_MAX:
        progress = False
        for name in names:
            while found.tries < TRIES_MAX:
                found.tries += 1
                if not fails([*found.simpler, name]):
                    break
                found.simpler.append(name)
                progress = True
    return found
