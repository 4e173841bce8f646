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
    """By worker: one may die several times, and come back."""
    events: dict[str, list[str]] = {}
    for line in run.metrics.all("worker_lost", "worker_returned"):
        said = f"lost at clock {line['clock']} ({line['reason']})" if line["event"] == "worker_lost" else \
            f"back at clock {line['clock']}"
        events.setdefault(line["worker"], []).append(said)
    if not events:
        return []
    gone = len(run.metrics.lost_for_good)
    said = [f"{worker}: {', '.join(happened)}" for worker, happened in events.items()]
    figures = "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")
    if not gone:
        return [Finding("workers_returned", f"{text.plural(len(events), 'worker')} died, and came back", figures,
                        "see their logs in logs/ for why")]
    count = run.metrics.start.get("workers") or len(run.metrics.workers)
    return [Finding("workers_lost", f"the job went on without {gone} of its {count} workers", figures,
                    "see their logs in logs/ for why; with cluster.restarts the launcher starts one again")]


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


LOSSES = [ended, diverged, loss_rose, nonfinite, workers_lost, samples_dropped, pushes_dropped]
