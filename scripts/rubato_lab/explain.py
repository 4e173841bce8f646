"""The command `explain`: what held a run back, with figures, and what to try."""

import json
from pathlib import Path

from rubato_cli import text
from rubato_cli.failure import Failure
from rubato_cli.progress_lines import ended_part

from . import ages, processors
from .findings import Finding, Run, find
from .run_figures import RunFigures, read_job, was_simulated


def explain(arguments) -> int:
    run_dir = Path(arguments.run_dir)
    if not run_dir.is_dir():
        raise Failure(f"there is no run directory {run_dir}")
    run = Run(RunFigures.read(run_dir), read_job(run_dir), processors.of_run(run_dir), was_simulated(run_dir))
    findings = find(run)
    if arguments.json:
        print(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        print("\n".join(lines(run_dir, run, findings)))
    return 0


def lines(run_dir: Path, run: Run, findings: list[Finding]) -> list[str]:
    said = [f"{run_dir}: {_headline(run)}", *_idle(run), ""]
    for number, finding in enumerate(findings, 1):
        said += [f"{number}. {finding.what}", f"   {finding.figures}", f"   try: {finding.advice}", ""]
    if not findings:
        said += ["nothing stands out", ""]
    return said[:-1]


def _headline(run: Run) -> str:
    final, metrics = run.final, run.metrics
    workers = metrics.start.get("workers")
    parts = [", then ".join(run.modes), text.plural(workers, "worker") if workers is not None else "? workers"]
    part = ended_part(final)
    if final.get(f"{part}_accuracy") is not None:
        parts.append(f"{part} accuracy {text.percent(final[f'{part}_accuracy'], 2)}")
    if final.get("train_s") is not None:
        parts.append(f"{text.duration(final['train_s'])} of training")
    if metrics.ages:
        parts.append(f"mean age {ages.mean(metrics.ages):.1f}")
    return ", ".join(parts)


def _idle(run: Run) -> list[str]:
    """All workers' time without anything to compute, in parts that add up."""
    if not run.metrics.workers:
        return []
    time = run.time
    parts = {"for other workers": time.for_workers, "for weights": time.for_weights,
             "for acknowledgements and messages under way": time.messages, "done before the others": time.done_early}
    whole = round(100 * sum(parts.values()))
    shown = _add_up([100 * share for share in parts.values()], whole)
    return [f"{whole}% of all workers' time without anything to compute: "
            + ", ".join(f"{share}% {name}" for name, share in zip(parts, shown))]


def _add_up(shares: list[float], whole: int) -> list[int]:
    """Rounded down, and what is missing from the whole given to those with the largest remainders."""
    found = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda index: found[index] - shares[index])
    for index in by_remainder[:whole - sum(found)]:
        found[index] += 1
    return found
