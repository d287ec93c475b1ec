"""A device that speaks another version of the protocol, on a real socket: one line, exit 8, no traceback."""

from __future__ import annotations

import socket
import sys
import threading
from typing import TYPE_CHECKING

from protocol.codec.layouts import encode
from protocol.identifiers import Handshake, Kind, RejectReason
from protocol.link.connection import plain_frame
from protocol.messages.handshake import HandshakeReject
from protocol.wire.frame import Frame
from protocol.wire.framing import Deframer
from tests.support.warm_python import run_python

if TYPE_CHECKING:
    from pathlib import Path


def refuse_every_hello(server: socket.socket) -> None:
    """Answer as a pump of a later version does: HS_REJECT, VERSION."""
    client, _ = server.accept()
    deframer = Deframer()
    payload = encode(HandshakeReject(RejectReason.VERSION, 0))
    with client:
        while data := client.recv(4_096):
            for frame in deframer.feed(data, 0):
                if isinstance(frame, Frame) and frame.opcode == Handshake.CLIENT_HELLO:
                    client.sendall(plain_frame(Kind.HANDSHAKE, Handshake.REJECT, 0, 0, 0, payload).wire)


def test_a_device_of_another_version_is_told_as_such(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse_every_hello, args=(server,), daemon=True).start()
        target = f"socket://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "hil.cli", "program", "status", "--target", target]
        state = ["--state", str(tmp_path / "state.json")]
        done = run_python([*command, *state])
    assert done.returncode == 8, done.stderr
    assert "another version of the protocol" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
