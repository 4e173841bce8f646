"""What was lost: the loss itself, gradients, workers, samples, pushes."""

from rubato_cli import text

from .finding import Finding, Run

DROPPED_SHARE = 0.01
ROSE = 2.0


def ended(run: Run) -> list[Finding]:
    failed = next(run.metrics.all("failed"), None)
    if failed:
        return [Finding("failed", "the job failed", f"exit code {failed.get('exit_code')}: {failed.get('reason')}",
                        "mend that first; the logs are in logs/")]
    if not run.final:
        return [Finding("unfinished", "the job has not ended in order",
                        f"its last line in metrics.jsonl is of {run.metrics.lines[-1]['time_s']:.1f} s" if run.metrics.lines
                        else "metrics.jsonl is empty",
                        "wait for its end, or see logs/scheduler.log for why there was none; what follows is of what there is")]
    return []


def diverged(run: Run) -> list[Finding]:
    if not run.metrics.diverged:
        return []
    last = [point for point in run.metrics.train_loss]
    when = f"the last training loss that is a number is {last[-1].value:.4g}, after {text.count(last[-1].updates)} updates" \
        if last else "no training loss was ever a number"
    return [Finding("diverged", "the loss is no number any more: the run diverged", when,
                    f"a smaller optimizer.rate than {run.setting('optimizer.rate')}, a warm-up "
                    "(optimizer.schedule.warmup_epochs), or optimizer.clip_norm")]


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
    return [Finding("nonfinite", "gradients were not finite, and were dropped",
                    f"{len(lines)} of slices, the first of {first['parameter']} at clock {first['clock']} of {first['worker']}",
                    "a smaller optimizer.rate or optimizer.clip_value; consistency.nonfinite=stop ends a job at the first")]


def workers_lost(run: Run) -> list[Finding]:
    lines = list(run.metrics.all("worker_lost"))
    if not lines:
        return []
    said = "; ".join(f"{line['worker']} at clock {line['clock']} ({line['reason']})" for line in lines[:3])
    more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
    return [Finding("workers_lost", f"the job went on without {len(lines)} of its workers", said + more,
                    "see their logs in logs/")]


def samples_dropped(run: Run) -> list[Finding]:
    dropped, settled = run.final.get("samples_dropped", 0), run.final.get("samples", 0)
    if not dropped:
        return []
    return [Finding("samples_dropped", "samples were never trained on",
                    f"{text.count(dropped)} of {text.count(dropped + settled)} ({100 * dropped / (dropped + settled):.1f}%), "
                    f"and {text.count(run.final.get('torn_steps', 0))} steps were torn",
                    "in bsp the others take over a dead worker's part; train.epochs could make up for it")]


def pushes_dropped(run: Run) -> list[Finding]:
    dropped, pushes = run.final.get("pushes_dropped", 0), run.final.get("pushes", 0)
    if dropped <= DROPPED_SHARE * pushes or run.metrics.diverged:
        return []
    advice = "look for the cause in logs/: nothing in this mode should drop pushes"
    if run.kind == "backup":
        advice = f"{run.mode} drops what comes last on purpose; fewer backup workers drop less"
    return [Finding("pushes_dropped", "work was thrown away: pushes were settled without being applied",
                    f"{text.count(dropped)} of {text.count(pushes)} pushes of slices ({100 * dropped / pushes:.1f}%)", advice)]


LOSSES = [ended, diverged, loss_rose, nonfinite, workers_lost, samples_dropped, pushes_dropped]
