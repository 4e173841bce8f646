"""Small data sets in every form that docs/data.md knows, made from a seed and learnable."""

import random
import struct
import zipfile
import zlib
from pathlib import Path

SIDE = 8
CLASSES = 4


def picture(source: random.Random, kind: int, channels: int = 1, greatest: int = 255) -> list[int]:
    """Rows of pixels, channels last: noise below a quarter, and a bright row that tells the class."""
    pixels = [source.randrange(greatest // 4) for _ in range(SIDE * SIDE * channels)]
    begin = (2 * kind + 1) * SIDE * channels
    pixels[begin : begin + SIDE * channels] = [greatest] * SIDE * channels
    return pixels


def npy(descr: str, shape: tuple, octets: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + octets


def write_npz(path: Path, counts: dict[str, int]) -> None:
    """MedMNIST's form, of 16 bits."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for seed, (part, count) in enumerate(counts.items()):
            source = random.Random(seed)
            labels = [source.randrange(CLASSES) for _ in range(count)]
            pixels = [value for label in labels for value in picture(source, label, 3, 65535)]
            images = npy("<u2", (count, SIDE, SIDE, 3), struct.pack(f"<{len(pixels)}H", *pixels))
            with archive.open(f"{part}_images.npy", "w", force_zip64=True) as member:  # as numpy does
                member.write(images)
            archive.writestr(f"{part}_labels.npy", npy("|u1", (count, 1), bytes(labels)))


def write_sequences(path: Path, counts: dict[str, int], padding: float) -> None:
    """Noise, in which at one position of each sample a feature stands out, which tells the class."""
    positions = 12
    with zipfile.ZipFile(path, "w") as archive:
        for seed, (part, count) in enumerate(counts.items()):
            source, values = random.Random(seed), []
            labels = [source.randrange(CLASSES) for _ in range(count)]
            lengths = [source.randint(1, positions) for _ in range(count)]
            for label, length in zip(labels, lengths, strict=True):
                sample = [source.gauss(0, 0.2) for _ in range(length * CLASSES)]
                sample[source.randrange(length) * CLASSES + label] += 3
                values += sample + [padding] * ((positions - length) * CLASSES)
            octets = struct.pack(f"<{len(values)}f", *values)
            archive.writestr(f"{part}_images.npy", npy("<f4", (count, positions, CLASSES), octets))
            archive.writestr(f"{part}_labels.npy", npy("|u1", (count,), bytes(labels)))
            archive.writestr(f"{part}_lengths.npy", npy("|u1", (count,), bytes(lengths)))


def png(pixels: list[int], side: int, channels: int) -> bytes:
    def chunk(name: bytes, octets: bytes) -> bytes:
        return struct.pack(">I", len(octets)) + name + octets + struct.pack(">I", zlib.crc32(name + octets))

    row = side * channels
    rows = b"".join(b"\x00" + bytes(pixels[first : first + row]) for first in range(0, len(pixels), row))
    header = struct.pack(">IIBBBBB", side, side, 8, 2 if channels == 3 else 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def write_folder(folder: Path, counts: dict[str, int]) -> None:
    """ImageNet's layout: PART/CLASS/NUMBER.png, of colours."""
    for seed, (part, count) in enumerate(counts.items()):
        source = random.Random(seed)
        for number in range(count):
            label = number % CLASSES
            path = folder / part / f"class{label}" / f"{number:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(picture(source, label, 3), SIDE, 3))


def write_cifar(folder: Path, counts: dict[str, int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate(counts.items()):
        source, records = random.Random(seed), []
        for _ in range(count):
            label = source.randrange(10)
            planes = [bytearray(source.randbytes(1024)) for _ in range(3)]
            for plane in planes:
                plane[:] = bytes(value // 4 for value in plane)
                plane[96 * label : 96 * label + 96] = b"\xff" * 96
            records.append(bytes([label]) + b"".join(planes))
        (folder / name).write_bytes(b"".join(records))


def write_table(path: Path, rows: int, seed: int = 1) -> None:
    """Patients, of whom a sum of two figures tells the finding; `score` is a line through both, and noise."""
    source = random.Random(seed)
    lines = ["patient,age,pressure,finding,score"]
    for row in range(rows):
        age, pressure = source.uniform(20, 90), source.gauss(12000, 1500)
        risk = (age - 55) / 20 + (pressure - 12000) / 1500
        score = 1000 + 50 * risk + source.gauss(0, 1)
        lines.append(f'p{row // 3},{age:.2f},{pressure:.1f},"{"ill" if risk > 0 else "well"}",{score:.3f}')
    path.write_text("\n".join(lines) + "\n")


def write_series(path: Path, hours: int) -> None:
    """Cars by the hour: a day of 24 hours, and noise."""
    source = random.Random(3)
    day = [200 + 150 * (abs(hour - 12) < 5) + 10 * hour for hour in range(24)]
    lines = ["hour,cars"] + [f"{hour},{day[hour % 24] + source.gauss(0, 3):.2f}" for hour in range(hours)]
    path.write_text("\n".join(lines) + "\n")


def write_libsvm(path: Path, rows: int, seed: int) -> None:
    source, lines = random.Random(seed), []
    for _ in range(rows):
        label = source.choice((-1, 1))
        at = sorted(source.sample(range(1, 20), 4))
        tell = 20 if label > 0 else 21
        lines.append(f"{label:+d} " + " ".join(f"{index}:{source.random():.3f}" for index in [*at, tell]))
    path.write_text("\n".join(lines) + "\n")
