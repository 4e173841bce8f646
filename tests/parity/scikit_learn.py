"""What scikit-learn's classifiers reach on a job's data, and what always saying the most frequent class does.

Usage: tests/parity/scikit_learn.py [--job penguins] [--seeds 3] [--set KEY=VALUE] [--build-dir DIR]

The rows for training and for the test, and their scaling, are the job's own (samples.py). LogisticRegression has its
defaults, and none of the job's keys. Of a job with dense layers MLPClassifier has the same layers, optimizer, rate,
batch and epochs, at a rate that stays constant. Exit code: 77 no scikit-learn for this Python.
"""

import argparse
import importlib.util
import statistics
import sys
import tomllib
import warnings
from pathlib import Path

import numpy
from rubato_runs import ROOT, resolve, temporary_folder
from samples import read_samples

SKIPPED = 77


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--job", default="penguins", help="a name in jobs/, or a file (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many: 1, 2, ... (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the job file")
    parser.add_argument("--build-dir", default=ROOT / "build", help="where Rubato was built")
    return parser.parse_args(words)


def same_layers(job, seed):
    """An MLPClassifier of the job's layers, trained as the job says."""
    from sklearn.neural_network import MLPClassifier

    model, optimizer, train = job["model"], job["optimizer"], job["train"]
    settings = {"activation": {"sigmoid": "logistic"}.get(model["activation"], model["activation"]), "random_state": seed,
                "batch_size": train["batch"], "max_iter": train["epochs"], "n_iter_no_change": train["epochs"], "tol": 0,
                "alpha": optimizer["weight_decay"], "learning_rate_init": optimizer["rate"]}
    if optimizer["name"] == "adam":
        settings |= {"solver": "adam", "beta_1": optimizer["beta1"], "beta_2": optimizer["beta2"], "epsilon": optimizer["epsilon"]}
    else:
        momentum = 0.0 if optimizer["name"] == "sgd" else optimizer["momentum"]
        settings |= {"solver": "sgd", "momentum": momentum, "nesterovs_momentum": optimizer["name"] == "nesterov"}
    return MLPClassifier(model["hidden"], **settings)


def classifiers(job, seed):
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    made = {"most frequent class": DummyClassifier(), "LogisticRegression": LogisticRegression(random_state=seed)}
    return made | ({"MLPClassifier": same_layers(job, seed)} if job["model"]["name"] == "mlp" else {})


def main(words):
    options = parse(words)
    warnings.filterwarnings("ignore", module="sklearn")  # that training ended with its epochs, and not by itself
    path = Path(options.job) if options.job.endswith(".toml") else ROOT / "jobs" / f"{options.job}.toml"
    with temporary_folder() as folder:
        job = tomllib.loads(resolve(path, options.build_dir, folder, options.set).read_text())
    (inputs, labels), (test_inputs, test_labels) = (read_samples(job["data"], split) for split in ("train", "test"))
    inputs, test_inputs = inputs.reshape(len(inputs), -1), test_inputs.reshape(len(test_inputs), -1)
    print(f"{options.job}: {len(labels)} samples to train on, {len(test_labels)} for the test; test accuracy in percent, "
          f"mean of {options.seeds} seeds (least to most)")
    reached = {}
    for seed in range(1, options.seeds + 1):
        for name, classifier in classifiers(job, seed).items():
            right = classifier.fit(inputs, labels).predict(test_inputs) == test_labels
            reached.setdefault(name, []).append(100 * numpy.mean(right))
    for name, values in reached.items():
        print(f"{name:>20} {statistics.mean(values):6.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    if importlib.util.find_spec("sklearn") is None:
        print("skipped: no scikit-learn for this Python; python3 -m pip install scikit-learn")
        sys.exit(SKIPPED)
    main(sys.argv[1:])
