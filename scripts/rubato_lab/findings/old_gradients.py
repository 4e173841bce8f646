"""How old gradients may be, by two rules of thumb, both stated with what they rest on, for no single run can show what
another rate would have done:

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

from dataclasses import dataclass

from .finding import Run

MOMENTUM_MAX = 0.95
AGE_MIN = 1.0  # below one update of age, nothing is said
AGE_PLAIN_SGD = 4.0  # without momentum of its own, a rule bears some

MITLIAGKAS = "Mitliagkas et al. 2016"
ZHANG = "Zhang et al. 2016"


@dataclass(frozen=True)
class OldGradients:
    """Of this mean age, met by this rule. `table` of the job has its rate and momentum."""

    age: float
    table: str
    rule: str
    rate: float
    momentum: float
    is_rate_over_age: bool

    @staticmethod
    def of(run: Run, age: float) -> "OldGradients | None":
        """None where they are not old, or the rule is none that minds."""
        table = "optimizer.outer" if run.is_local else "optimizer"
        rule, rate = run.setting(f"{table}.name", "sgd"), run.setting(f"{table}.rate", 0.0)
        momentum = run.setting(f"{table}.momentum", 0.0) if rule in ("momentum", "nesterov") else 0.0
        if rule in ("adam", "adamw"):
            momentum = run.setting("optimizer.beta1", 0.9)
        if age < AGE_MIN or rule in ("average", "delayed_nesterov"):
            return None
        return OldGradients(age, table, rule, rate, momentum, is_rate_over_age(run))

    @property
    def implied_momentum(self) -> float:
        return 1 - (1 - self.momentum) / (1 + self.age)

    @property
    def are_borne(self) -> bool:
        if self.momentum:
            return self.implied_momentum <= MOMENTUM_MAX
        return self.is_rate_over_age or self.age < AGE_PLAIN_SGD

    @property
    def rule_words(self) -> str:
        """`momentum at rate 0.02 and momentum 0.9`"""
        return (f"{self.rule} at rate {self.rate:g}" + (" over the age" if self.is_rate_over_age else "")
                + (f" and momentum {self.momentum:g}" if self.momentum else ""))


def is_rate_over_age(run: Run) -> bool:
    return run.setting("optimizer.age_scaling", "none") == "inverse" and not run.is_local
