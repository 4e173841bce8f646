"""Training steps of bench/local_train's networks in PyTorch, on random samples; prints the samples/s of each window.

    torch_steps.py NAME [--batch B] [--threads T] [--seconds S] [--windows W] [--layout contiguous|channels_last]
                   [--device cuda] [--precision float32|tf32|bfloat16] [--mode eager|compiled|graphed] [--without-update]

SGD with momentum, as there; without an update it is forward and backward alone, as in bench/gpu_steps. Run it with the Python whose PyTorch is meant; bench/versus_torch.py does, with the
settings under which PyTorch is fastest on a CPU. With WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT in the environment
it is one of several that share their gradients by DistributedDataParallel over gloo, as bench/versus_ddp.py starts them.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "parity"))
from networks import network_of  # noqa: E402

RATE, MOMENTUM = 0.01, 0.9
# By name: the model, the shape of a sample, what network_of calls its size, classes.
NETWORKS = {"logistic": ({"name": "logistic"}, (1, 28, 28), 28, 10),
            "mlp": ({"name": "mlp", "hidden": [1024, 1024]}, (1, 28, 28), 28, 10),
            "lenet5": ({"name": "lenet5"}, (1, 28, 28), 28, 10),
            "cnn": ({"name": "cnn", "channels": [32, 64], "dense": 128}, (1, 28, 28), 28, 10),
            "resnet18": ({"name": "resnet18", "width": 64}, (3, 32, 32), 32, 10),
            "resnet18-fashion": ({"name": "resnet18", "width": 64}, (1, 28, 28), 28, 10),
            "resnet18-imagenet": ({"name": "resnet18", "width": 64, "stem": "imagenet"}, (3, 224, 224), 224, 1000),
            "lstm": ({"name": "lstm", "width": 256, "layers": 2}, (64, 64), 64, 10),
            "gru": ({"name": "gru", "width": 256, "layers": 2}, (64, 64), 64, 10),
            "gpt": ({"name": "gpt", "width": 128, "layers": 4, "heads": 4}, (128,), 128, 256),
            "gpt2-small": ({"name": "gpt", "width": 768, "layers": 12, "heads": 12}, (1024,), 1024, 50257)}


def case_of(name, batch):
    """The network, its inputs and its labels."""
    model, shape, size, classes = NETWORKS[name]
    network = network_of({"activation": "relu", "dropout": 0, **model}, size, classes, channels=shape[0])
    if model["name"] == "gpt":
        return network, torch.randint(0, classes, (batch, *shape)), torch.randint(0, classes, (batch, *shape))
    return network, torch.rand(batch, *shape), torch.randint(0, classes, (batch,))


def agreed(steps):
    """The same number in all processes, since each step waits for all of them."""
    if "WORLD_SIZE" not in os.environ:
        return steps
    count = torch.tensor([steps])
    torch.distributed.broadcast(count, 0)
    return int(count)


def graphed(step):
    """The step as one CUDA graph, as PyTorch's documentation makes one: warmed up on a stream of its own first."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    on_gpu = options.device.startswith("cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.precision == "tf32"
    torch.backends.cudnn.benchmark = True
    network, inputs, labels = case_of(options.name, options.batch)
    network, inputs, labels = (each.to(options.device) for each in (network, inputs, labels))
    if options.layout == "channels_last":
        network, inputs = network.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)
    if "WORLD_SIZE" in os.environ:
        torch.distributed.init_process_group("gloo")
        network = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM)
    run = torch.compile(network) if options.mode == "compiled" else network

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(options.device.split(":")[0], torch.bfloat16, enabled=options.precision == "bfloat16"):
            loss = functional.cross_entropy(run(inputs), labels)
        loss.backward()
        if options.update:
            optimizer.step()

    take = graphed(step) if options.mode == "graphed" else step

    def timed(steps):
        begin = time.perf_counter()
        for _ in range(steps):
            take()
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    timed(2)
    steps = agreed(max(1, round(3 * options.seconds / timed(3))))
    for _ in range(options.windows):
        print(f"{steps * options.batch / timed(steps):.2f}", flush=True)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a window")
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--layout", choices=["contiguous", "channels_last"], default="contiguous")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32")
    parser.add_argument("--mode", choices=["eager", "compiled", "graphed"], default="eager")
    parser.add_argument("--without-update", dest="update", action="store_false")
    sys.exit(main(parser.parse_args()))
