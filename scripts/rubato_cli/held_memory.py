"""The memory in which servers keep weights, optimizer state and what else a version is made of.

The launcher makes it and holds it, so that a server that is started again finds what the one before it has left; nobody
else does, so nothing is left when all of them are killed. It takes no more than what is written there.

A server writes into new memory in each of its lives and copies what it inherits: workers may still read the old. What an
earlier life has written is let go as soon as a newer one has all of it.
"""

import os
import struct

# The beginning of server/held_root.h: a magic number, shards, and of how many the table is there.
ROOT = struct.Struct("<QII")
MAGIC = int.from_bytes(b"RBT0HELD", "little")


class HeldMemory:
    """Of one server process, over all of its lives."""

    def __init__(self):
        self._descriptors: list[int] = []  # the newest first

    def arguments(self) -> tuple[list[str], tuple[int, ...]]:
        """New memory for another life: what its command line says of it and of what there is, and the descriptors."""
        self.let_go()
        try:
            self._descriptors.insert(0, os.memfd_create("rubato", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        except OSError:  # a sandbox may forbid it
            return [], ()
        newest, *remains = self._descriptors
        words = ["--held", str(newest)]
        if remains:
            words += ["--remains", ",".join(map(str, remains))]
        return words, tuple(self._descriptors)

    def let_go(self) -> None:
        """Of what nobody needs any more."""
        if len(self._descriptors) < 2:
            return
        whole = next((at for at, descriptor in enumerate(self._descriptors) if has_all(descriptor)), None)
        while whole is not None and len(self._descriptors) > whole + 1:
            os.close(self._descriptors.pop())

    def close(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __len__(self) -> int:
        return len(self._descriptors)


def has_all(descriptor: int) -> bool:
    """Whether every shard of the server has its slices there."""
    root = os.pread(descriptor, ROOT.size, 0)
    if len(root) < ROOT.size:
        return False
    magic, shards, entered = ROOT.unpack(root)
    return magic == MAGIC and shards > 0 and entered >= shards
