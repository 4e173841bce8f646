"""Why modes did not reach a target that another reached: with too few updates, or with enough of them, but of gradients
too old for their rate and momentum, by the rule of thumb that `explain` goes by (findings/old_gradients.py).

Time is no cause: every run makes all of its epochs, however long they take.
"""

from dataclasses import dataclass

from rubato_cli import text

from . import ages
from .comparison import Comparison
from .findings.finding import Run
from .findings.old_gradients import MITLIAGKAS, OldGradients
from .group import Group
from .phrases import and_words
from .run_figures import read_job
from .statistics import mean

NEAR = 0.03


@dataclass(frozen=True)
class Shortfall:
    """`old` where its gradients are old at all."""

    group: Group
    updates: float
    old: OldGradients | None

    @property
    def is_too_old(self) -> bool:
        return self.old is not None and not self.old.are_borne


def shortfall_words(comparison: Comparison, groups: list[Group], winner: Group | None) -> str:
    """Of those that did not get there with every seed; what came to nothing is told elsewhere (ruin_words.py)."""
    short = [_of(group) for group in groups if group.runs and group is not winner and not comparison.all_there(group)
             and not comparison.is_ruined(group)]
    needed = comparison.updates_to_target(winner) if winner else None
    few = [entry for entry in short if needed and entry.updates < (1 - NEAR) * needed]
    enough = [entry for entry in short if entry not in few]
    old = [entry for entry in enough if entry.is_too_old]
    young = [entry for entry in enough if entry not in old]
    of_winner = f", where {winner.name} took {text.count(needed)}" if needed else ""
    said = []
    if few:
        said.append(f"{_made(few)} made too few updates for it in all{of_winner}.")
        too_old = [entry for entry in few if entry.is_too_old]
        said += [f"Besides, gradients were old: {_ages_of(too_old)}."] if too_old else []
    if old:
        began = f"{_made(old)} made updates enough for it{of_winner}; but gradients" if needed else "Gradients"
        said.append(f"{began} were older than rate and momentum bear, by a rule of thumb ({MITLIAGKAS}): {_ages_of(old)}.")
    if young and needed:
        borne = [entry for entry in young if entry.old]
        ages_borne = f"; by the rule of thumb for old gradients theirs are borne: {_ages_of(borne)}" if borne else ""
        said.append(f"{_made(young)} made updates enough for it{of_winner}, and each update led less far{ages_borne}.")
    rate_matters = (young and needed) or any(entry.is_too_old for entry in short)
    if rate_matters and "optimizer.rate" not in comparison.tuning.keys:
        said.append("Whether another rate would do, --grid optimizer.rate=... shows.")
    return " ".join(said)


def _of(group: Group) -> Shortfall:
    sound = [(outcome, run) for outcome, run in group.made if not run.diverged]
    updates = mean(run.final.get("updates") for _, run in sound) or 0.0
    outcome, run = sound[0]
    return Shortfall(group, updates, OldGradients.of(Run(run, read_job(outcome.run_dir)), ages.mean(group.ages) or 0.0))


def _made(entries: list[Shortfall]) -> str:
    return and_words([f"{entry.group.name} ({text.count(entry.updates)})" for entry in entries])


def _ages_of(entries: list[Shortfall]) -> str:
    """Those that say the same together."""
    alike: dict[str, list[Group]] = {}
    for entry in entries:
        words = f"mean age {entry.old.age:.1f}, with {entry.old.rule_words} like momentum {entry.old.implied_momentum:.3f}"
        alike.setdefault(words, []).append(entry.group)
    return "; ".join(f"{and_words(groups)}: {words}" for words, groups in alike.items())
