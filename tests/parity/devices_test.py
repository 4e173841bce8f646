#!/usr/bin/env python3
"""On one device, Rubato's scores, gradients and losses are about as close to exact arithmetic as PyTorch's there.

Usage: tests/parity/devices_test.py [NETWORK...] [--device cpu|cuda] [--bin DIR]

From the same initial weights over the same batches, networks of bench/local_train are trained by plain SGD: by Rubato
in one process (print_steps), by PyTorch in float32 without TF32, and by PyTorch in float64. Compared are the gradients
of the first step, the scores after it, and the losses of all steps. The limit is that of steps_test.py and
operations_test.py: at most three times as far (Euclidean) from float64 as PyTorch's float32 ends, of whose runs with the
samples of a batch in several orders the furthest counts; and half a unit in the last place of every number on top,
since both are rounded to float32 at the end. With cuda it has never run.
Exit codes: 0 all within the limits, 1 not, 2 Rubato's program or the device failed, 77 no PyTorch here.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
TIMES_MAX, HALF_A_UNIT, ORDERS = 3.0, 2.0 ** -24, 4
BATCH, BATCHES, RATE = 8, 4, 0.02
# With their steps: those with many kinks (ReLU, max pools) soon lead far apart.
NETWORKS = {"mlp": 30, "lenet5": 30, "cnn": 30, "resnet18": 10, "lstm": 30, "gru": 30, "gpt": 30}


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"default: {' '.join(NETWORKS)}")
    parser.add_argument("--device", default="cpu", help="of both (default: %(default)s)")
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "bin", help="where print_steps is")
    return parser.parse_args(words)


def ours(options, name):
    """The tensors that print_steps writes, by name."""
    with temporary_folder() as folder:
        file = Path(folder) / "steps.safetensors"
        words = [options.bin / "print_steps", name, "--to", file, "--device", options.device, "--steps", NETWORKS.get(name, 30),
                 "--batch", BATCH, "--batches", BATCHES, "--rate", RATE]
        try:
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        except OSError as failure:
            raise RunFailed(f"{failure}; --bin names the folder of a build") from None
        if done.returncode != 0:
            raise RunFailed(done.stderr.strip() or f"print_steps: exit code {done.returncode}")
        return {name: torch.from_numpy(values.copy()) for name, values in read_floats(file).items()}


class Peer:
    """The same network in PyTorch."""

    def __init__(self, options, name, given):
        self.device, self.given = options.device, given
        model, shape, size, classes = NETWORKS_OF_TORCH[name]
        self.network_words = {"activation": "relu", "dropout": 0, **model}, size, classes, shape[0]
        self.tokens = model["name"] == "gpt"
        inputs = given["inputs"]
        if self.tokens:
            inputs = inputs.long()
        elif len(shape) == 3:
            inputs = inputs.permute(0, 3, 1, 2)  # from channels last
        self.inputs = inputs.reshape(len(inputs), *shape)
        self.labels = given["labels"].long().reshape(len(inputs), *(shape if self.tokens else ()))

    def start(self, precision):
        network = network_of(*self.network_words)
        weights = network.state_dict()
        for name in weights:
            if not name.endswith(".num_batches_tracked"):
                weights[name] = from_rubato_layout(self.given[f"start/{name}"])
        network.load_state_dict(weights)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 0.0  # its running moments stay, as in print_steps
        return network.to(precision).to(self.device)

    def batch(self, step, order, precision):
        first = step % BATCHES * BATCH
        inputs = self.inputs[first : first + BATCH][order].to(self.device)
        return inputs if self.tokens else inputs.to(precision), self.labels[first : first + BATCH][order].to(self.device)

    def train(self, steps, precision, shuffle=0):
        """What print_steps writes, in float64 on the host; `shuffle` numbers orders of the samples inside a batch."""
        network, losses, found = self.start(precision), [], {}
        optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
        for step in range(steps):
            order = torch.arange(BATCH)
            if shuffle:
                order = torch.from_numpy(numpy.random.default_rng([shuffle, step]).permutation(BATCH))
            inputs, labels = self.batch(step, order, precision)
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(inputs), labels)
            loss.backward()
            if step == 0:
                found["gradients"] = flat(to_rubato_layout(each.grad) for each in network.parameters())
            optimizer.step()
            losses.append(loss.detach().reshape(1))
            if step == 0:
                found["scores"] = self.scores(network, precision)
        return found | {"losses": flat(losses)}

    def scores(self, network, precision):
        network.eval()
        with torch.no_grad():
            scores = network(self.batch(0, torch.arange(BATCH), precision)[0])
        network.train()
        return flat([scores.transpose(1, 2) if self.tokens else scores])

    def read(self, given):
        """What Rubato found, in the same form."""
        names = [name for name, _ in self.start(torch.float32).named_parameters()]
        return {"gradients": flat(given[f"gradient/{name}"] / BATCH for name in names), "scores": flat([given["outputs"]]),
                "losses": flat([given["losses"]])}


def flat(tensors):
    return torch.cat([each.detach().double().cpu().reshape(-1) for each in tensors])


def compare(options, name):
    """Prints the distances of one network; returns whether all are within the limit."""
    steps, given = NETWORKS.get(name, 30), ours(options, name)
    peer = Peer(options, name, given)
    mine, exact = peer.read(given), peer.train(steps, torch.float64)
    rounded = [peer.train(steps, torch.float32, shuffle) for shuffle in range(ORDERS)]
    all_within = True
    for what, values in exact.items():
        distance = float((mine[what] - values).norm())
        reference = max(float((run[what] - values).norm()) for run in rounded)
        size = float(values.norm())
        within = distance <= TIMES_MAX * reference + HALF_A_UNIT * size  # not of NaN
        all_within = all_within and within
        times = f"{distance / reference:.2f}" if reference > 0 else "-"
        print(f"{name:>10} {what:>10} {size:10.3e} {reference:10.3e} {distance:10.3e} {times:>6}{'' if within else '  too far'}", flush=True)
    return all_within


def main(options):
    unknown = [name for name in options.networks if name not in NETWORKS_OF_TORCH]
    if unknown:
        print(f"devices_test: no network {unknown[0]}: {', '.join(NETWORKS_OF_TORCH)}", file=sys.stderr)
        return 2
    if options.device != "cpu" and not torch.cuda.is_available():
        print(f"devices_test: --device {options.device}: this PyTorch finds no GPU; without the option it is the CPU", file=sys.stderr)
        return 2
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1)
    print(f"{options.device}, PyTorch {torch.__version__}: distances to float64, limit {TIMES_MAX:g} times float32's")
    print(f"{'network':>10} {'of':>10} {'size':>10} {'float32':>10} {'rubato':>10} {'times':>6}", flush=True)
    try:
        within = [compare(options, name) for name in options.networks or NETWORKS]
    except RunFailed as failed:
        print(f"devices_test: {failed}", file=sys.stderr)
        return 2
    return 0 if all(within) else 1


if __name__ == "__main__":
    chosen_options = parse(sys.argv[1:])  # so that --help needs nothing
    try:
        import numpy
        import torch
    except ImportError:
        print("skipped: no PyTorch, or no NumPy, for this Python; scripts/setup.sh --test installs them")
        sys.exit(SKIPPED)
    from torch.nn import functional

    sys.path.insert(0, str(ROOT / "bench"))
    from networks import from_rubato_layout, network_of, to_rubato_layout
    from rubato_runs import RunFailed, read_floats, temporary_folder
    from torch_steps import NETWORKS as NETWORKS_OF_TORCH

    sys.exit(main(chosen_options))
