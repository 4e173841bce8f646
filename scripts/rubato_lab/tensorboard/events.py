"""Event messages (tensorboard/compat/proto/event.proto, summary.proto): the fields' numbers are theirs."""

from . import protobuf as pb

FILE_VERSION = "brain.Event:2"


def version(wall_time: float) -> bytes:
    """The first record of every file."""
    return pb.double(1, wall_time) + pb.text(3, FILE_VERSION)


def event(wall_time: float, step: int, *values: bytes) -> bytes:
    return pb.double(1, wall_time) + pb.integer(2, step) + pb.message(5, *(pb.message(1, value) for value in values))


def scalar(tag: str, value: float) -> bytes:
    return pb.text(1, tag) + pb.float32(2, value)


def histogram(tag: str, counts: dict[int, int]) -> bytes:
    """Of whole numbers: a bucket for each up to 64, then each a tenth wider than the one before. A bucket's limit is
    its upper end, and half a step above the number keeps the number inside."""
    number = sum(counts.values())
    total = sum(value * count for value, count in counts.items())
    squares = sum(value * value * count for value, count in counts.items())
    limits = [-0.5]
    while limits[-1] < max(counts):
        limits.append(limits[-1] + max(1, int(limits[-1] / 10) if limits[-1] > 64 else 1))
    buckets = [0.0] * len(limits)
    for value, count in counts.items():
        buckets[next(index for index, limit in enumerate(limits) if value <= limit)] += count
    fields = [pb.double(1, min(counts)), pb.double(2, max(counts)), pb.double(3, number), pb.double(4, total),
              pb.double(5, squares), pb.doubles(6, limits), pb.doubles(7, buckets)]
    return pb.text(1, tag) + pb.message(5, *fields)


def plugin_value(tag: str, plugin: str, content: bytes) -> bytes:
    """A value that only a plugin reads: its data is in the metadata, the tensor is an empty form."""
    metadata = pb.message(1, pb.text(1, plugin), pb.message(2, content))
    tensor = pb.integer(1, 1) + pb.message(2, pb.message(2, pb.integer(1, 1))) + pb.message(5, b"\0\0\0\0")
    return pb.text(1, tag) + pb.message(9, metadata) + pb.message(8, tensor)
