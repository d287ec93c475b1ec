"""The bench file: the nearest upward, whole or refused in one sentence that names file, line and key."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from hil.bench_file import NAME, bench_file_schema, find_bench_file, nearest_bench_file, read_bench_file
from hil.capabilities import TargetCapability
from hil.cli.help_pages import help_page
from hil.cli.main import cli
from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = """
leases = "locks"

[targets.rig1]
address = "usb:0403:6001:A50285BI"
baud = 9600
dtr = false
reset = "command"
reset_command = "sh -c 'echo off'"
capabilities = ["power"]
key_file = "keys/rig1.json"
profile = "profiles/ours.toml"
console = "./ttyUSB7?baud=9600"
firmware = "build/fw.bin"
flash = "make flash"
identity = {serial = "EMU-00000001", memory_id = "00000000000000ab", kind = "hardware"}
lease_idle_s = 60
[targets.rig1.hooks]
before = "power on"
after = "power off"
[targets.rig1.instruments.relay]
kind = "power"
on = "relay on"
off = "relay off"
[targets.rig1.instruments.balance]
kind = "balance"
port = "/dev/ttyUSB1"

[targets.desk]
address = "socket://127.0.0.1:4000"
"""


@pytest.fixture
def bench_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / NAME
        path.write_text(text)
        return path

    return write


def test_a_bench_file_is_read_whole_and_its_instruments_are_handed_on_as_they_are(
    bench_file: Callable[[str], Path],
) -> None:
    path = bench_file(WHOLE)
    bench = read_bench_file(path)
    rig = bench.target("rig1")
    assert list(bench.targets) == ["rig1", "desk"]
    assert (rig.address, rig.baud, rig.dtr, rig.rts) == ("usb:0403:6001:A50285BI", 9600, False, True)
    assert rig.reset_command == ("sh", "-c", "echo off")
    assert rig.capabilities == {TargetCapability.POWER}
    assert rig.profile == str(path.parent / "profiles" / "ours.toml")
    assert (rig.console, rig.firmware) == (
        f"{path.parent}/ttyUSB7?baud=9600",
        path.parent / "build" / "fw.bin",
    )
    assert rig.key_file == path.parent / "keys" / "rig1.json"
    assert (rig.flash, rig.before, rig.after) == (("make", "flash"), ("power", "on"), ("power", "off"))
    assert (rig.serial, rig.memory_id, rig.kind) == ("EMU-00000001", 0xAB, "hardware")
    assert (rig.lease_idle_s, rig.leases) == (60, path.parent / "locks")
    assert rig.instruments["balance"] == {"kind": "balance", "port": "/dev/ttyUSB1"}
    assert list(rig.instruments) == ["relay", "balance"]
    assert bench.target("desk").serial == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./pump?baud=9600", "{there}/pump?baud=9600"),
        ("pty:pump", "pty:{there}/pump"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("usb:0403:6001", "usb:0403:6001"),
    ],
)
def test_a_path_is_one_from_the_bench_file_wherever_one_stands(
    text: str, said: str, bench_file: Callable[[str], Path]
) -> None:
    path = bench_file(f'[targets.rig1]\naddress = "{text}"')
    assert read_bench_file(path).target("rig1").address == said.format(there=path.parent)


def test_the_nearest_bench_file_upward_counts(tmp_path: Path) -> None:
    inner = tmp_path / "lab" / "suite"
    inner.mkdir(parents=True)
    (tmp_path / NAME).write_text("")
    (tmp_path / "lab" / NAME).write_text("")
    assert find_bench_file(inner) == tmp_path / "lab" / NAME
    assert find_bench_file(tmp_path) == tmp_path / NAME


def test_where_there_is_none_the_place_is_named_and_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=re.escape(str(tmp_path)) + r".*\[targets.NAME\]") as caught:
        nearest_bench_file(tmp_path)
    assert caught.value.exit_code == 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[targets.rig1]\nbaud = 9600", r"line 1: targets\.rig1\.address is missing"),
        ('[targets.rig1]\naddress = "nowhere"', r"line 2: targets\.rig1\.address: no such target address"),
        ('[targets.rig1]\naddress = "emulator"', r"line 2: .*must be the address of a device that is there"),
        ('[targets.rig1]\naddress = "bench:rig1"', r"must be the address of a device that is there already"),
        ("[targets.rig1]\naddress = 7", r"line 2: targets\.rig1\.address must be an address, is 7"),
        (
            '[targets.rig1]\naddress = "/dev/x"\nbaud = "fast"',
            r'line 3: targets\.rig1\.baud must be a whole number from 1 to 4000000, is "fast"',
        ),
        ('[targets.rig1]\naddress = "/dev/x"\nbaud = true', r"baud must be a whole number .*, is true"),
        (
            '[targets.rig1]\naddress = "socket://h:1"\nbaud = 9600',
            r"line 2: targets\.rig1\.baud is 9600, and the address socket://h:1 is no line with a speed",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x?baud=9600"\nbaud = 9600',
            r"the address /dev/x\?baud=9600 says its speed itself",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nbaudrate = 9600',
            r"line 3: targets\.rig1\.baudrate is no key of a bench file; did you mean baud",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nreset = "kick"',
            r'line 3: .*reset must be one of "none", "dtr"',
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nreset = "command"',
            r"reset_command of targets\.rig1 belong together",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nflash = "make \'flash"',
            r"line 3: targets\.rig1\.flash must be a command as one text",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nconsole = "nowhere"',
            r"line 3: targets\.rig1\.console: no such target address",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nconsole = "emulator"',
            r"line 3: targets\.rig1\.console must be the address of a device that is there",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x?baud=9600"\nconsole = "/dev/x"',
            r"line 3: targets\.rig1\.console must be another port than the therapy line",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\ncapabilities = ["flight"]',
            r"line 3: targets\.rig1\.capabilities must be a list of time, .*, is a list of 1",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\nidentity = {serial = 5}',
            r"line 3: targets\.rig1\.identity\.serial must be 1 to 12 characters, is 5",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\n[targets.rig1.hooks]\nduring = "x"',
            r"line 4: targets\.rig1\.hooks\.during is no key of a bench file; known are before, after",
        ),
        (
            '[targets.rig1]\naddress = "/dev/x"\n[targets.rig1.instruments]\nbalance = "here"',
            r'line 4: targets\.rig1\.instruments\.balance must be a table, is "here"',
        ),
        ("targets = 5", r"line 1: targets must be a table, is 5"),
        ("[targets]\nrig1 = 5", r"line 2: targets\.rig1 must be a table, \[targets\.rig1\], is 5"),
        ('[targets."a b"]\naddress = "/dev/x"', r"must be a name of letters, digits, dots"),
        ("[target.rig1]", r"line 1: target is no key of a bench file; did you mean targets"),
        ("[targets.rig1", "is not TOML: "),
    ],
)
def test_whatever_cannot_be_right_is_said_with_file_line_and_key(
    text: str, said: str, bench_file: Callable[[str], Path]
) -> None:
    path = bench_file(text)
    with pytest.raises(BadConfiguration, match=said) as caught:
        _first_target(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in caught.value.one_line()


def _first_target(path: Path) -> None:
    """Read a bench file and its first table, as whoever names that board."""
    bench = read_bench_file(path)
    bench.target(next(iter((*bench.refused, *bench.targets))))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff", "is not UTF-8"), (b"#" * 300_000, "is larger than"), (None, "is no regular")],
)
def test_what_is_no_text_of_a_person_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(BadConfiguration, match=said):
        read_bench_file(path)


def test_a_wrong_table_refuses_its_board_alone_and_whoever_uses_another_is_warned(
    bench_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench_file(
        '[targets.good]\naddress = "./nobody"\n[targets.typo]\naddress = "./nobody"\nbadu = 9600\n'
        '[targets.odd]\naddress = "./nobody"\n[targets.odd.instruments.scales]\nport = "./x"\n'
    )
    typo = "bench:typo cannot be used: configuration: {there}, line 5: targets.typo.badu is no key of a bench file"
    odd = "bench:odd cannot be used: configuration: {there}: targets.odd: instrument scales: there is no kind 'scales'"
    warnings = [each.format(there=tmp_path / NAME) for each in (odd, typo)]
    listed = CliRunner().invoke(cli, ["hil", "targets"])
    assert (listed.exit_code, [each in listed.stdout for each in warnings]) == (0, [True, True])
    assert "bench:good" in listed.stdout
    document = json.loads(CliRunner().invoke(cli, ["hil", "targets", "--json"]).stdout)
    assert [[row["name"] for row in document[what]] for what in ("targets", "refused")] == [
        ["good"],
        ["typo", "odd"],
    ]
    for command in ("preflight", "reset"):
        used = CliRunner().invoke(cli, ["hil", command, "--target", "bench:good"])
        assert [f"pumpbench: warning: {each}" in used.stderr for each in warnings] == [True, True]
        refused = CliRunner().invoke(cli, ["hil", command, "--target", "bench:typo"])
        assert (
            getattr(refused.exception, "exit_code", 0),
            "targets.typo.badu" in str(refused.exception),
        ) == (10, True)
        assert warnings[1] not in refused.stderr


def test_a_target_that_is_not_in_the_file_is_refused_with_those_that_are(
    bench_file: Callable[[str], Path],
) -> None:
    with pytest.raises(BadConfiguration, match="has no target 'rig9'; it has: rig1, desk"):
        read_bench_file(bench_file(WHOLE)).target("rig9")


def test_the_schema_describes_each_key_that_the_reader_takes() -> None:
    def undescribed(schema: dict[str, Any], place: str = "") -> list[str]:
        inner = {**schema.get("properties", {})}
        found = [f"{place}.{name}" for name, part in inner.items() if not part.get("description")]
        more = schema.get("additionalProperties")
        if isinstance(more, dict):
            inner["*"] = more
        return found + [each for name, part in inner.items() for each in undescribed(part, f"{place}.{name}")]

    schema = bench_file_schema()
    assert json.loads(CliRunner().invoke(help_page, ["bench-schema"]).stdout) == schema
    assert undescribed(schema) == []
    target = schema["properties"]["targets"]["additionalProperties"]
    assert set(target["properties"]) >= {"address", "reset", "identity", "hooks", "instruments"}
    assert set(target["properties"]["hooks"]["properties"]) == {"before", "after"}
    assert json.dumps(schema)
