"""Sequences of different lengths, beside PyTorch's pack_padded_sequence: trainings in bsp, evaluation and prediction.

    lengths_test.py BUILD_DIR

The rule is that of steps_test.py: Rubato's weights may be at most three times as far from PyTorch's in float64 as
PyTorch's own in float32. What is behind a sample's end is no number here (NaN), so that nothing may have read it; without
lengths the data is refused. Lengths come in an npz archive or in files of their own, of all samples or of those that are
trained on where some are held out.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

try:
    import numpy
    import torch
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(77)

from philox import permutation, uniform_weights
from rubato_runs import ROOT, SHARED_BSP, read_weights, run, temporary_folder
from steps_test import ORDERS, by_name, distance, is_near, main
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

SAMPLES, POSITIONS, FEATURES, CLASSES, EPOCHS, BATCH = 96, 11, 3, 3, 12, 24
CLOSE = 1e-5  # of outputs of about 1: a few hundred roundings of 6e-8
JOB = f"""
[model]
name = "lstm"
width = 6
[data]
kind = "npz"
path = "some.npz"
classes = {CLASSES}
[optimizer]
name = "sgd"
rate = 0.2
{SHARED_BSP}
[train]
epochs = {EPOCHS}
batch = {BATCH}
micro_batches = 4
[evaluation]
batch = 40
"""
FILES = ["data.kind=npy", "data.path=", *(f"data.{part}_{what}=FOLDER/{part}_{name}.npy" for part in ("train", "test")
         for what, name in (("inputs", "images"), ("labels", "labels"), ("lengths", "lengths")))]
LISTED = ["dense 5 per_position tanh", "gru 6 bidirectional", "global_average", f"dense {CLASSES}"]


def run_packed(module, x, lengths):
    """Its outputs, zero behind the end, and the last states of its last layer: both directions', where there are two."""
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, last = module(packed)
    last = last[0] if isinstance(last, tuple) else last  # an LSTM has its inner states, too
    last = torch.cat(list(last[-2 if module.bidirectional else -1 :]), dim=1)
    return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], last


class Recurrent(nn.Module):
    def __init__(self, kind, layers, both):
        super().__init__()
        self.rnn = kind(FEATURES, 6, num_layers=layers, batch_first=True, bidirectional=both)
        self.fc = nn.Linear(12 if both else 6, CLASSES)

    def forward(self, x, lengths):
        return self.fc(run_packed(self.rnn, x, lengths)[1])


class Listed(nn.Module):
    """LISTED, each part by the name of its line."""

    def __init__(self):
        super().__init__()
        self.dense1 = nn.Linear(FEATURES, 5)
        self.gru1 = nn.GRU(5, 6, batch_first=True, bidirectional=True)
        self.dense2 = nn.Linear(12, CLASSES)

    def forward(self, x, lengths):
        y = run_packed(self.gru1, torch.tanh(self.dense1(x)), lengths)[0]
        return self.dense2(y.sum(dim=1) / lengths[:, None])


CASES = [("lstm", lambda: Recurrent(nn.LSTM, 1, False), []),
         ("lstm in both directions", lambda: Recurrent(nn.LSTM, 2, True), ["model.layers=2", "model.bidirectional=true"]),
         ("gru in both directions, from files", lambda: Recurrent(nn.GRU, 1, True),
          ["model.name=gru", "model.bidirectional=true", *FILES]),
         ("a list of layers", Listed, ["model.name=layers", f"model.network={json.dumps(LISTED)}"])]


def write_samples(folder):
    """Noise, in which at one position of each sample a feature stands out: its class. NaN behind the end."""
    random, parts = numpy.random.default_rng(1), {}
    for part in ("train", "test"):
        lengths = random.integers(1, POSITIONS + 1, SAMPLES)
        lengths[:2] = 1, POSITIONS
        labels = random.integers(0, CLASSES, SAMPLES)
        inputs = random.normal(0, 0.3, (SAMPLES, POSITIONS, 1, FEATURES)).astype(numpy.float32)
        inputs[numpy.arange(SAMPLES), random.integers(0, lengths), 0, labels] += 3
        inputs[numpy.arange(POSITIONS) >= lengths[:, None]] = numpy.nan
        parts |= {f"{part}_images": inputs, f"{part}_labels": labels, f"{part}_lengths": lengths}
    numpy.savez(folder / "some.npz", **parts)
    for name, values in parts.items():
        numpy.save(folder / f"{name}.npy", values)
    return {name: torch.from_numpy(numpy.nan_to_num(values)) for name, values in parts.items()}


def start_of(make, job):
    """The network with the weights that Rubato starts from, in float32."""
    network, seed = make(), job["train"]["seed"]
    weights = network.state_dict()
    for name, value in weights.items():
        layer = name.rsplit(".", 1)[0]
        module = getattr(network, layer)
        fan_in = module.hidden_size if isinstance(module, nn.RNNBase) else module.in_features
        weights[name] = torch.from_numpy(uniform_weights(seed, name, value.shape, fan_in))
    network.load_state_dict(weights)
    return network


def train(make, job, parts, precision, shuffle=0):
    network = start_of(make, job).to(precision)
    optimizer = torch.optim.SGD(network.parameters(), lr=job["optimizer"]["rate"])
    inputs = parts["train_images"][:, :, 0].to(precision)
    for epoch in range(EPOCHS):
        order = permutation(job["train"]["seed"], epoch, SAMPLES)
        for first in range(0, SAMPLES, BATCH):
            samples = order[first : first + BATCH]
            if shuffle:
                samples = samples[numpy.random.default_rng([shuffle, epoch, first]).permutation(len(samples))]
            scores = network(inputs[samples], parts["train_lengths"][samples])
            optimizer.zero_grad()
            functional.cross_entropy(scores, parts["train_labels"][samples]).backward()
            optimizer.step()
    return network


def rubato(build_dir, command, *words):
    words = [ROOT / "scripts" / "rubato", command, *words, "--build-dir", build_dir]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: exit code {done.returncode}: {done.stderr}"
    return done.stdout


def check_outputs(title, network, weights, parts, folder, build_dir, final):
    """What the run, eval and predict say of the test part is what PyTorch says of the same weights."""
    network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
    with torch.no_grad():
        scores = network(parts["test_images"][:, :, 0], parts["test_lengths"])
    loss = float(functional.cross_entropy(scores, parts["test_labels"]))
    figures = json.loads(rubato(build_dir, "eval", folder / "run", "--json"))
    there = [folder / f"test_{what}.npy" for what in ("images", "lengths")]
    said = []
    for words in (["--part", "test"], ["--input", there[0], "--lengths", there[1]]):
        rubato(build_dir, "predict", folder / "run", *words, "--to", folder / "said.npz")
        with numpy.load(folder / "said.npz") as arrays:
            said.append(arrays["scores"])
    right = (abs(figures["test_loss"] - loss) < CLOSE and figures["test_loss"] == final["test_loss"]
             and all(numpy.allclose(some, scores.numpy(), rtol=CLOSE, atol=CLOSE) for some in said))
    if not right:
        print(f"{title}: eval says {figures['test_loss']}, the run {final['test_loss']}, PyTorch {loss}; scores are off by "
              f"{[float(numpy.abs(some - scores.numpy()).max()) for some in said]}")
    return right


def compare(title, make, settings, build_dir):
    with temporary_folder() as name:
        folder = Path(name)
        parts = write_samples(folder)
        (folder / "job.toml").write_text(JOB)
        settings = [setting.replace("FOLDER", name) for setting in settings]
        final = run(folder / "job.toml", build_dir, folder / "run", settings)
        job = tomllib.loads((folder / "run" / "job.toml").read_text())
        weights = read_weights(folder / "run")
        right = check_outputs(title, make(), weights, parts, folder, build_dir, final)
    start, exact = by_name(start_of(make, job)), by_name(train(make, job, parts, torch.float64))
    names = list(exact)
    reference = max(distance(by_name(train(make, job, parts, torch.float32, shuffle)), exact, names)
                    for shuffle in range(ORDERS))
    ours = distance(weights, exact, names)
    print(f"{title}: way made {distance(start, exact, names):.3e}, float32 from float64 {reference:.3e}, "
          f"Rubato {ours:.3e}, times {ours / reference:.2f}; test accuracy {final['test_accuracy']:.3f}")
    return right and is_near(title, ours, reference)


if __name__ == "__main__":
    sys.exit(main(CASES, compare, __doc__))
