"""What was lost: the loss itself, gradients, workers, samples, pushes."""

from collections import Counter

from rubato_cli import text

from .. import ages
from ..chance import Chance
from ..divergence import blown_up
from .advice import logs_of
from .finding import Finding, Run
from .old_gradients import AGE_MIN

GRID = "scripts/rubato compare JOB --grid optimizer.rate=..."
DROPPED_SHARE = 0.01
ROSE = 2.0
NAMED = 3


def ended(run: Run) -> list[Finding]:
    failed = next(run.metrics.all("failed"), None)
    if failed:
        return [Finding("failed", "the job failed", f"exit code {failed.get('exit_code')}: {failed.get('reason')}",
                        "mend that first; the logs are in logs/")]
    if not run.final:
        return [Finding("unfinished", "the job has not ended in order",
                        f"its last line in metrics.jsonl is of {run.metrics.lines[-1]['time_s']:.1f} s" if run.metrics.lines
                        else "metrics.jsonl is empty",
                        f"wait for its end, or see {logs_of(run, 'logs/scheduler.log')} for why there was none; what follows is of "
                        "what there is")]
    return []


def diverged(run: Run) -> list[Finding]:
    """divergence.py has the rule."""
    if not run.metrics.diverged:
        return []
    if far := blown_up(run.metrics):
        what = "the loss ended far above that of an untrained model: the run diverged"
        when = f"{far[0]:.4g} at the end, where a model that knows nothing has {far[1]:.4g}"
    else:
        what = "the loss is no number any more: the run diverged"
        last = run.metrics.train_loss[-1:]
        when = f"the last training loss that is a number is {last[0].value:.4g}, after {text.count(last[0].updates)} updates" \
            if last else "no training loss was ever a number"
    if first := next(run.metrics.all("nonfinite"), None):
        when += f"; the first gradient that was not finite was of {first['parameter']}, at clock {first['clock']} of " \
                f"{first['worker']}"
    return [Finding("diverged", what, when,
                    f"a smaller optimizer.rate than {run.setting('optimizer.rate')} ({GRID} shows which is borne), a warm-up "
                    "(optimizer.schedule.warmup_epochs), or optimizer.clip_norm")]


def learned_nothing(run: Run) -> list[Finding]:
    """chance.py has the rule."""
    chance, ended = Chance.of([run.metrics]), run.metrics.ended(is_accuracy=True)
    if run.metrics.diverged or chance is None or not chance.is_all(ended):
        return []
    best = max(run.metrics.accuracy, key=lambda point: point.value)
    figures = f"{run.metrics.part} accuracy {text.percent(ended, 2)}, not clearly above {chance.words}"
    what = "it ended having learned nothing"
    if not chance.is_all(best.value):
        what = "what had been learned was lost again"
        figures += f"; it was {text.percent(best.value, 2)} after {text.count(best.updates)} updates"
    is_old = (ages.mean(run.metrics.ages) or 0.0) >= AGE_MIN
    rate = f"optimizer.rate than {run.setting('optimizer.rate')}"
    advice = f"a smaller {rate}, since older gradients bear less" if is_old else f"another {rate}"
    return [Finding("learned_nothing", what, figures, f"{advice}: {GRID} shows the mode at its best")]


def loss_rose(run: Run) -> list[Finding]:
    curve = run.metrics.train_loss
    if run.metrics.diverged or len(curve) < 2:
        return []
    least = min(curve, key=lambda point: point.value)
    last = curve[-1]
    if least.value <= 0 or last.value < ROSE * least.value:
        return []
    return [Finding("loss_rose", "the training loss rose again",
                    f"from {least.value:.4g} after {text.count(least.updates)} updates to {last.value:.4g} at the end",
                    f"a smaller optimizer.rate than {run.setting('optimizer.rate')}, or a schedule that lets it fall")]


def nonfinite(run: Run) -> list[Finding]:
    lines = list(run.metrics.all("nonfinite"))
    if not lines or run.metrics.diverged:
        return []
    first = lines[0]
    named = Counter(line["parameter"] for line in lines).most_common(NAMED)
    most = ", ".join(f"{name} {text.count(times)}" for name, times in named)
    stop = run.setting("consistency.nonfinite") == "stop"
    advice = "" if stop else "; consistency.nonfinite=stop ends a job at the first"
    return [Finding("nonfinite", f"gradients were not finite{'' if stop else ', and were dropped'}",
                    f"{text.plural(len(lines), 'gradient')} of slices, the first of {first['parameter']} at clock {first['clock']} of "
                    f"{first['worker']}; most often {most}",
                    f"a smaller optimizer.rate or optimizer.clip_value{advice}")]


def workers_lost(run: Run) -> list[Finding]:
    """By worker: one may die several times, and come back."""
    events: dict[str, list[str]] = {}
    for line in run.metrics.all("worker_lost", "worker_returned"):
        said = f"lost at clock {line['clock']} ({line['reason']})" if line["event"] == "worker_lost" else \
            f"back at clock {line['clock']}"
        events.setdefault(line["worker"], []).append(said)
    if not events:
        return []
    gone, logs = len(run.metrics.lost_for_good), logs_of(run, "their logs in logs/")
    again = "with cluster.restarts one is started again" if run.is_simulated else "with cluster.restarts the launcher starts one again"
    said = [f"{worker}: {', '.join(happened)}" for worker, happened in events.items()]
    figures = "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")
    if not gone:
        return [Finding("workers_returned", f"{text.plural(len(events), 'worker')} died, and came back", figures,
                        f"see {logs} for why")]
    count = run.metrics.start.get("workers") or len(run.metrics.workers)
    return [Finding("workers_lost", f"the job went on without {gone} of its {count} workers", figures,
                    f"see {logs} for why; {again}")]


def samples_dropped(run: Run) -> list[Finding]:
    dropped, settled = run.final.get("samples_dropped", 0), run.final.get("samples", 0)
    if not dropped:
        return []
    died = any(run.metrics.all("worker_lost"))
    torn = run.final.get("torn_steps", 0)
    figures = f"{text.count(dropped)} of {text.count(dropped + settled)} ({100 * dropped / (dropped + settled):.1f}%)"
    figures += f"; torn steps: {text.count(torn)}" if torn else ""
    what, advice = "samples were never trained on", []
    if run.backups:
        advice.append(f"{run.mode} does not need the slowest {run.backups} of each clock, and drops the samples that they had: "
                      "fewer backup workers drop less and wait more, and train.epochs makes up for it")
        what = what if died else f"samples were never trained on, as {run.mode} means it"
    if died and run.could_lease:
        advice.append("data.shards=leased gives the samples of a worker that dies to the others")
    elif died or not run.backups:
        advice.append("train.epochs could make up for what lost workers had")
    return [Finding("samples_dropped", what, figures, "; ".join(advice))]


def pushes_dropped(run: Run) -> list[Finding]:
    dropped, pushes = run.final.get("pushes_dropped", 0), run.final.get("pushes", 0)
    if dropped <= DROPPED_SHARE * pushes or run.metrics.diverged:
        return []
    advice = "look for the cause in logs/: nothing in this mode should drop pushes"
    if run.backups:
        advice = f"{run.mode} drops what comes last on purpose; fewer backup workers drop less"
    return [Finding("pushes_dropped", "work was thrown away: pushes were settled without being applied",
                    f"{text.count(dropped)} of {text.count(pushes)} pushes of slices ({100 * dropped / pushes:.1f}%)", advice)]


LOSSES = [ended, diverged, learned_nothing, loss_rose, nonfinite, workers_lost, samples_dropped, pushes_dropped]
