"""Where no descriptor is left: a listener is drained, nothing spins, and it is said once."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.ports.accepting import Acceptor
from firmware_emu.bench.ports.tcp import TcpPort, listen_on_loopback, parse_loopback
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import EMULATE, Asker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.bench.conftest import Loop


@pytest.fixture
def no_more() -> Iterator[None]:
    """Every descriptor of this process is taken but those that are open already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    ballast = []
    try:
        while True:
            ballast.append(os.dup(0))
    except OSError:
        pass
    yield
    for descriptor in ballast:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def knocking() -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """A listener before which ten connections wait."""
    listener = listen_on_loopback("127.0.0.1:0")
    place = listener.getsockname()
    clients = [socket.create_connection(place) for _ in range(10)]
    yield listener, clients
    for each in (listener, *clients):
        each.close()


def test_connections_for_which_there_is_no_descriptor_are_taken_and_closed(
    knocking: tuple[socket.socket, list[socket.socket]], request: pytest.FixtureRequest
) -> None:
    listener, clients = knocking
    acceptor = Acceptor()
    request.getfixturevalue("no_more")
    for _ in range(12):
        assert acceptor.accept(listener.accept) is None
    assert acceptor.turned_away == 10
    assert all(client.recv(1) == b"" for client in clients)
    acceptor.close()


def test_a_line_without_descriptors_says_so_once_and_does_not_spin(
    loop: Loop, said: list[str], request: pytest.FixtureRequest
) -> None:
    port = TcpPort("127.0.0.1:0", said.append)
    port.attach(loop.selector)
    clients = [socket.create_connection(parse_loopback(port.address)) for _ in range(10)]
    request.getfixturevalue("no_more")
    while loop.turn(0.05):
        pass  # each turn takes one; a listener that stays readable would never let this end
    assert len(said) == 1
    assert "no descriptors left for clients" in said[0]
    for client in clients:
        client.close()
    port.close()


@pytest.mark.parametrize("limit", [8, 10, 14, 24])
def test_an_emulator_with_few_descriptors_says_so_and_leaves_nobody_waiting(limit: int) -> None:
    """Also where rig control, which loads its framework at the first request, cannot even be loaded."""
    command = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *EMULATE]
    process = subprocess.Popen(
        [*command, "--tcp", "127.0.0.1:0", "--control", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if line:
        asker = Asker()
        asker.ready = json.loads(line)
        answered = None
        with contextlib.suppress(ConnectionError, http.client.RemoteDisconnected):
            answered, _ = asker.ask("GET", "/v1/state")
        socket.create_connection(parse_loopback(asker.ready["tcp"])).close()
        process.terminate()
    _out, err = process.communicate(timeout=PATIENCE_S)
    if not line:
        assert process.returncode == 7
        assert err == (
            "pumpbench emulate: the system gives this process too little: Too many open files; "
            "raise its limits (ulimit -n, -v)\n"
        )
    else:
        assert process.returncode == 0, err
        assert answered == 200 or "rig control has ended (OSError" in err
