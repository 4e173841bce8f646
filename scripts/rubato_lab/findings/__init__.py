"""What may stand out in a run: each finder looks at one thing, and says what it is, with figures, and what to try.

finding    a finding, and what finders look at
losses     divergence, gradients that are not finite, workers and samples lost, pushes dropped
staleness  ages above what rate and momentum bear; old_gradients has the rules
bounds     bounds that never bind
waiting    who held the others up, where time went
sharing    uneven shares of the samples
evaluating evaluations skipped, and waited for
"""

from .bounds import BOUNDS
from .evaluating import EVALUATING
from .finding import Finding, Run
from .losses import LOSSES
from .sharing import SHARING
from .staleness import STALENESS
from .waiting import WAITING

FINDERS = [*LOSSES, *STALENESS, *BOUNDS, *WAITING, *SHARING, *EVALUATING]


def find(run: Run) -> list[Finding]:
    return [finding for finder in FINDERS for finding in finder(run)]
