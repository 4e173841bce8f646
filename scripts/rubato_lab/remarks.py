"""What has to be known to read a comparison: runs that are the same, and what a batch is in each mode."""

from rubato_cli import text

from .comparison import Comparison
from .group import Group
from .statistics import mean

ON_ARRIVAL = ("ssp", "dssp", "asp")


def same_runs(comparison: Comparison) -> list[str]:
    """Contenders whose weights are equal bit for bit with every seed, under each kind of stragglers."""
    found = []
    for stragglers in comparison.stragglers:
        alike: dict[tuple, list[Group]] = {}
        for group in comparison.under(stragglers):
            hashes = tuple(run.final.get("weights_sha256") for run in group.runs)
            if hashes and None not in hashes and not group.failures:
                alike.setdefault(hashes, []).append(group)
        found += [f"under {stragglers}, {_same(groups)}" for groups in alike.values() if len(groups) > 1]
    return found


def _same(groups: list[Group]) -> str:
    names = [group.name for group in groups]
    who = f"{', '.join(names[:-1])} and {names[-1]}"
    if len({group.train_s for group in groups}) > 1:
        return f"{who} came to the same weights, bit for bit"
    kinds = {group.contender.kind for group in groups}
    nobody_waited = not any(run.waited_for_workers_s for group in groups for run in group.runs)
    is_bounded = kinds <= set(ON_ARRIVAL) and kinds & {"ssp", "dssp"}
    why = ": no bound held anybody back" if is_bounded and nobody_waited else ""
    return f"{who} are the same runs, bit for bit{why}"


def batches(comparison: Comparison) -> list[str]:
    """`train.batch` is not the same in all modes; where different ones stand beside each other, how many samples an
    update had is measured."""
    meanings = {"of a whole update in bsp": lambda kind: kind == "bsp",
                "of each worker's push in {}": lambda kind: kind not in ("bsp", "local"),
                "of each local step in {}, of which a push has H": lambda kind: kind == "local"}
    modes = list(dict.fromkeys(contender.mode for contender in comparison.contenders))
    said = []
    for words, is_meant in meanings.items():
        if meant := [mode for mode in modes if is_meant(mode.partition(":")[0])]:
            said.append(words.format(", ".join(meant)))
    if len(said) < 2:
        return []
    sizes = {mode: _samples_an_update(comparison, mode) for mode in modes}
    return [f"train.batch is {'; '.join(said)}. Samples of an update: "
            + ", ".join(f"{mode} {text.count(size)}" for mode, size in sizes.items())]


def _samples_an_update(comparison: Comparison, mode: str) -> float | None:
    finals = [run.final for group in comparison.groups if group.contender.mode == mode for run in group.runs]
    return mean(final["samples"] / final["updates"] for final in finals if final.get("updates") and "samples" in final)
