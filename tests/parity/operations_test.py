"""Operations give what PyTorch's modules give: outputs, all gradients, and what becomes of running moments.

    operations_test.py PRINT_OPERATIONS

The program runs operations on random numbers and prints them; here PyTorch computes the same in float32 and in float64.
How far its float32 is from float64 is what rounding does; Rubato may be at most three times as far (Euclidean, a tensor),
and half a unit in the last place of every number on top, since both are rounded to float32 at the end. Where Rubato
convolves by Winograd's algorithm, and PyTorch directly, it is three times what that algorithm makes of PyTorch's roundings.
"""

import json
import subprocess
import sys

try:
    import torch
except ImportError:
    print("skipped: no PyTorch for this Python; scripts/setup.sh --test installs it")
    sys.exit(77)

from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from winograd import growth

TIMES_MAX, HALF_A_UNIT = 3.0, 2.0 ** -24
WINOGRAD = growth([0, 0.625, -0.625, 1.5, -1.5], outputs=4, taps=3)  # oneDNN's points for tiles of 4 x 4: 4.8
CALLS = ["forward", "backward_data", "backward_weights"]  # whose results come first, in this order


ACTIVATIONS = {"none": lambda y: y, "relu": functional.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def of_pictures(operation):
    """Rubato's tensors are channels-last."""
    def of_channels_last(x, parameters, options):
        y = operation(x.permute(0, 3, 1, 2), parameters, options)
        return ACTIVATIONS[options["activation"]](y.permute(0, 2, 3, 1))
    of_channels_last.__name__ = operation.__name__
    return of_channels_last


def linear(x, parameters, options):
    return ACTIVATIONS[options["activation"]](functional.linear(x.flatten(1), *parameters))


@of_pictures
def convolution(x, parameters, options):
    weight, *bias = parameters
    return functional.conv2d(x, weight.permute(0, 3, 1, 2), *bias, stride=options["stride"], padding=options["padding"])


@of_pictures
def max_pool(x, parameters, options):
    return functional.max_pool2d(x, options["window"], options["stride"], options["padding"])


@of_pictures
def average_pool(x, parameters, options):
    return functional.avg_pool2d(x, options["window"], options["stride"], options["padding"], count_include_pad=False)


def global_average(x, parameters, options):
    return functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1)


def add(x, parameters, options):
    return ACTIVATIONS[options["activation"]](x + parameters[0])


def batch_norm(x, parameters, options):
    """Also the running moments behind one step. What is pushed for them stands in place of their gradient: samples times
    what they would be if they had no past."""
    weight, bias, *running = parameters[:4]
    pictures, by_running = x.permute(0, 3, 1, 2), options["by_running"]
    own, moved = ([moment.detach().clone() for moment in running] for _ in range(2))
    functional.batch_norm(pictures, *own, training=not by_running, momentum=1.0)
    y = functional.batch_norm(pictures, *moved, weight, bias, not by_running, momentum=0.1, eps=options["epsilon"])
    for moment, of_batch in zip(running, own):
        moment.grad = len(x) * of_batch
    y = sum(parameters[4:], y.permute(0, 2, 3, 1))
    return ACTIVATIONS[options["activation"]](y), *moved


def linear_gelu(x, parameters, options):
    y = functional.linear(x[:, :, 0], *parameters)
    if options["approximate"] == "none":
        return functional.gelu(y)
    return 0.5 * y * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (y + 0.044715 * y ** 3)))  # as 1.13 documents it


def layer_norm(x, parameters, options):
    return functional.layer_norm(x, x.shape[-1:], *parameters, eps=options["epsilon"])


def group_norm(x, parameters, options):
    y = functional.group_norm(x.permute(0, 3, 1, 2), options["groups"], *parameters, eps=options["epsilon"])
    return y.permute(0, 2, 3, 1)


def embedding(x, parameters, options):
    return functional.embedding(x[:, :, 0, 0].long(), parameters[0]) + parameters[1]


def attention(x, parameters, options):
    """What scaled_dot_product_attention of later versions documents."""
    samples, positions = x.shape[:2]
    query, key, value = (part.reshape(samples, positions, options["heads"], -1).transpose(1, 2)
                         for part in x[:, :, 0].chunk(3, dim=-1))
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    later = torch.ones(positions, positions).triu(1).bool()
    y = scores.masked_fill(later, float("-inf")).softmax(-1) @ value
    return y.transpose(1, 2).reshape(samples, positions, -1)


def recurrent(kind, x, parameters, options):
    """Of sequences that are packed, as whoever has different lengths does."""
    both = options["bidirectional"]
    module = kind(x.shape[-1], parameters[1].shape[-1], batch_first=True, bidirectional=both).to(x.dtype)
    for name, parameter in zip([name for name, _ in module.named_parameters()], parameters, strict=True):
        delattr(module, name)
        setattr(module, name, parameter)  # so that gradients come to it
    packed = pack_padded_sequence(x[:, :, 0], torch.tensor(options["lengths"]), batch_first=True, enforce_sorted=False)
    y, last = module(packed)
    if options["last"]:
        return torch.cat(list(last[0] if kind is torch.nn.LSTM else last), dim=1)
    return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]


def lstm(x, parameters, options):
    return recurrent(torch.nn.LSTM, x, parameters, options)


def gru(x, parameters, options):
    return recurrent(torch.nn.GRU, x, parameters, options)


def average(x, parameters, options):
    return torch.stack([sample[:length].mean(dim=(0, 1)) for sample, length in zip(x, options["lengths"], strict=True)])


OPERATIONS = {operation.__name__: operation
              for operation in [linear, convolution, max_pool, average_pool, global_average, add, batch_norm,
                                linear_gelu, layer_norm, group_norm, embedding, attention, lstm, gru, average]}


def in_pytorch(case, dtype):
    """Output and, in training, the input's gradient, the parameters' gradients, moved moments: flat, in float64."""
    x = torch.tensor(case["x"], dtype=dtype).reshape(case["shape"]).requires_grad_()
    parameters = [torch.tensor(values, dtype=dtype).reshape(shape).requires_grad_()
                  for values, shape in zip(case["parameters"], case["shapes"])]
    result = OPERATIONS[case["name"]](x, parameters, case["options"])
    y, *moved = result if isinstance(result, tuple) else (result,)
    results = [y]
    if case["training"]:
        (y.flatten() * torch.tensor(case["r"], dtype=dtype)).sum().backward()
        results += [torch.zeros_like(t) if t.grad is None else t.grad for t in [x, *parameters]] + moved
    return [t.detach().flatten().double() for t in results]


def by_winograd(case, which):
    return which < len(CALLS) and "wino" in case["algorithms"].get(CALLS[which], "")


def main(program):
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    wrong, seen = 0, set()
    for case in map(json.loads, lines):
        ours = [torch.tensor(t, dtype=torch.float64) for t in case["results"]]
        exact, rounded = in_pytorch(case, torch.float64), in_pytorch(case, torch.float32)
        seen.add(case["name"])
        for which, (our, truth, theirs) in enumerate(zip(ours, exact, rounded, strict=True)):
            times = TIMES_MAX * (WINOGRAD if by_winograd(case, which) else 1)
            distance, allowed = (our - truth).norm(), times * (theirs - truth).norm() + HALF_A_UNIT * truth.norm()
            verdict = "" if distance <= allowed else "  TOO FAR"
            wrong += distance > allowed
            print(f"{case['name']} {case['options']} tensor {which}: length {truth.norm():.3g}, "
                  f"PyTorch off by {(theirs - truth).norm():.2g}, Rubato by {distance:.2g}{verdict}")
    missing = OPERATIONS.keys() - seen
    if missing:
        print("not printed:", ", ".join(sorted(missing)))
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
