"""Class weights and ignored labels in bsp, beside PyTorch's cross_entropy(weight=..., ignore_index=...).

    labels_test.py BUILD_DIR

The rule is that of steps_test.py: Rubato's weights may be at most three times as far from PyTorch's in float64 as
PyTorch's own in float32. Where a batch is the whole training part, the reference is PyTorch's own mean, which divides by
the weights of the batch's labels. Of smaller batches Rubato divides by its samples times the mean weight of the training
part (docs/decisions/class-weights-average-to-one.md), and the reference says so; what PyTorch's division would give is
printed beside it.
"""

import sys

try:
    import numpy
    import torch
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(77)

from philox import permutation
from rubato_runs import SHARED_BSP, temporary_folder, trained
from steps_test import ORDERS, by_name, distance, is_near, main, start_of
from torch.nn import functional

SAMPLES, CLASSES, EPOCHS, IGNORED = 192, 4, 30, 255
JOB = f"""
[model]
name = "mlp"
hidden = [16]
activation = "tanh"
[data]
kind = "npz"
path = "some.npz"
classes = {CLASSES}
mean = 0.5
stddev = 0.25
[optimizer]
name = "sgd"
rate = 0.05
{SHARED_BSP}
[train]
epochs = {EPOCHS}
batch = {SAMPLES}
"""
WEIGHTS, NOTHING = [0.5, 4.0, 1.0, 2.0], [0, 4.0, 1.0, 2.0]
CASES = [("weights, the whole part a batch", {"model.class_weights": WEIGHTS}),
         ("weights and smoothed labels", {"model.class_weights": WEIGHTS, "model.label_smoothing": 0.1}),
         ("balanced", {"model.class_weighting": "balanced"}),
         ("the commonest class counts nothing", {"model.class_weights": NOTHING}),
         ("so do all of some batches", {"model.class_weights": NOTHING, "train.batch": 4}),
         ("ignored labels", {"data.ignored_labels": [IGNORED]}),
         ("ignored labels and weights", {"data.ignored_labels": [IGNORED], "model.class_weights": WEIGHTS}),
         ("batches of 32, weights", {"model.class_weights": WEIGHTS, "train.batch": 32}),
         ("batches of 32, balanced", {"model.class_weighting": "balanced", "train.batch": 32})]


def write_samples(path, ignored):
    """Images whose classes come unequally often; every sixth of them without a label, if `ignored`."""
    random = numpy.random.default_rng(1)
    labels = random.choice(CLASSES, SAMPLES, p=[0.55, 0.05, 0.25, 0.15]).astype(numpy.uint8)
    labels[:CLASSES] = range(CLASSES)
    images = random.integers(0, 256, (SAMPLES, 28, 28), dtype=numpy.uint8)
    for label in range(CLASSES):
        images[labels == label, 7 * label : 7 * label + 7] //= 4
    if ignored:
        labels[5::6] = IGNORED
    parts = {f"{part}_{what}": values for part in ("train", "val", "test")
             for what, values in (("images", images), ("labels", labels))}
    numpy.savez(path, **parts)
    return (images.astype(numpy.float32) / 255 - 0.5) / 0.25, labels.astype(numpy.int64)


def weights_of(job, labels):
    if job["model"]["class_weighting"] == "balanced":  # as scikit-learn's compute_class_weight
        return len(labels) / (CLASSES * numpy.bincount(labels, minlength=CLASSES))
    return numpy.array(job["model"]["class_weights"] or [1.0] * CLASSES)


def train(job, images, labels, precision, shuffle=0, divide_by_batch=True):
    kept = labels != IGNORED
    batch = job["train"]["batch"]
    whole = batch >= len(labels)
    if not whole:
        images, labels = images[kept], labels[kept]  # who has no label is in no batch
    weights = torch.tensor(weights_of(job, labels[labels != IGNORED]), dtype=precision)
    mean = float(weights.double()[torch.from_numpy(labels[labels != IGNORED])].mean())
    network = start_of(job).to(precision)
    optimizer = torch.optim.SGD(network.parameters(), lr=job["optimizer"]["rate"])
    inputs, labels = torch.from_numpy(images)[:, None].to(precision), torch.from_numpy(labels)
    for epoch in range(EPOCHS):
        order = permutation(job["train"]["seed"], epoch, len(labels))
        for first in range(0, len(labels), batch):
            samples = order[first : first + batch]
            if shuffle:
                samples = samples[numpy.random.default_rng([shuffle, epoch, first]).permutation(len(samples))]
            samples = torch.from_numpy(samples)
            usual = whole or not divide_by_batch
            loss = functional.cross_entropy(network(inputs[samples]), labels[samples], weight=weights, ignore_index=IGNORED,
                                            label_smoothing=job["model"]["label_smoothing"],
                                            reduction="mean" if usual else "sum")
            optimizer.zero_grad()
            (loss if usual else loss / (len(samples) * mean)).backward()
            optimizer.step()
    return by_name(network)


def compare(title, settings, build_dir):
    with temporary_folder() as folder:
        images, labels = write_samples(f"{folder}/some.npz", "data.ignored_labels" in settings)
        with open(f"{folder}/job.toml", "w") as file:
            file.write(JOB)
        job, rubato, final = trained(f"{folder}/job.toml", build_dir, [f"{key}={value}" for key, value in settings.items()])
    start, exact = by_name(start_of(job)), train(job, images, labels, torch.float64)
    names = list(exact)
    reference = max(distance(train(job, images, labels, torch.float32, shuffle), exact, names) for shuffle in range(ORDERS))
    ours = distance(rubato, exact, names)
    print(f"{title}: way made {distance(start, exact, names):.3e}, float32 from float64 {reference:.3e}, "
          f"Rubato {ours:.3e}, times {ours / reference:.2f}")
    if job["train"]["batch"] < SAMPLES:
        other = train(job, images, labels, torch.float64, divide_by_batch=False)
        print(f"  dividing by each batch's weights ends {distance(other, exact, names):.3e} away")
    counted = final["details"]["samples"]
    if counted != int((labels != IGNORED).sum()):
        print(f"{title}: {counted} samples were evaluated, and {int((labels != IGNORED).sum())} have a label")
        return False
    return is_near(title, ours, reference)


if __name__ == "__main__":
    sys.exit(main(CASES, compare, __doc__))
