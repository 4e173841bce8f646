"""In words, modes of which nothing came: runs that diverged (divergence.py), or ended at the level of chance (chance.py)."""

from . import ages
from .comparison import Comparison
from .comparison_table import figure_words
from .group import Group
from .phrases import AGE_MIN, ages_words, and_words

RATE = "optimizer.rate"


def ruin_words(comparison: Comparison, groups: list[Group], is_all_told: bool = False) -> str:
    """Of those of which no seed came to anything. `is_all_told`: that nothing learned, so what diverged is left to say."""
    ruined = [group for group in groups if comparison.is_ruined(group)]
    if not ruined:
        return ""
    diverged = [group for group in ruined if group.diverged == len(group.runs)]
    at_chance = [group for group in ruined if not group.diverged]
    both = [group for group in ruined if group not in diverged + at_chance]
    said = [f"{and_words(diverged)} diverged with every seed"] if diverged else []
    if not is_all_told:
        said += [_learned_nothing(comparison, at_chance)] if at_chance else []
        said += [f"{and_words(both)} diverged or learned nothing with every seed"] if both else []
    return " ".join([f"{'; '.join(said)}{_ages_before(ruined)}." if said else "", _advice(comparison, ruined)]).strip()


def partly_words(comparison: Comparison, group: Group) -> str:
    """Of one of which some seeds came to nothing, or failed."""
    parts = {"failed": len(group.failures), "diverged": group.diverged, "learned nothing": comparison.at_chance(group)}
    said = [f"{count} of {len(group.outcomes)} {what}" for what, count in parts.items() if count]
    return f"Of {group.name}, {and_words(said)}." if said else ""


def _learned_nothing(comparison: Comparison, groups: list[Group]) -> str:
    who = [f"{group.name} ({figure_words(comparison, comparison.final(group))})" for group in groups]
    return f"{and_words(who)} learned nothing with any seed: that is not clearly above {comparison.chance.words}"


def _ages_before(ruined: list[Group]) -> str:
    oldest = max(ruined, key=_age)
    if _age(oldest) < AGE_MIN:
        return ""
    until = "until then " if oldest.diverged else ""
    return f" ({oldest.name}: {until}{ages_words(oldest.ages_of_all)})"


def _advice(comparison: Comparison, ruined: list[Group]) -> str:
    if RATE in comparison.tuning.keys:
        return f"That is at the best {RATE} of the grid."
    if max(map(_age, ruined)) >= AGE_MIN:
        why = "Older gradients want a smaller rate"
    else:
        why = "A smaller rate may be borne" if any(group.diverged for group in ruined) else "Another rate may do better"
    return f"{why}: --grid {RATE}=... shows each mode at its best."


def _age(group: Group) -> float:
    return ages.mean(group.ages_of_all) or 0.0
