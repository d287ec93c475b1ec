"""A process that was stopped and goes on: what lay there meanwhile must not make its pump silent."""

from __future__ import annotations

import signal

import pytest

from hil.errors import LinkError
from hil.programmer.programmer import Programmer
from hil.targets.port import open_port, open_socket
from protocol.identifiers import State
from tests.unit.bench.processes import Emulator

PATIENCE_MS = 5_000  # two handshakes


@pytest.mark.parametrize("line", ["pty", "tcp"])
def test_a_client_that_tried_while_the_emulator_was_stopped_is_served_as_soon_as_it_goes_on(
    line: str,
) -> None:
    emulator = Emulator(*(["--tcp", "127.0.0.1:0"] if line == "tcp" else []))
    if line == "tcp":
        host, _, port = emulator.ready["tcp"].rpartition(":")
        channel = open_socket(host, int(port), "the pump")
    else:
        channel = open_port(emulator.ready["port"], "the pump")
    emulator.process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        waiting = Programmer(channel, patience_ms=PATIENCE_MS)
        with pytest.raises(LinkError, match=r"nothing answers.*greeted too often"):
            waiting.connect()
    emulator.process.send_signal(signal.SIGCONT)
    again = Programmer(channel, patience_ms=PATIENCE_MS)
    again.connect()
    assert again.status().state is State.RUN
    again.close()
    channel.close()
    emulator.end()
