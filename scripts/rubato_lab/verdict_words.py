"""The comparison in words: which mode won where. why_words and shortfall_words say what its figures tell of why, ruin_words
of what nothing came."""

from .comparison import Comparison
from .comparison_table import figure_words, seconds
from .group import Group
from .phrases import and_words
from .ruin_words import partly_words, ruin_words
from .shortfall_words import shortfall_words
from .why_words import NEAR, closest_words, samples_words, why_words


def paragraph(comparison: Comparison, stragglers: str) -> str:
    groups = [group for group in comparison.under(stragglers) if group.runs]
    under = "Without stragglers" if stragglers == "none" else f"With {stragglers}"
    if not groups:
        return f"{under}, every run failed."
    nothing = comparison.nothing_learned(groups)
    if nothing:
        said = [f"{under}, {nothing}. So there is no winner."]
    elif comparison.comparable:
        said = [_race(comparison, groups, under), _finals(comparison, groups)]
    else:
        said = [_by_updates(comparison, groups, under), _finals(comparison, groups)]
    said += [partly_words(comparison, group) for group in groups if group.failures or not comparison.is_ruined(group)]
    said.append(ruin_words(comparison, groups, is_all_told=bool(nothing)))
    return " ".join(sentence for sentence in said if sentence)


def _race(comparison: Comparison, groups: list[Group], under: str) -> str:
    if comparison.target is None:
        return f"{under}, no run can be timed: {comparison.why_no_target}."
    there = sorted(filter(comparison.all_there, groups), key=comparison.time_to_target)
    if not there:
        said = [f"{under}, no mode reached {comparison.target.words} with every seed.", closest_words(comparison, groups)]
        return " ".join(filter(None, [*said, shortfall_words(comparison, groups, None)]))
    first = there[0]
    tied = [group for group in there if comparison.time_to_target(group) == comparison.time_to_target(first)]
    slower = [group for group in there if group not in tied]
    were = "were" if len(tied) > 1 else "was"
    said = (f"{under}, {and_words(tied)} {were} the first to reach {comparison.target.words}, "
            f"in {_at_most(comparison, first)}{seconds(comparison.time_to_target(first))}")
    if slower:
        second = comparison.time_to_target(slower[0]) / comparison.time_to_target(first) - 1
        said += f" ({slower[0].name} " + (f"took {100 * second:.0f}% longer)" if second > NEAR else "took as long)")
    base = comparison.baseline(first)
    if base in slower:
        said += f", {comparison.speed_up(first):.2f} times as fast as {base.name}"
    said += _fell_back(comparison, first)
    short = [group for group in groups if group not in there]
    if slower:
        why = [why_words(comparison, first, base if base in slower else slower[0])]
    else:
        alone = "No other mode got there with every seed." if short else ""
        why = [alone, closest_words(comparison, short, first)]
    return " ".join(filter(None, [f"{said}.", *why, shortfall_words(comparison, short, first)]))


def _by_updates(comparison: Comparison, groups: list[Group], under: str) -> str:
    """Where processes share processors, a second says nothing; an update still does."""
    said = f"{under}, times are not comparable, for the processes had to share processors: there is no winner by time."
    there = sorted(filter(comparison.all_there, groups), key=comparison.updates_to_target) if comparison.target else []
    if not there:
        return f"{said} No mode reached {comparison.target.words} with every seed." if comparison.target else said
    needed = "; ".join(f"{group.name} {samples_words(comparison, group)}" for group in there)
    short = shortfall_words(comparison, [group for group in groups if group not in there], there[0])
    return " ".join(filter(None, [f"{said} Updates to {comparison.target.words}: {needed}.", short]))


def _finals(comparison: Comparison, groups: list[Group]) -> str:
    known = comparison.ranked(groups)
    if len(known) < 2:
        return ""
    words = lambda group: figure_words(comparison, comparison.final(group))
    best, worst = ([group for group in known if words(group) == words(end)] for end in (known[0], known[-1]))
    if len(best) == len(known):
        return f"In the end {and_words(known)} stood alike at {words(known[0])}."
    said = f"In the end {and_words(best)} stood best with {words(best[0])} and {and_words(worst)} worst with {words(worst[0])}"
    low, high = comparison.final_spread(best[0])
    other_low, other_high = comparison.final_spread(worst[0])
    if low <= other_high and other_low <= high and max(len(group.runs) for group in known) > 1:
        said += ", though their seeds overlap"
    return said + _left_out(comparison, groups, known) + "."


def _left_out(comparison: Comparison, groups: list[Group], known: list[Group]) -> str:
    """Those of which some seeds diverged have no mean to stand anywhere with."""
    missing = [group for group in groups if group not in known and comparison.final(group) is not None]
    return f" (without {and_words(missing)}, of which seeds diverged)" if missing else ""


def _at_most(comparison: Comparison, group: Group) -> str:
    return "at most " if comparison.is_upper_limit(group) else ""


def _fell_back(comparison: Comparison, group: Group) -> str:
    final, target = comparison.final(group), comparison.target
    if target.is_met(final) or abs(final / target.value - 1) <= NEAR:
        return ""
    return f"; but it did not stay there, and ended at {figure_words(comparison, final)}"
