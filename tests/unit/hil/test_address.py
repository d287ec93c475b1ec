"""Addresses: what each names, which are refused, and which of several counts."""

from typing import Any

import pytest

from hil import address
from hil.errors import BadConfiguration, ExitCode
from hil.targets.schemes import SCHEMES, host_and_port, register_scheme


@pytest.mark.parametrize(
    ("text", "scheme", "place"),
    [
        ("emulator", "emulator", ""),
        ("emulator:process", "emulator", "process"),
        ("pty:./pump", "pty", "./pump"),
        ("/dev/ttyUSB0", "path", "/dev/ttyUSB0"),
        ("./pump", "path", "./pump"),
        ("~/pump", "path", "~/pump"),
        ("/dev/serial/by-id/usb-x:1", "path", "/dev/serial/by-id/usb-x:1"),
        ("socket://127.0.0.1:4000", "socket", "//127.0.0.1:4000"),
        ("usb:0403:6001", "usb", "0403:6001"),
        ("usb:0403:6001:A50285BI#1.0?baud=9600", "usb", "0403:6001:A50285BI#1.0"),
        ("/dev/ttyUSB0?baud=9600", "path", "/dev/ttyUSB0"),
        ("bench:rig1", "bench", "rig1"),
        ("socket://[::1]:4000", "socket", "//[::1]:4000"),
    ],
)
def test_an_address_names_one_thing(text: str, scheme: str, place: str) -> None:
    parsed = address.parse(text)
    assert (parsed.scheme.name, parsed.place) == (scheme, place)
    assert str(parsed) == text


def test_host_and_port_of_a_socket_are_read() -> None:
    assert host_and_port("", "//127.0.0.1:4000") == ("127.0.0.1", 4000)
    assert host_and_port("", "//[::1]:4000") == ("::1", 4000)


def test_a_scheme_is_registered_once_and_has_a_name() -> None:
    with pytest.raises(ValueError, match="the scheme pty is there already"):
        register_scheme(SCHEMES["pty"])
    with pytest.raises(ValueError, match="'a b' is no name of a scheme"):
        register_scheme(SCHEMES["pty"]._replace(name="a b"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "emulators",
        "emulator:",
        "pty:",
        "pump",
        "socket://",
        "socket://h",
        "socket://h:0",
        "socket://h:65536",
        "socket://:1",
        "socket://h:x",
        "usb:",
        "usb:1234",
        "usb:12345:5678",
        "usb:1234:567G",
        "usb:1234:5678:",
        "usb:1234:5678#1",
        "bench:",
        "/dev/ttyUSB0?baud=",
        "/dev/ttyUSB0?baud=0",
        "/dev/ttyUSB0?baud=fast",
        "/dev/ttyUSB0?baud=9999999999",
        "socket://127.0.0.1:4000?baud=9600",
        "pty:./pump?baud=9600",
        "path:/dev/ttyUSB0",
        "emulator:processes",
        "socket:h:1",
        "socket://h:\u0661",
        "EMULATOR",
    ],
)
def test_what_is_no_address_says_which_forms_there_are(text: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        address.parse(text)
    assert caught.value.exit_code is ExitCode.BAD_CONFIGURATION
    assert "\n" not in caught.value.one_line()
    assert "write" in str(caught.value)


@pytest.mark.parametrize(
    ("command_line", "environment", "ini", "chosen"),
    [
        ("/dev/a", "/dev/b", "/dev/c", "/dev/a"),
        (None, "/dev/b", "/dev/c", "/dev/b"),
        (None, None, "/dev/c", "/dev/c"),
        (None, "", "", "emulator"),
        (None, None, None, "emulator"),
    ],
)
def test_the_command_line_beats_the_environment_beats_the_ini_file(
    command_line: Any, environment: Any, ini: Any, chosen: Any
) -> None:
    assert address.choose(command_line, environment, ini).text == chosen


@pytest.mark.parametrize("host", ["pump..local", "a" * 70 + ".local", "\udcff", ".", "b\0x", "\xe9" * 80])
def test_a_host_that_no_resolver_takes_is_no_address(host: str) -> None:
    with pytest.raises(BadConfiguration, match=r"no such address: 'socket://.* cannot be the name of a host"):
        address.parse(f"socket://{host}:4000")
