from typing import Any

import pytest

from hil import address
from hil.address import TargetKind
from hil.errors import BadConfiguration, ExitCode


@pytest.mark.parametrize(
    ("text", "kind", "path", "host", "port"),
    [
        ("emulator", TargetKind.EMULATED, "", "", 0),
        ("emulator:process", TargetKind.PROCESS, "", "", 0),
        ("pty:./pump", TargetKind.PORT, "./pump", "", 0),
        ("/dev/ttyUSB0", TargetKind.PORT, "/dev/ttyUSB0", "", 0),
        ("./pump", TargetKind.PORT, "./pump", "", 0),
        ("socket://127.0.0.1:4000", TargetKind.SOCKET, "", "127.0.0.1", 4000),
        ("socket://[::1]:4000", TargetKind.SOCKET, "", "::1", 4000),
    ],
)
def test_an_address_names_one_thing(text: str, kind: Any, path: str, host: Any, port: Any) -> None:
    parsed = address.parse(text)
    assert (parsed.kind, parsed.path, parsed.host, parsed.port) == (kind, path, host, port)
    assert str(parsed) == text


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
        "usb:1234:5678",
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
