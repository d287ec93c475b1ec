"""Asks the server of `warm_python` for a fork; as a program it is `pumpbench` for a script.

It imports next to nothing, so that a script of fifty commands does not import the product fifty times.
"""

from __future__ import annotations

import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO


def ask(
    server: socket.socket,
    fds: tuple[int, int, int],
    module: str,
    arguments: Sequence[str],
    cwd: str,
    path: Sequence[str],
    env: Mapping[str, str],
) -> tuple[int, IO[bytes]]:
    """Have `python -m module` started with these standard streams; its number, and a pipe that tells its end."""
    path = [*path, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]
    request = {"module": module, "arguments": arguments, "cwd": cwd, "path": path, "env": dict(env)}
    read_end, write_end = os.pipe()
    try:
        socket.send_fds(server, [json.dumps(request).encode()], [*fds, write_end])
    finally:
        os.close(write_end)
    ended = os.fdopen(read_end, "rb", buffering=0)
    return int(ended.readline()), ended


if __name__ == "__main__":
    channel = socket.socket(fileno=int(sys.argv[1]))
    _, end = ask(channel, (0, 1, 2), "hil.cli", sys.argv[2:], os.getcwd(), [], os.environ)  # noqa: PTH109
    code = int(end.readline())
    os._exit(code if code >= 0 else 128 - code)  # as a shell tells a signal
