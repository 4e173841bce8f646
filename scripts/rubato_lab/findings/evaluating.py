"""Evaluations that were left out, or waited for."""

from rubato_cli import text

from . import advice
from .finding import Finding, Run

LATE_SHARE, LATE_S = 0.1, 1.0


def skipped(run: Run) -> list[Finding]:
    lines = list(run.metrics.all("evaluation_skipped"))
    if not lines:
        return []
    made = sum(1 for _ in run.metrics.all("evaluation", "final"))
    return [Finding("evaluation_skipped", "the evaluator did not keep up",
                    f"{len(lines)} of {len(lines) + made} evaluations were left out, the first at clock {lines[0]['clock']}",
                    advice.for_late_evaluator(run, "a larger evaluation.every_epochs (or smaller per_epoch)"))]


def waited_for(run: Run) -> list[Finding]:
    """Training was over, and the job went on evaluating."""
    late = run.final.get("time_s", 0.0) - run.final.get("reached_s", run.final.get("time_s", 0.0))
    train_s = run.final.get("train_s", 0.0)
    if late < max(LATE_S, LATE_SHARE * train_s):
        return []
    return [Finding("evaluation_late", "the job waited for its last evaluations",
                    f"{text.duration(late)} after {text.duration(train_s)} of training",
                    advice.for_late_evaluator(run, "a larger evaluation.every_epochs, evaluation.batch"))]


EVALUATING = [skipped, waited_for]
