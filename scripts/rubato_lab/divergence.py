"""When a run has diverged: its loss is no number any more, or ended far above that of an untrained model.

A model that gives each of k classes the same chance has a cross-entropy of ln k, whatever it is shown. Where no
evaluation tells of classes, the first loss that was recorded stands for it. Ten times that is beyond anything that a
model says from not knowing better: it is sure, and wrong. chance.py has the other end that comes to nothing: an accuracy
that is no better than chance, at whatever loss.
"""

import math

TIMES = 10.0


def is_diverged(run) -> bool:
    return _is_no_number(run) or blown_up(run) is not None


def blown_up(run) -> tuple[float, float] | None:
    """The last loss and the untrained model's, of a run that ended above TIMES of it."""
    for curve in (run.train_loss, run.evaluated_loss):
        untrained = math.log(run.classes) if run.classes > 1 else curve[0].value if curve else 0.0
        if curve and 0 < TIMES * untrained < curve[-1].value:
            return curve[-1].value, untrained
    return None


def _is_no_number(run) -> bool:
    """Of an evaluated job the last evaluation tells, and any line of progress."""
    loss = f"{run.part}_loss"
    asked = [line for line in run.all("evaluation", "final") if loss in line]
    evaluated = any(line[loss] is not None for line in asked)
    lost = asked and asked[-1][loss] is None and (evaluated or run.final.get("nonfinite", 0) > 0)
    return bool(lost) or any(line.get("train_loss", 0.0) is None for line in run.all("progress"))
