"""What the figures of two contenders tell of why one won. Each sentence is measured on the way to the target: a time is
updates times the time of one, so what made the difference is one of the two, or both. shortfall_words says why others did
not get there."""

from rubato_cli import text

from . import ages
from .comparison import Comparison
from .comparison_table import figure_words, seconds
from .group import Group
from .phrases import ages_words, and_words
from .statistics import mean

NEAR = 0.03  # three percent apart is no difference worth a word
IDLE_MIN = 0.01  # nor is a hundredth of the time


def why_words(comparison: Comparison, winner: Group, rival: Group) -> str:
    """Both reached the target with every seed."""
    pace = _update_s(comparison, rival) / _update_s(comparison, winner)
    needed = comparison.updates_to_target(winner) / comparison.updates_to_target(rival)
    said = (f"On the way there an update of {winner.name} came every {_update_words(comparison, winner)} and it took "
            f"{samples_words(comparison, winner)}, one of {rival.name} every {_update_words(comparison, rival)} and it took "
            f"{samples_words(comparison, rival)}")
    # Of a target that a first evaluation had met already nobody knows when it was reached, so there is no cause to tell.
    is_known = not (comparison.is_upper_limit(winner) or comparison.is_upper_limit(rival))
    won_by = f": {_won_by(pace, needed)}" if is_known else ""
    return f"{said}{won_by}. {_idle(winner, rival)}{_ages_of(winner)}{_ages_of(rival)}"


def closest_words(comparison: Comparison, groups: list[Group], winner: Group | None = None) -> str:
    """Of those that did not reach the target with every seed, how near the best came; beside the winner, if any."""
    closest = comparison.best([group for group in groups if not comparison.is_ruined(group)])
    if closest is None:
        return ""
    final = figure_words(comparison, comparison.final(closest))
    tied = [group for group in comparison.ranked(groups) if figure_words(comparison, comparison.final(group)) == final]
    said = f"The closest, {and_words(tied)}, ended at {final}"
    if there := comparison.seeds_there(closest):
        said += f" (in the mean; {there} of {len(closest.outcomes)} seeds got there)"
    said += f", after {_whole(closest)}"
    said += f", where {winner.name} made {_whole(winner)}" if winner else ""
    shown = [winner, closest] if winner else [closest]
    return f"{said}. {_idle(*shown)}{''.join(map(_ages_of, shown))}"


def samples_words(comparison: Comparison, group: Group) -> str:
    """`515 updates of 128 samples`: what is one update is not the same in all modes."""
    points = [point for point in group.reached(comparison.target) if point]
    words = _updates_words(mean(point.updates for point in points), mean(point.samples for point in points))
    return f"at most {words}" if comparison.is_upper_limit(group) else words


def _won_by(pace: float, needed: float) -> str:
    """`pace`: how many updates the winner made while its rival made one; `needed`: how many for one of its rival's."""
    quicker, slower = pace > 1 + NEAR, pace < 1 - NEAR
    fewer, more = needed < 1 - NEAR, needed > 1 + NEAR
    if quicker:
        how = f", {pace:.2f} times as many updates in the same time"
        return f"it won by its pace{how}" + (f", although it took {needed:.2f} times as many" if more else
                                             f", and took fewer ({needed:.2f} times as many)" if fewer else
                                             ", and took as many")
    if fewer:
        return f"it won by needing fewer updates, {needed:.2f} times as many" + (
            f", although it made {pace:.2f} times as many in the same time" if slower else "")
    return "the difference is too small to have one cause"


def _idle(*groups: Group) -> str:
    said = []
    for group in groups:
        early = group.done_early_share or 0.0
        said.append(f"those of {group.name} waited {text.percent(group.wait_share)} of the time"
                    + (f" and were done early for {text.percent(early)} of it" if early >= IDLE_MIN else ""))
    return f"Of the workers, {', '.join(said)}."


def _ages_of(group: Group) -> str:
    """Of modes whose gradients have no age, nothing."""
    return f" Of {group.name}, {ages_words(group.ages)}." if ages.mean(group.ages) else ""


def _update_s(comparison: Comparison, group: Group) -> float:
    return comparison.time_to_target(group) / comparison.updates_to_target(group)


def _update_words(comparison: Comparison, group: Group) -> str:
    took_s = _update_s(comparison, group)
    return f"{1000 * took_s:.3g} ms" if took_s < 0.9995 else seconds(took_s)


def _whole(group: Group) -> str:
    finals = [run.final for run in group.runs if not run.diverged]
    updates, samples, train_s = (mean(final.get(name) for final in finals) for name in ("updates", "samples", "train_s"))
    return f"{_updates_words(updates, samples)} in {seconds(train_s)}"


def _updates_words(updates: float | None, samples: float | None) -> str:
    if not updates or samples is None:
        return f"{text.count(updates)} updates"
    return f"{text.count(updates)} updates of {text.count(samples / updates)} samples"
