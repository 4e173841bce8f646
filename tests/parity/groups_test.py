"""Groups of parameters in bsp: a rate, a weight decay and a place among the frozen as PyTorch's parameter groups give them.

    groups_test.py BUILD_DIR

As steps_test.py has it: from the same initial weights over the same batches, Rubato's weights may be at most three
times as far from those of PyTorch in float64 as PyTorch's own in float32. Frozen parameters are PyTorch's with
requires_grad = False, and normalizations whose running means are frozen too are its modules in eval(). What is frozen
keeps its bits.
"""

import sys

try:
    import numpy
    import torch
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(77)

from fnmatch import fnmatchcase

from philox import permutation
from rubato_runs import ROOT, trained
from samples import read_samples
from steps_test import ORDERS, SETTINGS, by_name, distance, is_near, main, start_of
from torch.nn import functional
from torch_training import make_optimizer

SMOOTH = ["model.activation=tanh", "model.hidden=[64, 32]"]
CASES = [
    ("fashion_mlp", 50, [*SMOOTH, "optimizer.name=sgd", "optimizer.weight_decay=0.01",
                         'optimizer.groups=["fc1.weight rate=0.1", "*.bias decay=0", "fc3.* rate=5 decay=0.1"]']),
    ("fashion_mlp", 50, [*SMOOTH, "optimizer.name=nesterov", "optimizer.momentum=0.5", "optimizer.clip_norm=0.5",
                         "train.micro_batches=1", "cluster.workers=1",  # PyTorch clips the gradient of a whole batch
                         'optimizer.groups=["fc1.* frozen", "fc3.weight rate=2"]']),
    ("fashion_mlp", 50, [*SMOOTH, "optimizer.name=adamw", "optimizer.rate=0.001", "optimizer.weight_decay=0.1",
                         'optimizer.groups=["fc2.* frozen", "*.bias decay=0", "fc3.* rate=10"]']),
    # One leaf, since PyTorch normalizes the whole batch.
    ("fashion_resnet18", 10, ["model.width=8", "optimizer.name=momentum", "train.micro_batches=1", "cluster.workers=1",
                              "optimizer.weight_decay=0.01", "optimizer.rate=0.02",
                              'optimizer.groups=["conv1.* frozen", "bn1.* frozen", "layer[123].* frozen", "fc.* rate=10"]']),
    # Normalizations that go by their running means, between layers that are trained.
    ("fashion_resnet18", 10, ["model.width=8", "optimizer.name=sgd", "train.micro_batches=1", "cluster.workers=1",
                              "optimizer.weight_decay=0", 'optimizer.groups=["*.running_* frozen", "*bn?.bias frozen"]'])]


def group_of(job, name):
    """What holds for a parameter: frozen, the factor of its rate, its weight decay."""
    for text in job["optimizer"]["groups"]:
        pattern, *words = text.split()
        if fnmatchcase(name, pattern):
            options = dict(word.split("=") for word in words if word != "frozen")
            return ("frozen" in words, float(options.get("rate", 1)),
                    float(options.get("decay", job["optimizer"]["weight_decay"])))
    return False, 1.0, job["optimizer"]["weight_decay"]


def train(job, steps, precision, shuffle=0):
    """As steps_test.train, with parameter groups."""
    inputs, labels = map(torch.from_numpy, read_samples(job["data"], "train"))
    batch, order = job["train"]["batch"], torch.from_numpy(permutation(job["train"]["seed"], 0, len(labels)))
    network, groups = start_of(job).to(precision), []
    for name, parameter in network.named_parameters():
        frozen, factor, decay = group_of(job, name)
        parameter.requires_grad_(not frozen)
        if not frozen:
            groups.append({"params": [parameter], "lr": factor * job["optimizer"]["rate"], "weight_decay": decay})
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and group_of(job, f"{name}.running_mean")[0]:
            module.eval()
    optimizer = make_optimizer(job["optimizer"], groups)
    for step in range(steps):
        samples = order[step * batch : (step + 1) * batch]
        if shuffle:
            samples = samples[numpy.random.default_rng([shuffle, step]).permutation(batch)]
        optimizer.zero_grad()
        functional.cross_entropy(network(inputs[samples].to(precision)), labels[samples]).backward()
        if job["optimizer"]["clip_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(network.parameters(), job["optimizer"]["clip_norm"])
        optimizer.step()
    return by_name(network)


def compare(job_name, steps, settings, build_dir):
    """Prints the distances of one case's trainings; returns whether Rubato's is within the limit."""
    job, rubato, _ = trained(ROOT / "jobs" / f"{job_name}.toml", build_dir, [*SETTINGS, f"train.steps={steps}", *settings])
    start, exact = by_name(start_of(job)), train(job, steps, torch.float64)
    rounded = [train(job, steps, torch.float32, shuffle) for shuffle in range(ORDERS)]
    moved = [name for name in exact if not group_of(job, name)[0]]
    still = [name for name in exact if group_of(job, name)[0]]
    way, ours = distance(start, exact, moved), distance(rubato, exact, moved)
    reference = max(distance(weights, exact, moved) for weights in rounded)
    print(f"{job_name} {' '.join(settings)}: after {steps} steps")
    print(f"  way made {way:.3e}, float32 from float64 {reference:.3e}, Rubato {ours:.3e}, times {ours / reference:.2f}")
    for name in still:
        if not numpy.array_equal(rubato[name], start[name].astype(numpy.float32)):
            print(f"{job_name}: {name} is frozen, and has moved")
            return False
    return is_near(job_name, ours, reference)


if __name__ == "__main__":
    sys.exit(main(CASES, compare, __doc__))
