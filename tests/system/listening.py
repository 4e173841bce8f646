"""Where the processes of a job listen: TCP ports, and names in Linux's abstract namespace of Unix sockets."""

import os
import socket
from pathlib import Path
from typing import NamedTuple

LISTENING_TCP = "0A"  # TCP_LISTEN, as /proc/net/tcp has it
LISTENING_UNIX = 0x10000  # SO_ACCEPTCON


class Local(NamedTuple):
    name: str  # "\\0name"
    kind: int  # SOCK_STREAM, or SOCK_SEQPACKET where shared memory is handed out


def addresses(pids) -> list:
    """("127.0.0.1", port) and Local, to connect to."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTENING_TCP and fields[9] in inodes:
            found.append(("127.0.0.1", int(fields[1].split(":")[1], 16)))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[3], 16) & LISTENING_UNIX and fields[6] in inodes:
            found.append(Local("\0" + fields[7].removeprefix("@"), int(fields[4], 16)))
    return found


def connect(address) -> socket.socket:
    local = isinstance(address, Local)
    stream = socket.socket(socket.AF_UNIX, address.kind) if local else socket.socket(socket.AF_INET)
    stream.settimeout(5.0)
    stream.connect(address.name if local else address)
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
