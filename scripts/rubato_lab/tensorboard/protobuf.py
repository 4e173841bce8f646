"""Protocol buffers, as far as event files need them: each function makes one field, and a message is the fields end to
end (https://protobuf.dev/programming-guides/encoding)."""

import struct

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number is its two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def _tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def integer(number: int, value: int) -> bytes:
    return _tag(number, VARINT) + varint(value)


def double(number: int, value: float) -> bytes:
    return _tag(number, FIXED64) + struct.pack("<d", value)


def float32(number: int, value: float) -> bytes:
    return _tag(number, FIXED32) + struct.pack("<f", value)


def message(number: int, *fields: bytes) -> bytes:
    content = b"".join(fields)
    return _tag(number, BYTES) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return message(number, value.encode())


def doubles(number: int, values: list[float]) -> bytes:
    """Packed."""
    return message(number, struct.pack(f"<{len(values)}d", *values))
