"""One training of a job's network in PyTorch, from PyTorch's own initial weights and in an order of its own.

    torch_training.py JOB.toml SEED

JOB.toml is a resolved job. An update takes train.batch samples: in bsp that is the global batch, on arrival
it is one push, so all modes are held against the same training. worker.precision = "bfloat16" is autocast
in training; the test is in float32. Prints one JSON object.
"""

import json
import math
import sys
import time
import tomllib

import numpy
import torch
from networks import network_of
from samples import read_samples
from torch.nn import functional


def make_optimizer(optimizer, parameters):
    settings = {"lr": optimizer["rate"], "weight_decay": optimizer["weight_decay"]}
    if optimizer["name"] in ("adam", "adamw"):
        make = torch.optim.Adam if optimizer["name"] == "adam" else torch.optim.AdamW
        return make(parameters, betas=(optimizer["beta1"], optimizer["beta2"]), eps=optimizer["epsilon"], **settings)
    if optimizer["name"] != "sgd":
        settings |= {"momentum": optimizer["momentum"], "nesterov": optimizer["name"] == "nesterov"}
    return torch.optim.SGD(parameters, **settings)


def rate_at(optimizer, samples, batch, epoch_samples, total_samples):
    """The learning rate after so many samples (scheduler/learning_rate.h)."""
    schedule, rate = optimizer["schedule"], optimizer["rate"]
    if schedule["name"] == "step":
        rate *= schedule["step_factor"] ** math.floor(samples / epoch_samples / schedule["step_epochs"])
    elif schedule["name"] == "cosine":
        final = schedule["final_fraction"]
        rate *= final + (1 - final) * (1 + math.cos(math.pi * min(1, samples / total_samples))) / 2
    if schedule["warmup_epochs"] > 0:
        rate *= min(1, (samples + batch) / (schedule["warmup_epochs"] * epoch_samples))
    return rate


def train(job, seed):
    torch.manual_seed(seed)
    inputs, labels = map(torch.from_numpy, read_samples(job["data"], "train"))
    mse = job["model"]["loss"] == "mse"
    network = network_of(job["model"], inputs.shape[-1], labels.shape[1] if mse else job["data"]["classes"], inputs.shape[1])
    loss_of, clip = functional.mse_loss if mse else functional.cross_entropy, job["optimizer"]["clip_norm"]
    optimizer = make_optimizer(job["optimizer"], network.parameters())
    batch, size = job["train"]["batch"], len(labels)
    total = job["train"]["steps"] * batch or job["train"]["epochs"] * size  # samples
    narrow = job["worker"]["precision"] == "bfloat16"
    for epoch in range(math.ceil(total / size)):
        order = torch.from_numpy(numpy.random.default_rng([seed, epoch]).permutation(size))
        for first in range(0, min(size, total - epoch * size), batch):
            rate = rate_at(job["optimizer"], epoch * size + first, batch, size, total)
            for group in optimizer.param_groups:
                group["lr"] = rate
            samples = order[first : first + batch]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
                scores = network(inputs[samples])
            loss_of(scores.float(), labels[samples]).backward()
            if clip > 0:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
    return network


def evaluate(network, job):
    """Accuracy and loss on the test part; no accuracy where numbers are predicted."""
    inputs, labels = map(torch.from_numpy, read_samples(job["data"], "test"))
    network.eval()
    mse = job["model"]["loss"] == "mse"
    loss_of, correct, loss = functional.mse_loss if mse else functional.cross_entropy, 0, 0.0
    with torch.no_grad():
        for x, y in zip(inputs.split(100), labels.split(100)):
            scores = network(x)
            loss += float(loss_of(scores, y)) * len(y)
            correct += 0 if mse else int((scores.argmax(1) == y).sum())
    return None if mse else correct / labels.numel(), loss / len(labels)


def main(job_file, seed):
    with open(job_file, "rb") as file:
        job = tomllib.load(file)
    started = time.monotonic()
    network = train(job, int(seed))
    accuracy, loss = evaluate(network, job)
    print(json.dumps({"accuracy": accuracy, "loss": loss, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
