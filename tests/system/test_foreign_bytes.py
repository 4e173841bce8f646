"""Bytes of strangers at every port of a job: refused and counted; the job gets the same bits as without them."""

import contextlib
import random
import struct
import unittest

import listening
from system_case import SystemCase, main

PACE = {"train__steps": 700, "debug__slow_worker_ms": 5}
# ZMTP 3.0 (rfc.zeromq.org/spec/23): signature, version, mechanism, as-server, filler.
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
ANSWER_S = 0.02
# transport/tcp/frame_stream.h. The same stranger each time: each member complains once.
TCP_GREETING = b"RBT0tcp1" + b"a stranger of 16"
MAGIC = b"RBT0"
HEADER_BYTES = 192
LARGE_FRAME, MORE, COMMAND = 2, 1, 4


def short_string(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def command(name: bytes, body: bytes) -> bytes:
    text = short_string(name) + body
    return bytes([COMMAND]) + short_string(text)


def property_of(name: bytes, value: bytes) -> bytes:
    return short_string(name) + struct.pack(">I", len(value)) + value


READY = command(b"READY", property_of(b"Socket-Type", b"DEALER") + property_of(b"Identity", b"stranger"))


def message(*parts: bytes) -> bytes:
    """A message of ZMTP, each part in a long frame."""
    last = len(parts) - 1
    return b"".join(bytes([LARGE_FRAME | (MORE if i < last else 0)]) + struct.pack(">Q", len(part)) + part
                    for i, part in enumerate(parts))


def tcp_frame(header: bytes, body: bytes) -> bytes:
    return struct.pack("<QQ", len(header), len(body)) + header + body


def attacks(source: random.Random):
    """What is said on a connection each, in pieces between which an answer is awaited. The last ones speak ZMTP
    well, or begin a stream of frames well, and then talk nonsense."""
    noise = source.randbytes
    yield noise(7),
    yield noise(5000),
    yield bytes(300),
    yield b"\xff" * 300,
    yield b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    yield b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
    yield b"POST /exited HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise(500),  # TLS
    yield GREETING[:20],
    yield GREETING,
    yield GREETING + READY,
    yield GREETING, noise(200)
    yield GREETING, READY, noise(200)
    yield GREETING, READY, message(noise(64))
    yield GREETING, READY, message(b"", b"")
    yield GREETING, READY, message(noise(HEADER_BYTES), noise(1000))
    yield GREETING, READY, message(MAGIC + noise(HEADER_BYTES - len(MAGIC)), noise(1000))
    yield GREETING, READY, message(*[noise(10)] * 20)
    yield GREETING, READY, bytes([LARGE_FRAME]) + struct.pack(">Q", 1 << 62)
    yield TCP_GREETING[:20],
    yield TCP_GREETING, noise(200)
    yield TCP_GREETING, tcp_frame(noise(64), b"")
    yield TCP_GREETING, tcp_frame(b"", b"")
    yield TCP_GREETING, tcp_frame(noise(HEADER_BYTES), noise(1000))
    yield TCP_GREETING, tcp_frame(MAGIC + noise(HEADER_BYTES - len(MAGIC)), noise(1000))
    yield TCP_GREETING, struct.pack("<QQ", HEADER_BYTES, 1 << 62)
    yield TCP_GREETING, struct.pack("<QQ", HEADER_BYTES, 1 << 30) + noise(HEADER_BYTES)


class ForeignBytes(SystemCase):
    def attack(self, address, pieces):
        with contextlib.suppress(ConnectionError), listening.connect(address) as stream:  # it may hang up at any time
            stream.settimeout(ANSWER_S)
            for piece in pieces:
                stream.sendall(piece)
                with contextlib.suppress(TimeoutError):
                    stream.recv(4096)

    def test_do_no_harm(self):
        source = random.Random(20)
        for transport in ("tcp", "ipc"):
            with self.subTest(transport):
                untouched = self.train("quadratic", "--mode", "bsp", cluster__transport=transport, **PACE)
                run = self.start("quadratic", "--mode", "bsp", cluster__transport=transport, **PACE)
                run.wait_for_clock("worker-1", 5)
                addresses = listening.addresses(run.pids().values())
                self.assertEqual(len(addresses), 6, addresses)  # two of each: HTTP and shared memory beside the one for frames
                idle = [listening.connect(address) for address in addresses]  # says nothing and does not go
                for pieces in attacks(source):
                    for address in addresses:
                        self.attack(address, pieces)
                self.assertIsNone(run.launcher.poll(), "over too early to be attacked: " + run.output)
                self.assert_ends(run, 0)
                for stream in idle:
                    stream.close()
                final = run.final()
                self.assertEqual(final["weights_sha256"], untouched.final()["weights_sha256"])
                self.assertGreater(final["refused_frames"], 0)
                self.assertEqual(untouched.final()["refused_frames"], 0)
                for node in ("scheduler", "server-0", "server-1"):
                    self.assertEqual(run.log(node).count("refused a frame"), 1, run.log(node))
                    if transport == "tcp":  # a gigabyte that was announced
                        self.assertIn("refused a connection: magic", run.log(node))

    def test_status_tells_no_stranger(self):
        """What other users of this machine may reach needs the token that only the job's owner can read."""
        run = self.start("quadratic", **PACE)
        run.wait_for_clock("worker-1", 5)
        self.assertEqual((run.run_dir / "scheduler.json").stat().st_mode & 0o077, 0)
        address = next(address for address in listening.addresses([run.pid("scheduler")]) if isinstance(address, tuple))
        for request in (b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST /drain HTTP/1.1\r\nHost: x\r\nX-Rubato-Token: 0\r\nContent-Length: 0\r\n\r\n"):
            with listening.connect(address) as stream:
                stream.sendall(request)
                self.assertIn(b" 403 ", stream.recv(4096))
        self.assert_ends(run, 0)


if __name__ == "__main__":
    main()
