"""Ages above what rate and momentum bear, by the rules of old_gradients, rates that they left little of, and long tails."""

from .. import ages
from .finding import Finding, Run
from .old_gradients import MITLIAGKAS, ZHANG, OldGradients, is_rate_over_age

TAIL_TIMES, TAIL_MIN = 8, 32
FACTOR_MIN = 0.25  # below, the rate over the age is far from the rate in the job


def too_old(run: Run) -> list[Finding]:
    old = OldGradients.of(run, ages.mean(run.metrics.ages) or 0.0)
    if old is None or old.are_borne:
        return []
    figures = (f"mean age {old.age:.1f} updates, the 99th percentile {ages.quantile(run.metrics.ages, 0.99)}; with "
               f"{old.rule_words} that acts like momentum {old.implied_momentum:.3f} ({MITLIAGKAS})")
    scaled = [] if run.is_local else [f'optimizer.age_scaling="inverse", the rate over the age of each gradient ({ZHANG})']
    smaller = f"{old.table}.rate={_round(old.rate / (1 + old.age))} for all"
    advice = [] if old.is_rate_over_age else [" or ".join([*scaled, smaller])]
    if old.rule in ("momentum", "nesterov"):
        advice.insert(0, f"{old.table}.momentum={max(0.0, 1 - (1 - old.momentum) * (1 + old.age)):.2f}")
    if run.is_local:
        advice.insert(0, f"{old.table}.name=delayed_nesterov (Liu et al. 2024)")
    return [Finding("age", "gradients were older than this rate and momentum bear", figures,
                    "; ".join([*advice, "fewer workers, or bsp, make ages smaller"]))]


def scaled_down(run: Run) -> list[Finding]:
    factor = run.final.get("age_factor_mean")
    if not is_rate_over_age(run) or factor is None or factor >= FACTOR_MIN:
        return []
    rate = run.setting("optimizer.rate", 0.0)
    return [Finding("age_scaling", "gradients were so old that the rate over the age left little of it",
                    f"rates were {factor:.2f} times the schedule's in the mean: {_round(rate * factor)} where the job says "
                    f"{rate:g}",
                    "fewer workers, or a softsync with a smaller number, make ages smaller; a larger optimizer.rate may be "
                    "borne now")]


def long_tail(run: Run) -> list[Finding]:
    histogram = run.metrics.ages
    median, late = ages.quantile(histogram, 0.5) or 0, ages.quantile(histogram, 0.99) or 0
    if late < TAIL_MIN or late < TAIL_TIMES * max(1, median):
        return []
    return [Finding("age_tail", "a few gradients were very old",
                    f"half of all pushes had an age of at most {median}, one in a hundred {late} or more, the oldest "
                    f"{max(histogram)}",
                    f"{_bound(run)}, or a look at the worker whose age_mean is the largest: {_oldest(run)}")]


def _bound(run: Run) -> str:
    if run.kind in ("ssp", "dssp"):
        return "a smaller bound"
    return f"a bound (consistency.mode={run.mode.partition('+')[0] + '+' if run.is_local else ''}ssp:S)"


def _oldest(run: Run) -> str:
    worker = max(run.metrics.workers, key=lambda entry: entry["age_mean"], default=None)
    return f"{worker['worker']} with {worker['age_mean']:.1f}" if worker else "unknown"


def _round(rate: float) -> str:
    return f"{rate:.2g}"


STALENESS = [too_old, scaled_down, long_tail]
