"""A descriptor to talk over: a PTY or a TCP connection, raw, read as soon as something is there."""

from __future__ import annotations

import os
import select
import socket
import tty

READ_BYTES = 4096
PATIENCE_MS = 10_000


def open_pty(path: str) -> int:
    """The client's end of a PTY."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(descriptor)
    return descriptor


def open_tcp(port: int) -> int:
    """A connection to a port of this machine."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection.detach()


class Line:
    """One open descriptor, the client's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def send(self, data: bytes) -> None:
        """Write all; frames are far shorter than what a line takes at once."""
        if os.write(self._descriptor, data) != len(data):
            raise RuntimeError("the line did not take a frame at once")

    def receive(self) -> bytes:
        """What is there, as soon as something is."""
        if not self._poll.poll(PATIENCE_MS):
            raise RuntimeError(f"no answer within {PATIENCE_MS} ms")
        return os.read(self._descriptor, READ_BYTES)
