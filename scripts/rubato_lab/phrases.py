"""Ages and names in words, for the sentences of a report."""

from . import ages
from .findings.old_gradients import AGE_MIN  # a mean age below it is no reason to speak of old gradients
from .group import Group

__all__ = ["AGE_MIN", "ages_words", "and_words"]


def ages_words(histogram: dict[int, int]) -> str:
    mean_age = ages.mean(histogram)
    if not mean_age:
        return "no gradient was older than the weights it met"
    return f"the mean age of a push was {mean_age:.1f} updates, the 99th percentile {ages.quantile(histogram, 0.99)}"


def and_words(groups: list[Group] | list[str]) -> str:
    """`ssp:1, ssp:4 and asp`"""
    names = [group.name if isinstance(group, Group) else group for group in groups]
    return (", ".join(names[:-1]) + " and " if len(names) > 1 else "") + names[-1]
