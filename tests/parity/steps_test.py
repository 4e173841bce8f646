"""Fifty steps of plain SGD in bsp: Rubato's weights are about as close to exact arithmetic as PyTorch's.

    steps_test.py BUILD_DIR

From the same initial weights over the same batches a network is trained by Rubato (two workers, two servers),
by PyTorch in float32 and by PyTorch in float64. How far float32 ends from float64 is what rounding does to
this network; Rubato may be at most three times as far. Initial weights and the order of samples are computed
anew here (philox.py), so they are compared as well.

Where rounding carries a value over the kink of a ReLU or changes the winner of a max pool, a run ends much
further away than rounding alone brings it, and whether that happens is chance. So float32 is trained a few
times, with the samples of each batch in other orders, and the furthest counts; and networks without kinks,
where nothing hides behind such a leap, are compared too.
"""

import sys

try:
    import numpy
    import torch
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(77)

from networks import from_rubato_layout, network_of, to_rubato_layout
from philox import normal_weights, permutation, uniform_weights
from rubato_runs import ROOT, trained
from samples import read_samples
from torch.nn import functional

STEPS, RATE, TIMES_MAX, ORDERS = 50, 0.02, 3.0, 4
CASES = [("fashion_cnn", STEPS, []), ("fashion_lenet", STEPS, ["model.activation=tanh"]),
         ("fashion_mlp", STEPS, ["model.activation=tanh"]),
         # One leaf, since PyTorch normalizes the whole batch; few steps, for so many kinks lead far apart soon.
         ("fashion_resnet18", 10, ["model.width=8", "train.micro_batches=1", "cluster.workers=1", "optimizer.weight_decay=0"]),
         ("fashion_mlp", STEPS, ["model.name=lstm", "model.width=32", "model.layers=2"]),
         ("fashion_mlp", STEPS, ["model.name=gru", "model.width=32"]),
         ("fashion_mlp", STEPS, ["model.name=lstm", "model.width=24", "model.layers=2", "model.bidirectional=true"]),
         ("licences_gpt", STEPS, ["model.width=32", "model.layers=2", "model.heads=2", "data.window=32", "train.batch=8",
                                  "optimizer.rate=0.2", "optimizer.weight_decay=0", "optimizer.clip_norm=0"])]
SETTINGS = ["consistency.mode=bsp", "optimizer.name=sgd", f"optimizer.rate={RATE}",
            "optimizer.schedule.name=constant", "optimizer.schedule.warmup_epochs=0", "model.dropout=0",
            "cluster.servers=2", "cluster.workers=2"]


def deviation_of(model, name, shape):
    """Of a parameter that starts normal, in Rubato's layout; None if it does not."""
    if model["name"] == "resnet18" and len(shape) == 4:  # by fan-out
        return numpy.sqrt(2 / numpy.prod(shape[:3]))
    if model["name"] == "gpt" and len(shape) == 2:
        return 0.02 / (numpy.sqrt(2 * model["layers"]) if "c_proj" in name else 1)
    return None


def start_of(job):
    """The network with the weights that Rubato starts from, in float32."""
    model = job["model"]
    network = network_of(model, job["data"]["window"] if model["name"] == "gpt" else 28, job["data"]["classes"])
    weights, seed = network.state_dict(), job["train"]["seed"]
    for name in weights:
        layer, shape = name.rsplit(".", 1)[0], to_rubato_layout(weights[name]).shape
        if layer + ".running_mean" in weights or layer.split(".")[-1].startswith("ln_"):
            continue  # a normalization starts in PyTorch as it does in Rubato
        deviation = deviation_of(model, name, shape)
        if deviation is not None:
            start = normal_weights(seed, name, shape, deviation)
        else:
            fan_in = model["width"] if layer == "rnn" else weights[layer + ".weight"][0].numel()
            start = uniform_weights(seed, name, shape, fan_in)
        weights[name] = from_rubato_layout(torch.from_numpy(start))
    network.load_state_dict(weights)
    return network


def train(job, steps, precision, shuffle=0):
    """Weights after the steps, as by_name gives them; `shuffle` numbers orders of the samples inside a batch."""
    inputs, labels = map(torch.from_numpy, read_samples(job["data"], "train"))
    tokens = job["data"]["kind"] == "text"
    batch, order = job["train"]["batch"], torch.from_numpy(permutation(job["train"]["seed"], 0, len(labels)))
    network = start_of(job).to(precision)
    optimizer = torch.optim.SGD(network.parameters(), lr=job["optimizer"]["rate"])
    for step in range(steps):
        samples = order[step * batch : (step + 1) * batch]
        if shuffle:
            samples = samples[numpy.random.default_rng([shuffle, step]).permutation(batch)]
        optimizer.zero_grad()
        batch_inputs = inputs[samples] if tokens else inputs[samples].to(precision)
        functional.cross_entropy(network(batch_inputs), labels[samples]).backward()
        optimizer.step()
    return by_name(network)


def by_name(network):
    """Weights in Rubato's layout and float64."""
    return {name: to_rubato_layout(value).double().numpy() for name, value in network.state_dict().items()
            if not name.endswith(".num_batches_tracked")}


def distance(weights, exact, names):
    return numpy.sqrt(sum(float(((weights[name] - exact[name]) ** 2).sum()) for name in names))


def check_golden_order():
    """Of tests/data/permutation_test.cc."""
    assert permutation(1, 0, 10).tolist() == [4, 3, 7, 5, 2, 1, 0, 9, 6, 8]
    assert permutation(7, 3, 60000)[:6].tolist() == [59527, 44246, 5397, 54350, 34715, 1509]


def compare(job_name, steps, settings, build_dir):
    """Prints the distances of one case's trainings; returns whether Rubato's is within the limit."""
    job, rubato, _ = trained(ROOT / "jobs" / f"{job_name}.toml", build_dir, [*SETTINGS, f"train.steps={steps}", *settings])
    start, exact = by_name(start_of(job)), train(job, steps, torch.float64)
    rounded = [train(job, steps, torch.float32, shuffle) for shuffle in range(ORDERS)]
    print(f"{job_name} {' '.join(settings)}: distance to float64 after {steps} steps")
    print(f"{'':>14} {'way made':>10} {'float32':>10} {'rubato':>10} {'times':>6}")
    for name, names in [*((name, [name]) for name in exact), ("all", list(exact))]:
        way, ours = distance(start, exact, names), distance(rubato, exact, names)
        reference = max(distance(weights, exact, names) for weights in rounded)
        print(f"{name:>14} {way:10.3e} {reference:10.3e} {ours:10.3e} {ours / reference:6.2f}")
    return is_near(job_name, ours, reference)  # of all weights together


def is_near(title, ours, reference):
    """Whether Rubato's distance to float64 is within the limit of PyTorch's float32; says so if not."""
    if ours <= TIMES_MAX * reference:
        return True
    print(f"{title}: {ours / reference:.2f} times as far from float64 as PyTorch's float32, limit {TIMES_MAX:g}")
    return False


def main(cases, compare, usage):
    """The exit code of a program that compares these cases with the build that it was given."""
    if len(sys.argv) != 2:
        sys.exit(usage)
    torch.set_num_threads(1)
    check_golden_order()
    return 0 if all([compare(*case, sys.argv[1]) for case in cases]) else 1


if __name__ == "__main__":
    sys.exit(main(CASES, compare, __doc__))
