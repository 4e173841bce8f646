"""A deep belief network's machines, trained over real servers, against numpy: written from the equations that
kernels/rbm.h cites, in float64, with the same random bits (philox.py), for CD-k and for persistent chains.

    machines_test.py BUILD_DIR

A probability and a drawn number that are the same to float32's roundings would be told apart by chance: a bit that
falls the other way changes a weight by rate / batch, 3e-3. That happens once in about 2**24 / 8 bits, and these runs
draw 1e5; they are the same every time, so it has not happened.
"""

import sys
import unittest
from pathlib import Path

import numpy
from philox import blocks, normal_weights, permutation, stream_key
from rubato_runs import SHARED_BSP, read_weights, run, temporary_folder

SAMPLES, HEIGHT, WIDTH, CLASSES = 70, 6, 5, 3
BATCH, LEAVES, RATE, HIDDEN, EPOCHS, SEED = 32, 4, 0.1, (10, 7), 2, 5
# A weight's update is a mean of products of probabilities, off by some 20 roundings of 6e-8 each, times the rate; there are
# 12 of them, and each is off by what the one before has done to the weights, which makes it no more than twice.
CLOSE = 12 * 2 * 20 * 6e-8 * RATE + 12 * 6e-8

JOB = f"""
[model]
name = "dbn"
hidden = {list(HIDDEN)}
pretrain_epochs = {EPOCHS}
[data]
kind = "npz"
path = "images.npz"
classes = {CLASSES}
[optimizer]
name = "sgd"
rate = {RATE}
{SHARED_BSP}
slice_bytes = 256
[train]
batch = {BATCH}
micro_batches = {LEAVES}
epochs = {2 * EPOCHS + 1}
seed = {SEED}
"""


def sigmoid(x):
    return 1 / (1 + numpy.exp(-x))


def drawn(p, machine, epoch, ids, step, side):
    key = stream_key(stream_key(SEED, "gibbs", machine), "epoch", epoch)
    units = numpy.arange((p.shape[1] + 3) // 4, dtype=numpy.uint64)
    low = numpy.uint64((2 * step + side) << 32) | units
    low, high = numpy.broadcast_arrays(low[None, :], numpy.asarray(ids, dtype=numpy.uint64)[:, None])
    words = blocks(key, low, high).reshape(len(ids), -1)[:, : p.shape[1]]
    return ((words >> 8) * 2.0**-24 < p).astype(numpy.float64)


class Machine:
    def __init__(self, number, visible, hidden):
        self.number = number
        self.w = normal_weights(SEED, f"fc{number + 1}.weight", (hidden, visible), 0.01).astype(numpy.float64)
        self.b, self.a = numpy.zeros(hidden), numpy.zeros(visible)
        self.chains = {}

    def up(self, v):
        return sigmoid(v @ self.w.T + self.b)

    def down(self, h):
        return sigmoid(h @ self.w + self.a)

    def error(self, v):
        return ((v - self.down(self.up(v))) ** 2).mean(axis=1).sum()

    def gradient(self, v, ids, epoch, steps, leaf, persistent):
        """Of -log p(v), estimated: a sum over the samples."""
        chain = v
        if persistent:
            kept = self.chains.get(leaf, v[:0])
            self.chains[leaf] = kept = numpy.concatenate([kept, v[len(kept) :]])
            chain = kept[: len(v)]
        positive, h = self.up(v), self.up(chain)
        for step in range(steps):
            chain = drawn(self.down(drawn(h, self.number, epoch, ids, step, 0)), self.number, epoch, ids, step, 1)
            h = self.up(chain)
        if persistent:
            self.chains[leaf][: len(v)] = chain
        return (h.T @ chain - positive.T @ v, (h - positive).sum(axis=0), (chain - v).sum(axis=0))


def leaves_of(count):
    """base/partition.h: as equal as can be, the longer ones first."""
    sizes = [count // LEAVES + (leaf < count % LEAVES) for leaf in range(LEAVES)]
    ends = numpy.cumsum(sizes)
    return [(leaf, end - size, end) for leaf, (size, end) in enumerate(zip(sizes, ends)) if size]


def trained(images, steps, persistent):
    """The machines, and the reconstruction error of each epoch."""
    machines = [Machine(i, *pair) for i, pair in enumerate(zip((HEIGHT * WIDTH, *HIDDEN), HIDDEN))]
    errors = []
    for epoch in range(2 * EPOCHS):
        number, order, error = epoch // EPOCHS, permutation(SEED, epoch, len(images)), 0.0
        machine = machines[number]
        for first in range(0, len(images), BATCH):
            ids = order[first : first + BATCH]
            seen = images[ids]
            for below in machines[:number]:
                seen = below.up(seen)
            error += machine.error(seen)
            sums = [machine.gradient(seen[a:b], ids[a:b], epoch, steps, leaf, persistent) for leaf, a, b in leaves_of(len(ids))]
            for values, gradient in zip((machine.w, machine.b, machine.a), map(sum, zip(*sums))):
                values -= RATE * gradient / len(ids)
        errors.append(error / len(images))
    return machines, errors


class Machines(unittest.TestCase):
    def check(self, steps, persistent):
        random = numpy.random.default_rng(3)
        pixels = random.integers(0, 256, (SAMPLES, HEIGHT, WIDTH), dtype=numpy.uint8)
        pixels[:, ::2] |= 192  # there is something to learn
        labels = random.integers(0, CLASSES, SAMPLES).astype(numpy.uint8)
        with temporary_folder() as name:
            folder = Path(name)
            numpy.savez(folder / "images.npz", train_images=pixels, train_labels=labels, test_images=pixels,
                        test_labels=labels)
            (folder / "job.toml").write_text(JOB)
            clocks = 2 * EPOCHS * -(-SAMPLES // BATCH)
            run(folder / "job.toml", BUILD, folder / "run",
                [f"model.cd_steps={steps}", f"model.persistent={str(persistent).lower()}", f"train.steps={clocks}"])
            found = read_weights(folder / "run")
        images = (pixels.reshape(SAMPLES, -1) / numpy.float32(255)).astype(numpy.float64)
        machines, errors = trained(images, steps, persistent)
        for machine in machines:
            for suffix, expected in (("weight", machine.w), ("bias", machine.b), ("visible_bias", machine.a)):
                name = f"fc{machine.number + 1}.{suffix}"
                self.assertGreater(numpy.abs(expected).max(), 100 * CLOSE, name)
                numpy.testing.assert_allclose(found[name], expected, rtol=0, atol=CLOSE, err_msg=name)
        self.assertLess(errors[1], errors[0])

    def test_contrastive_divergence(self):
        self.check(steps=1, persistent=False)

    def test_of_three_steps(self):
        self.check(steps=3, persistent=False)

    def test_persistent_chains(self):
        self.check(steps=2, persistent=True)


if __name__ == "__main__":
    BUILD = Path(sys.argv.pop(1)).resolve()
    unittest.main()
