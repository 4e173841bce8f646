"""Stands for rubato-scheduler --resolve and rubato-sim. Usage: fake_programs.py PROGRAM JOB [--set KEY=VALUE...] --run-dir DIR

Its job file is not read but for being part of the resolved job. Keys that it minds:
  fake.sleep_s     how long a run takes
  fake.fail_mode   runs of this mode fail, and say why
  consistency.mode=nonsense   is refused, as is any value zzz, and leases in bsp
Each run adds a line to made.txt beside the program.
"""

import os
import sys
import time
from pathlib import Path

import made_metrics

ACCURACIES = {"bsp": (0.7, 0.8, 0.85), "asp": (0.5, 0.7, 0.84)}


def options(words):
    settings, run_dir = {}, None
    for name, value in zip(words, words[1:]):
        if name == "--set":
            key, _, text = value.partition("=")
            settings[key] = text
        elif name == "--run-dir":
            run_dir = Path(value)
    return settings, run_dir


def resolved(settings):
    tables = {}
    for key, value in sorted(settings.items()):
        table, _, name = key.partition(".")
        number = value.replace(".", "", 1).isdigit()
        tables.setdefault(table, []).append(f"{name} = {value}" if number else f'{name} = "{value}"')
    return "".join(f"[{table}]\n" + "\n".join(lines) + "\n" for table, lines in tables.items())


def simulate(settings, run_dir):
    mode = settings["consistency.mode"]
    time.sleep(float(settings.get("fake.sleep_s", 0)))
    if mode == settings.get("fake.fail_mode"):
        print("12:00:00.000 scheduler error: it went wrong on purpose", file=sys.stderr)
        return 6
    slow = 4.0 if settings.get("worker.stragglers", "none").startswith("persistent") else 1.0
    rate = float(settings.get("optimizer.rate", 0.1))
    best = [accuracy - abs(rate - 0.1) for accuracy in ACCURACIES.get(mode, (0.6, 0.75, 0.83))]
    lines = made_metrics.run_lines(mode, int(settings.get("cluster.workers", 4)), int(settings["train.seed"]), slow, best)
    (run_dir / "metrics.jsonl").write_text(made_metrics.as_text(lines))
    return 0


def main():
    program, words = sys.argv[1], sys.argv[2:]
    settings, run_dir = options(words)
    if settings.get("consistency.mode") == "nonsense":
        print('job.toml:1: consistency.mode = "nonsense": a mode is bsp, ssp:S or asp', file=sys.stderr)
        return 2
    if "zzz" in settings.values():
        print("job.toml:1: what is zzz?", file=sys.stderr)
        return 2
    if (settings.get("consistency.mode"), settings.get("data.shards")) == ("bsp", "leased"):
        print("job.toml:1: leases do not go with bsp", file=sys.stderr)
        return 2
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "job.toml").write_text(resolved(settings))
    if program == "rubato-scheduler":
        return 0
    with open(Path(os.environ["RUBATO_FAKE_FOLDER"]) / "made.txt", "a") as file:
        file.write(run_dir.name + "\n")
    return simulate(settings, run_dir)


sys.exit(main())
