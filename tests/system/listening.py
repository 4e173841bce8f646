"""Where the processes of a job listen: TCP ports, and names in Linux's abstract namespace of Unix sockets."""

import os
import socket
from pathlib import Path

LISTENING_TCP = "0A"  # TCP_LISTEN, as /proc/net/tcp has it
LISTENING_UNIX = 0x10000  # SO_ACCEPTCON


def addresses(pids) -> list:
    """("127.0.0.1", port) and "\\0name", to connect to."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTENING_TCP and fields[9] in inodes:
            found.append(("127.0.0.1", int(fields[1].split(":")[1], 16)))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & LISTENING_UNIX and fields[6] in inodes:
            found.append("\0" + fields[7].removeprefix("@"))
    return found


def connect(address) -> socket.socket:
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    stream = socket.socket(family)
    stream.settimeout(5.0)
    stream.connect(address)
    return stream


def _socket_inodes(pid):
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target[len("socket:["):-1]
