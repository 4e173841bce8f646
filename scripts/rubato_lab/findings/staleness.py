"""Ages above what rate and momentum bear, and bounds that do nothing.

Two rules of thumb, both stated with what they rest on, for no single run can show what another rate would have done:

- Gradients of mean age a act like momentum 1 - 1/(1 + a) that nobody asked for (Mitliagkas, Zhang, Hadjis, Re,
  "Asynchrony begets momentum", Allerton 2016: with M workers, age M - 1, it is 1 - 1/M). An explicit momentum m lets a
  gradient reach 1/(1 - m) times as far, its age 1 + a times; together they are a momentum of 1 - (1 - m)/(1 + a).
  Beyond about 0.95 the iterates swing. Lowering m to 1 - (1 - m)(1 + a) gives back what was asked for, where that is
  above 0.
- A rate tuned without staleness should be divided by the age (Zhang, Gupta, Lian, Liu, "Staleness-aware async-SGD for
  distributed deep learning", IJCAI 2016). Servers do so where optimizer.age_scaling is "inverse", for each gradient;
  what is left to say then is that momentum lets it go on for longer.

With local steps these are of the outer rule, which meets old deltas; of `nesterov` alone: `average` has no rate, and
`delayed_nesterov` is made for them.
"""

from .. import ages
from .finding import Finding, Run

MOMENTUM_MAX = 0.95
AGE_MIN = 1.0  # below one update of age, nothing is said
AGE_PLAIN_SGD = 4.0  # without momentum of its own, a rule bears some
TAIL_TIMES, TAIL_MIN = 8, 32
FACTOR_MIN = 0.25  # below, the rate over the age is far from the rate in the job

MITLIAGKAS = "Mitliagkas et al. 2016"
ZHANG = "Zhang et al. 2016"


def too_old(run: Run) -> list[Finding]:
    age = ages.mean(run.metrics.ages) or 0.0
    table = "optimizer.outer" if run.is_local else "optimizer"
    rule, rate = run.setting(f"{table}.name", "sgd"), run.setting(f"{table}.rate", 0.0)
    momentum = run.setting(f"{table}.momentum", 0.0) if rule in ("momentum", "nesterov") else 0.0
    if rule in ("adam", "adamw"):
        momentum = run.setting("optimizer.beta1", 0.9)
    implied = 1 - (1 - momentum) / (1 + age)
    if rule in ("average", "delayed_nesterov"):
        return []
    bears_age = _rate_over_age(run) or age < AGE_PLAIN_SGD
    if age < AGE_MIN or (implied <= MOMENTUM_MAX if momentum else bears_age):
        return []
    figures = (f"mean age {age:.1f} updates, the 99th percentile {ages.quantile(run.metrics.ages, 0.99)}; with "
               f"{rule} at rate {rate:g}" + (" over the age" if _rate_over_age(run) else "")
               + (f" and momentum {momentum:g}" if momentum else "")
               + f" that acts like momentum {implied:.3f} ({MITLIAGKAS})")
    scaled = [] if run.is_local else [f'optimizer.age_scaling="inverse", the rate over the age of each gradient ({ZHANG})']
    advice = [] if _rate_over_age(run) else [" or ".join([*scaled, f"{table}.rate={_round(rate / (1 + age))} for all"])]
    if rule in ("momentum", "nesterov"):
        advice.insert(0, f"{table}.momentum={max(0.0, 1 - (1 - momentum) * (1 + age)):.2f}")
    if run.is_local:
        advice.insert(0, f"{table}.name=delayed_nesterov (Liu et al. 2024)")
    return [Finding("age", "gradients were older than this rate and momentum bear", figures,
                    "; ".join([*advice, "fewer workers, or bsp, make ages smaller"]))]


def scaled_down(run: Run) -> list[Finding]:
    factor = run.final.get("age_factor_mean")
    if not _rate_over_age(run) or factor is None or factor >= FACTOR_MIN:
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
                    "a bound (consistency.mode=ssp:S), or a look at the worker whose age_mean is the largest: "
                    f"{_oldest(run)}")]


def loose_bound(run: Run) -> list[Finding]:
    bound, reached = _bound(run.pace), run.final.get("staleness_max")
    if bound is None or reached is None or reached >= bound or len(run.modes) > 1:
        return []
    return [Finding("bound_never_binds", "the bound never held anybody back",
                    f"{run.mode} allows a staleness of {bound}, and no step had more than {reached}",
                    f"it ran as asp would; a bound of {max(0, reached - 1)} or less would do something")]


def _rate_over_age(run: Run) -> bool:
    return run.setting("optimizer.age_scaling", "none") == "inverse" and not run.is_local


def _bound(mode: str) -> int | None:
    """The largest staleness that ssp:S or dssp:LO..HI allows; none for other modes, and none to speak of for 0."""
    kind, _, numbers = mode.partition(":")
    if kind not in ("ssp", "dssp"):
        return None
    try:
        return int(numbers.rpartition("..")[2]) or None
    except ValueError:
        return None


def _oldest(run: Run) -> str:
    worker = max(run.metrics.workers, key=lambda entry: entry["age_mean"], default=None)
    return f"{worker['worker']} with {worker['age_mean']:.1f}" if worker else "unknown"


def _round(rate: float) -> str:
    return f"{rate:.2g}"


STALENESS = [too_old, scaled_down, long_tail, loose_bound]
