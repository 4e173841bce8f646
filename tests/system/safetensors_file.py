"""Reads a safetensors file by hand: the length of a JSON header, the header, the bytes of the tensors."""

import hashlib
import json
import math
import struct
from pathlib import Path

FLOAT_BYTES = 4


def read(path: Path) -> tuple[dict, bytes]:
    """The tensors by name, in the order of their bytes: {"dtype", "shape", "data_offsets"}; and those bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return dict(sorted(header.items(), key=lambda item: item[1]["data_offsets"])), data[8 + length:]


def tensors_of(path: Path) -> dict[str, bytes]:
    """The bytes of each tensor by its name."""
    tensors, data = read(path)
    return {name: data[slice(*tensor["data_offsets"])] for name, tensor in tensors.items()}


def check(path: Path) -> dict:
    """Raises unless the tensors cover the bytes without gap or overlap; returns them."""
    tensors, data = read(path)
    end = 0
    for name, tensor in tensors.items():
        assert tensor["dtype"] == "F32", name
        assert tensor["data_offsets"][0] == end, f"a gap or an overlap before {name}"
        end = tensor["data_offsets"][1]
        assert end - tensor["data_offsets"][0] == FLOAT_BYTES * math.prod(tensor["shape"]), name
    assert end == len(data), f"{len(data) - end} bytes beyond the last tensor"
    return tensors


def weights_sha256(path: Path) -> str:
    check(path)
    return hashlib.sha256(read(path)[1]).hexdigest()
