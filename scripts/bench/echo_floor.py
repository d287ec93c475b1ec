"""The floor of a round trip: a server that answers so many bytes with so many, in a loop like ours.

Run as a program of its own: `python -I echo_floor.py pty|tcp REQUEST_BYTES REPLY_BYTES`. It prints where it
listens and ends with its standard input. It imports nothing of ours.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys

READ_BYTES = 4096


def main(kind: str, request_bytes: int, reply_bytes: int) -> None:
    """Answer every `request_bytes` bytes with `reply_bytes` until standard input is closed."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
    listener = None
    if kind == "pty":
        import tty  # noqa: PLC0415 - the start is measured too

        line, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(line, False)
        selector.register(line, selectors.EVENT_READ)
        print(os.ttyname(slave), flush=True)
    else:
        line = -1
        listener = socket.create_server(("127.0.0.1", 0))
        selector.register(listener, selectors.EVENT_READ)
        print(listener.getsockname()[1], flush=True)
    reply = bytes([1]) * (reply_bytes - 1) + b"\x00"
    connection = None
    waiting = 0
    while True:
        for key, _ in selector.select():
            if key.fd == line:
                data = os.read(line, READ_BYTES)
                if not data:
                    return
                waiting += len(data)
                while waiting >= request_bytes:
                    waiting -= request_bytes
                    os.write(line, reply)
            elif listener is not None and key.fd == listener.fileno():
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.setblocking(False)
                line = connection.fileno()
                selector.register(line, selectors.EVENT_READ)
            else:
                return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
