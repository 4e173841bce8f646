"""Small data sets in idx files, made from a seed: learnable, since a class is a bright row of its image."""

import gzip
import random
import struct
from pathlib import Path

SIDE = 28
CLASSES = 10


def write(folder: Path, train: int, test: int) -> dict[str, str]:
    """Makes the four files; returns the settings of a job that reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {}
    for split, count, seed in (("train", train, 1), ("test", test, 2)):
        inputs, labels = folder / f"{split}-images.gz", folder / f"{split}-labels.gz"
        source = random.Random(seed)
        classes = [source.randrange(CLASSES) for _ in range(count)]
        inputs.write_bytes(gzip.compress(idx((count, SIDE, SIDE), b"".join(picture(source, k) for k in classes))))
        labels.write_bytes(gzip.compress(idx((count,), bytes(classes))))
        settings |= {f"data__{split}_inputs": str(inputs), f"data__{split}_labels": str(labels)}
    return settings


def idx(shape, octets: bytes) -> bytes:
    """The format of MNIST's files: two zero bytes, the type of the elements (bytes), the sizes, the elements."""
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + octets


def picture(source: random.Random, kind: int) -> bytes:
    rows = [bytearray(source.randbytes(SIDE)) for _ in range(SIDE)]
    for row in rows:
        row[:] = bytes(value // 4 for value in row)
    rows[2 * kind + 4][:] = b"\xff" * SIDE
    return b"".join(rows)
