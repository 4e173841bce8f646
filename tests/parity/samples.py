"""Images and labels of a job's data, as Rubato normalizes them."""

import gzip

import numpy


def read_idx(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        data = file.read()
    axes = data[3]
    shape = numpy.frombuffer(data, ">u4", axes, 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * axes).reshape(shape)


def read_samples(data, split):
    """Inputs (samples, 1, height, width) as float32 and labels as int64; `split` is "train" or "test"."""
    pixels = read_idx(data[f"{split}_inputs"]).astype(numpy.float32) / 255
    inputs = (pixels - numpy.float32(data["mean"])) / numpy.float32(data["stddev"])
    return inputs[:, None], read_idx(data[f"{split}_labels"]).astype(numpy.int64)
