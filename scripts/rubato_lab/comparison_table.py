"""The comparison as a table: cells of words, for the terminal, for the page and for RUNS.csv."""

from rubato_cli import text
from rubato_cli.tables import table

from . import ages
from .comparison import Comparison
from .group import Group
from .remarks import batches, same_runs

HEADINGS = ["stragglers", "mode", "time to target", "updates to target", "final {final}", "least..most", "age mean",
            "age p99", "waited", "done early", "samples/s", "vs bsp"]


def rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Headings and a row for each mode under each kind of stragglers, in the order asked for."""
    headings = [heading.format(final="accuracy" if comparison.is_accuracy else "loss") for heading in HEADINGS]
    found = [_row(comparison, group) for stragglers in comparison.stragglers for group in comparison.under(stragglers)]
    keys = comparison.tuning.keys
    if keys:
        headings[2:2] = keys
        shown = [group for stragglers in comparison.stragglers for group in comparison.under(stragglers)]
        for row, group in zip(found, shown):
            row[2:2] = [value for _, value in group.point]
    return headings, found


def lines(comparison: Comparison) -> list[str]:
    headings, found = rows(comparison)
    said = table(headings, found) + [""] + notes(comparison)
    for outcome in comparison.tuning.outcomes + comparison.outcomes:
        if outcome.failure:
            said.append(f"failed: {outcome.cell.words}: {outcome.failure}")
    return said


def notes(comparison: Comparison) -> list[str]:
    """What has to be known to read the table."""
    said = []
    if comparison.target:
        said.append(f"target: {comparison.target.words} ({comparison.target.origin})")
    else:
        said.append(f"target: none, since {comparison.why_no_target}")
    if comparison.target and comparison.chance and comparison.target.value < comparison.chance.floor:
        said.append(f"this target shows nothing: it is not clearly above {comparison.chance.words}")
    seeds = max(len(group.outcomes) for group in comparison.groups)
    said.append(f"means over {text.plural(seeds, 'seed')}; time counts from the first grant; between two evaluations "
                "the way is taken as straight")
    said.append("an update is one change of the weights")
    said += batches(comparison) + same_runs(comparison)
    tuning = comparison.tuning
    if tuning.keys:
        said.append("of the grid, the best point for each, by final " + ("accuracy" if tuning.is_accuracy else "loss")
                    + f" of {text.plural(tuning.seeds, 'run')} with other seeds than those shown")
    for key in tuning.keys:
        if edge := tuning.at_the_edge(key):
            said.append(f"{key}: the best value for {'; '.join(edge)} is at the edge of the grid, so there may be a better one "
                        "beyond")
    said += comparison.remarks
    if not comparison.is_real:
        said.append("simulated: time is virtual, gradients are real")
    elif not comparison.comparable:
        said.append("NOT COMPARABLE IN TIME (*): there are more workers and servers than processors")
    return said


def seconds(value: float | None) -> str:
    """Three digits, however short: virtual time may be milliseconds."""
    return f"{value:.3g} s" if value is not None and value < 10 else text.duration(value)


def figure_words(comparison: Comparison, value: float | None) -> str:
    """A final figure: an accuracy in percent, or a loss."""
    return text.percent(value, 2) if comparison.is_accuracy else text.fixed(value, 4)


def _row(comparison: Comparison, group: Group) -> list[str]:
    start = [group.stragglers, group.contender.name]
    if not group.runs:
        return start + [f"failed ({len(group.failures)})"] + [text.MISSING] * (len(HEADINGS) - 3)
    mark = "" if comparison.comparable else "*"
    limit = " or less" if comparison.is_upper_limit(group) else ""
    histogram = group.ages
    spread = comparison.final_spread(group)
    final = figure_words(comparison, comparison.final(group)) if spread else "diverged" if group.diverged else text.MISSING
    if spread and group.diverged:
        final += f" ({group.diverged} diverged)"
    return start + [
        _to_target(comparison, group, mark + limit),
        text.count(comparison.updates_to_target(group)) + limit,
        final,
        "..".join(figure_words(comparison, value) for value in spread) if spread else text.MISSING,
        text.fixed(ages.mean(histogram), 1),
        text.count(ages.quantile(histogram, 0.99)),
        text.percent(group.wait_share),
        text.percent(group.done_early_share),
        text.count(group.samples_per_s) + mark,
        _times(comparison.speed_up(group), mark),
    ]


def _to_target(comparison: Comparison, group: Group, mark: str) -> str:
    if comparison.target is None:
        return text.MISSING
    there, seeds = comparison.seeds_there(group), len(group.outcomes)
    if there == 0:
        return "never"
    said = seconds(comparison.time_to_target(group)) + mark
    return said if there == seeds else f"{said} ({there} of {seeds})"


def _times(factor: float | None, mark: str) -> str:
    return text.MISSING if factor is None else f"{factor:.2f}x{mark}"
