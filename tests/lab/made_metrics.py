"""metrics.jsonl as the scheduler writes it, made up: what a run of so and so many workers would leave.

Usage: made_metrics.py is a library of the tests here, and of fake_programs.py.
"""

import json

BATCH, SAMPLES, EPOCHS, PROGRESS = 100, 1000, 3, 5


def run_lines(mode="asp", count=4, seed=1, slow=1.0, accuracies=(0.6, 0.8, 0.85), rate=0.1, classes=0, **final) -> list[dict]:
    """A run whose worker 0 is `slow` times as slow as the others. bsp takes an update a clock and waits for it, others
    an update a push. It is tested on 1,000 samples of each of `classes`. `final` adds to the last line, or replaces."""
    aggregate = mode == "bsp"
    updates_an_epoch = SAMPLES // BATCH
    update_s = slow if aggregate else 1.0 / count
    epoch_s = updates_an_epoch * update_s * (1 + 0.01 * (seed % 1000))
    ages = {0: 100} if aggregate else {age: 40 - 10 * abs(age - count + 1) for age in range(count - 2, count + 2)}
    names = [f"worker-{rank}" for rank in range(count)]
    lines = [{"event": "start", "time_s": 0.5, "mode": mode, "workers": count, "servers": 1, "batch": BATCH}]
    for epoch in range(EPOCHS):
        for part in range(PROGRESS):
            done = epoch + (part + 1) / PROGRESS
            lines.append({"event": "progress", "time_s": 0.5 + done * epoch_s, "updates": round(done * updates_an_epoch),
                          "samples_settled": round(done * SAMPLES), "rate": rate, "train_loss": 2.0 / (1 + done),
                          "train_accuracy": 0.5, "age_mean": 0.0})
        line = {"event": "evaluation" if epoch + 1 < EPOCHS else "final", "time_s": 0.7 + (epoch + 1) * epoch_s,
                "epoch": epoch + 1, "clock": (epoch + 1) * updates_an_epoch, "reached_s": 0.5 + (epoch + 1) * epoch_s,
                "updates": (epoch + 1) * updates_an_epoch, "samples_settled": (epoch + 1) * SAMPLES,
                "train_loss": 1.0, "test_loss": 1 - accuracies[epoch],
                "test_accuracy": accuracies[epoch] - 0.001 * (seed % 1000)}
        if classes:
            line["details"] = {"per_class": [{"support": 1000}] * classes}
        lines.append(line)
    held = 0.4 if aggregate and slow > 1 else 0.0
    train_s = EPOCHS * epoch_s
    if held:
        lines[1:1] = [{"event": "wait", "time_s": 0.5 + clock + slow, "worker": name, "for": "worker-0", "clock": clock,
                       "from_s": 0.5 + clock * slow + 1, "to_s": 0.5 + (clock + 1) * slow}
                      for clock in range(EPOCHS * updates_an_epoch) for name in names[1:]]
    lines[-1].update({
        "samples_per_s": EPOCHS * SAMPLES / train_s, "staleness_max": 0 if aggregate else 2, "train_s": train_s,
        "samples": EPOCHS * SAMPLES, "samples_dropped": 0, "torn_steps": 0, "nonfinite": 0,
        "weights_sha256": f"{mode} {seed} {slow} {accuracies}",
        "pushes": sum(ages.values()), "pushes_repeated": 0, "pushes_dropped": 0, "refused_frames": 0,
        "wait_share": held * (count - 1) / count,
        "ages": [[age, count] for age, count in sorted(ages.items())],
        "workers": [{"worker": name, "samples": SAMPLES * EPOCHS // count, "steps": updates_an_epoch * EPOCHS,
                     "time_s": train_s, "wait_s": held * train_s if rank else 0.0,
                     "wait_workers_s": held * train_s if rank else 0.0, "wait_weights_s": 0.0,
                     "held_up_s": 0.0 if rank else held * train_s * (count - 1), "age_mean": 1.0}
                    for rank, name in enumerate(names)],
        "waits": [[name, "worker-0", held * train_s] for name in names[1:]] if held else [],
        "waits_unlisted": 0, "waits_unlisted_s": 0.0})
    lines[-1].update(final)
    return lines


def on_validation(lines: list[dict]) -> list[dict]:
    """The same run with evaluation.part = "validation"."""
    for line in lines:
        for figure in ("loss", "accuracy"):
            if f"test_{figure}" in line:
                line[f"validation_{figure}"] = line.pop(f"test_{figure}")
    return lines


def held_out(lines: list[dict], tested: float) -> list[dict]:
    """The same run with evaluation.holdout: its evaluations were on what is held out, and its best weights came to
    `tested` on the test set."""
    evaluated = [line for line in on_validation(lines) if line["event"] in ("evaluation", "final")]
    best = max(evaluated, key=lambda line: line["validation_accuracy"])
    lines[-1].update({"test_accuracy": tested, "test_loss": 1 - tested, "best_epoch": best["epoch"],
                      "best_validation_accuracy": best["validation_accuracy"],
                      "best_validation_loss": best["validation_loss"], "stopped_early": False})
    return lines


def as_text(lines: list[dict]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
