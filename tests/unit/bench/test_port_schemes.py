"""Kinds of port: found by their scheme, added by one registration, refused in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.ports.schemes import PORTS, PortScheme, port_named, register_port
from firmware_emu.bench.ports.tcp import TcpPort
from firmware_emu.cli import emulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.bench.ports.port import Port, Say


def open_nothing(_place: str, _say: Say) -> Port:
    raise AssertionError("this port is only looked up")


@pytest.fixture
def added() -> Iterator[PortScheme]:
    scheme = PortScheme("cable", "cable:NAME", lambda _place: None, open_nothing, "cable:{}")
    register_port(scheme)
    yield scheme
    del PORTS["cable"]


def test_a_kind_of_port_is_found_by_its_scheme_and_is_given_the_place_behind_it() -> None:
    scheme, place = port_named("tcp:127.0.0.1:0")
    port = scheme.open(place, lambda _text: None)
    assert isinstance(port, TcpPort)
    assert scheme.target.format(port.address) == f"socket://{port.address}"
    port.close()


def test_one_registration_adds_a_kind_of_port(added: PortScheme) -> None:
    assert port_named("cable:blue:1") == (added, "blue:1")


def test_two_kinds_of_one_name_are_refused_and_so_is_a_name_that_cannot_be_typed(added: PortScheme) -> None:
    with pytest.raises(ValueError, match="the kind of port cable is there already"):
        register_port(added)
    with pytest.raises(ValueError, match="'Blue cable' is no name of a kind of port"):
        register_port(added._replace(name="Blue cable"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no kind of port ''; there are pty, tcp:HOST:PORT"),
        ("nope:1", "there is no kind of port 'nope'; there are pty, tcp:HOST:PORT"),
        ("pty:/dev/x", "the system chooses the path of a PTY: write pty, and --link /dev/x to name it"),
        ("tcp:8.8.8.8:1", "8.8.8.8 is not a loopback address"),
    ],
)
def test_a_port_that_cannot_be_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadConfigurationError) as refused:
        port_named(text)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--pty", "--tcp", "127.0.0.1:0"], "--tcp and --pty exclude each other"),
        (["--tcp", "127.0.0.1:0", "--port", "pty"], "--port and --tcp exclude each other"),
        (["--port", "tcp:127.0.0.1:0", "--link", "pump"], "--link and --port exclude each other"),
    ],
)
def test_a_pump_has_one_line_whatever_the_options_say(options: list[str], sentence: str) -> None:
    refused = CliRunner().invoke(emulate, options)
    assert refused.exit_code == 2
    assert f"{sentence}: one line a pump" in refused.stderr
