"""Ports that are already there: opened alone, discarded cleanly, and refused in one sentence."""

import contextlib
import errno
import os
import resource
import socket
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.address import parse
from hil.errors import BadConfiguration, BenchLost, ExitCode, InUse, LinkError, PumpbenchError
from hil.lock_holder import locking_process
from hil.outcome_store import OutcomeStore
from hil.targets import make_target
from hil.targets.port import _reason_port_is_shut, open_port

HOUSE = Path(__file__).resolve().parents[3]
HOLDS_BOTH = """
import sys
from pathlib import Path
from hil.outcome_store import OutcomeStore
from hil.targets.port import open_port
port, store = open_port(sys.argv[1], "port"), OutcomeStore(Path(sys.argv[2]))
store.open()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(slave)
    with contextlib.suppress(OSError):  # a test may have hung up already
        os.close(master)


def test_bytes_go_both_ways(pty: tuple[int, str]) -> None:
    master, name = pty
    channel = open_port(name, name)
    channel.send(b"ping")
    assert os.read(master, 100) == b"ping"
    os.write(master, b"pong")
    assert channel.receive(channel.now_ms() + 5_000) == b"pong"
    assert channel.sent_bytes == 4
    channel.close()
    channel.close()


def test_a_deadline_ends_waiting(pty: tuple[int, str]) -> None:
    channel = open_port(pty[1], "port")
    assert channel.receive(channel.now_ms()) == b""
    assert channel.receive(channel.now_ms() + 5) == b""
    channel.close()


def test_a_port_is_raw_and_never_drops_dtr_at_close(pty: tuple[int, str]) -> None:
    channel = open_port(pty[1], "port")
    descriptor = os.open(pty[1], os.O_RDWR | os.O_NOCTTY)
    attributes = termios.tcgetattr(descriptor)
    os.close(descriptor)
    assert not attributes[3] & (termios.ECHO | termios.ICANON)
    assert not attributes[2] & termios.HUPCL
    channel.close()


def test_a_second_user_is_told_that_the_port_is_taken(pty: tuple[int, str]) -> None:
    channel = open_port(pty[1], "port")
    with pytest.raises(InUse) as caught:
        open_port(pty[1], "port")
    assert caught.value.exit_code is ExitCode.TAKEN
    assert "\n" not in caught.value.one_line()
    channel.close()
    open_port(pty[1], "port").close()


def test_who_has_a_port_or_a_state_file_is_named_with_how_to_end_it(
    pty: tuple[int, str], tmp_path: Path
) -> None:
    """A `log --follow` in another terminal, say: whoever wants to send a STOP must not have to look for it."""
    name, state = pty[1], tmp_path / "state.json"
    holding = [sys.executable, "-c", HOLDS_BOTH, name, str(state)]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HOUSE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for attempt, what in (
            (lambda: open_port(name, name), f"the port {name} is in use by process"),
            (
                OutcomeStore(state).open,
                f"another programmer is using this key (its state file is {state}): process",
            ),
        ):
            with pytest.raises(InUse) as caught:
                attempt()
            said = str(caught.value)
            assert said.startswith(f"{what} {holder.pid} ("), said
            assert said.endswith(f"or by `kill {holder.pid}`, and try again")
            assert f"{holder.pid} ({Path(sys.executable).name} -c " in said, "what it was started as"


def test_who_only_waits_for_a_lock_or_has_one_elsewhere_does_not_hold_it() -> None:
    lines = [
        "1: POSIX  ADVISORY  WRITE 1 00:18:6 0 EOF",
        "2: FLOCK  ADVISORY  WRITE 2 00:19:6 0 EOF",
        "3: FLOCK  ADVISORY  WRITE 0 00:18:6 0 EOF",
        "4: FLOCK  ADVISORY  WRITE 4 00:18:6 0 EOF",
        "4: -> FLOCK  ADVISORY  WRITE 5 00:18:6 0 EOF",
    ]
    assert locking_process(lines, "00:18:6") == 4
    assert locking_process(lines[:3] + lines[4:], "00:18:6") is None


def test_a_hang_up_is_a_lost_bench(pty: tuple[int, str]) -> None:
    master, name = pty
    channel = open_port(name, "pty:pump")
    os.close(master)
    with pytest.raises(BenchLost, match="pty:pump hung up") as caught:
        channel.receive(channel.now_ms() + 5_000)
    assert caught.value.exit_code is ExitCode.BENCH_LOST
    channel.close()


def test_a_closed_channel_says_so(pty: tuple[int, str]) -> None:
    channel = open_port(pty[1], "port")
    channel.close()
    with pytest.raises(BenchLost, match="closed"):
        channel.send(b"x")


@pytest.mark.parametrize("text", ["pty:/nowhere/pump", "/dev/nowhere"])
def test_a_port_that_is_not_there_says_what_to_do(text: str) -> None:
    with pytest.raises(BadConfiguration, match="pumpbench emulate --link") as caught:
        make_target(parse(text)).open_channel()
    assert caught.value.exit_code is ExitCode.BAD_CONFIGURATION


def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(BadConfiguration, match="no serial port"):
        open_port(str(path), "file")


def test_a_tcp_port_carries_the_same_bytes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = make_target(parse(f"socket://127.0.0.1:{server.getsockname()[1]}"))
        channel = target.open_channel()
        peer, _ = server.accept()
        channel.send(b"ping")
        assert peer.recv(100) == b"ping"
        peer.sendall(b"pong")
        assert channel.receive(channel.now_ms() + 5_000) == b"pong"
        peer.close()
        with pytest.raises(BenchLost, match="hung up"):
            channel.receive(channel.now_ms() + 5_000)
        target.close()


def test_a_tcp_line_that_closes_at_once_has_its_client_already() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = make_target(parse(f"socket://127.0.0.1:{server.getsockname()[1]}")).open_channel()
        server.accept()[0].close()
        with pytest.raises(InUse, match="one line a pump"):
            channel.receive(channel.now_ms() + 5_000)
        channel.close()


def test_nobody_listening_is_a_lost_bench() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(BenchLost, match="pumpbench emulate --tcp"):
        make_target(parse(f"socket://127.0.0.1:{port}")).open_channel()


def test_a_line_that_takes_no_bytes_is_told_after_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.targets.descriptor.WRITE_LIMIT_MS", 20)
    with socket.create_server(("127.0.0.1", 0)) as server:
        channel = make_target(parse(f"socket://127.0.0.1:{server.getsockname()[1]}")).open_channel()
        peer, _ = server.accept()
        with pytest.raises(LinkError, match="takes no bytes"):
            channel.send(bytes(1 << 26))  # more than any socket buffer
        peer.close()
        channel.close()


@pytest.mark.parametrize(
    ("number", "kind", "sentence"),
    [
        (errno.EBUSY, InUse, "is in use by another program"),
        (errno.EWOULDBLOCK, InUse, "is in use by another program"),
        (errno.EACCES, BadConfiguration, "may not be opened by this user"),
        (errno.EPERM, BadConfiguration, "may not be opened by this user"),
        (errno.EIO, BenchLost, "is dead"),
        (errno.ENOTTY, BadConfiguration, "is no serial port"),
    ],
)
def test_each_reason_for_which_a_port_is_shut_has_its_own_sentence_and_code(
    number: int, kind: type[PumpbenchError], sentence: str
) -> None:
    reason = _reason_port_is_shut("/dev/pump", OSError(number, os.strerror(number)))
    assert type(reason) is kind
    assert sentence in str(reason)


@pytest.mark.parametrize("path", ["x" * 300, "./" + "x" * 300, "/" + "y/" * 4_000])
def test_a_path_that_the_system_does_not_even_look_at_is_bad_configuration(path: str) -> None:
    with pytest.raises(BadConfiguration, match=r"is no serial port \(File name too long\)"):
        open_port(path, path)


@pytest.mark.parametrize("kind", ["pty", "socket"])
def test_where_descriptors_run_out_the_limit_is_blamed_and_not_the_port(
    kind: str, pty: tuple[int, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = pty[1] if kind == "pty" else f"//127.0.0.1:{listener.getsockname()[1]}"
        target = make_target(parse(f"{kind}:{place}"))
        import serial  # noqa: F401, PLC0415 - imports need descriptors

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            with pytest.raises(BenchLost, match=r"too little \(Too many open files\)") as raised:
                target.open_channel()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in str(raised.value)
