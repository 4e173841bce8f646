"""Images, windows of text or of a series, and rows of a table, as Rubato makes them of a job's data."""

import csv
import gzip
from pathlib import Path

import numpy
from philox import permutation


def read_idx(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        data = file.read()
    axes = data[3]
    shape = numpy.frombuffer(data, ">u4", axes, 4)
    return numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * axes).reshape(shape)


def part_of(rows, data, split):
    """The earliest rows are for training, the last for the test (data/row_split.h)."""
    test, validation = (round(len(rows) * data[f"{name}_fraction"]) for name in ("test", "validation"))
    return rows[: len(rows) - test - validation] if split == "train" else rows[len(rows) - test :]


def read_windows(data, split):
    """data/text_dataset.h: tokens (samples, window) as int64, and the labels behind them."""
    folder = Path(data["path"])
    files = sorted(str(file) for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    text = numpy.frombuffer(b"\0".join(Path(file).read_bytes() for file in files), numpy.uint8).astype(numpy.int64)
    stride = data["stride"] if split == "train" else data["window"]
    windows = numpy.lib.stride_tricks.sliding_window_view(part_of(text, data, split), data["window"] + 1)[::stride]
    return windows[:, :-1].copy(), windows[:, 1:].copy()


def read_series(data, split):
    """data/series_dataset.h: lines (samples, window, columns) and targets (samples, horizon * targets), as float32."""
    with open(data["path"], newline="") as file:
        table = list(csv.DictReader(file))
    columns = data["columns"] or [name for name in table[0] if name != data["time"]]

    def scaled(names):
        values = numpy.array([[float(row[name]) for name in names] for row in table])
        train = part_of(values, data, "train")
        return part_of((values - train.mean(axis=0)) / train.std(axis=0), data, split).astype(numpy.float32)

    inputs, targets, window, horizon = scaled(columns), scaled(data["target"]), data["window"], data["horizon"]
    firsts = range(0, len(inputs) - window - horizon + 1, data["stride"])
    seen = numpy.stack([inputs[first : first + window] for first in firsts])
    return seen, numpy.stack([targets[first + window : first + window + horizon].reshape(-1) for first in firsts])


def rows_of_part(size, data, split):
    """Which rows of a table are for training and which for the test (data/row_split.h)."""
    test, validation = (round(size * data[f"{name}_fraction"]) for name in ("test", "validation"))
    order = permutation(data["split_seed"], 0, size, "split")
    return numpy.sort(order[:test] if split == "test" else order[test + validation :])


def read_table(data, split):
    """data/table_dataset.h: columns (samples, columns, 1, 1) as float32, and classes, numbered by their names."""
    with open(data["path"], newline="") as file:
        table = list(csv.DictReader(file))
    missing = {"", "NA", "N/A", "NaN", "nan", "null", "?"}
    values = numpy.array([[numpy.nan if row[name] in missing else float(row[name]) for name in data["columns"]] for row in table])
    train = values[rows_of_part(len(table), data, "train")]
    mean, rows = numpy.nanmean(train, axis=0), rows_of_part(len(table), data, split)
    inputs = numpy.nan_to_num((values[rows] - mean) / numpy.nanstd(train, axis=0)).astype(numpy.float32)
    names = [row[data["target"][0]] for row in table]
    return inputs[:, :, None, None], numpy.unique(names, return_inverse=True)[1].astype(numpy.int64)[rows]


def read_samples(data, split):
    """Inputs and labels or targets; `split` is "train" or "test"."""
    return {"text": read_windows, "series": read_series, "csv": read_table}.get(data["kind"], read_images)(data, split)


def read_images(data, split):
    """Inputs (samples, 1, height, width) as float32 and labels as int64."""
    pixels = read_idx(data[f"{split}_inputs"]).astype(numpy.float32) / 255
    inputs = (pixels - numpy.float32(data["mean"])) / numpy.float32(data["stddev"])
    return inputs[:, None], read_idx(data[f"{split}_labels"]).astype(numpy.int64)
