"""A place of labgrid as a target: acquired where nobody has it, refused by the holder's name, released by whom it must.

The coordinator here is a stand-in that prints as labgrid 26.0.1 printed on this project's trial (hil/README, labgrid).
"""

from __future__ import annotations

import socket
from pathlib import Path
from pprint import pformat
from textwrap import indent
from typing import Any

import pytest

from hil.address import parse
from hil.bench_file import read_bench_file
from hil.capabilities import TargetCapability
from hil.errors import BadConfiguration, BenchLost, InUse, PumpbenchError
from hil.instruments.composed_rig import ComposedRig, declared_instruments
from hil.instruments.declaration import BenchAccess
from hil.targets import make_target
from hil.targets.board import BoardTarget, bench_target
from hil.targets.labgrid import LabgridAddress, Place, PlaceTarget, labgrid_address, seen_in

ME, EVE = "desk/me", "lab/eve"
SHOWN = """\
Place 'pump1':
  aliases: eve:night, ward
  comment: the pump's board: in the rack
  matches:
    bench1/rack1/*
  acquired: vm/root
  acquired resources:
    bench1/rack1/NetworkSerialPort/RawSerialPort
  allowed: lab/eve, lab/adam
  created: 2026-11-28 15:39:06.210270
  changed: 2026-11-28 15:39:12.229975
Acquired resource 'RawSerialPort' (bench1/rack1/NetworkSerialPort/RawSerialPort):
  {'acquired': 'pump1',
   'avail': True,
   'cls': 'NetworkSerialPort',
   'params': {'extra': {'path': '/dev/pts/4',
                        'proxy': 'localhost',
                        'proxy_required': False},
              'host': 'vm',
              'port': 58733,
              'speed': 115200}}
"""


class Coordinator:
    """One place called pump1, as `labgrid-client` shows and changes it for one user."""

    def __init__(self, holder: str = "", allowed: tuple[str, ...] = (), **ports: dict[str, Any]) -> None:
        self.holder = holder
        self.allowed = allowed
        self.ports = ports
        self.changes: list[str] = []
        self.faster = ""

    def ask(self, words: tuple[str, ...]) -> str:
        assert words[0] == "-p"
        what = words[2]
        if what == "show":
            return self.shown()
        if what == "acquire":
            self.holder = self.faster or self.holder
            if self.holder:
                raise BenchLost("labgrid: it is acquired already")
            self.holder = ME
        elif self.holder != words[3]:
            raise BenchLost("labgrid: it is not acquired by that user")
        else:
            self.holder = ""
        self.changes.append(" ".join(words[2:]))
        return f"{what}d place pump1\n"

    def shown(self) -> str:
        blocks = [
            f"Place 'pump1':\n  matches:\n    b/r/*\n  acquired: {self.holder or None}\n  acquired resources:\n"
            + (f"  allowed: {', '.join(self.allowed)}\n" if self.allowed else "")
            + "  created: 2026-11-28 15:39:06.210270\n  changed: 2026-11-28 15:39:08.244717\n"
        ]
        for name, port in self.ports.items():
            table = {"acquired": "pump1", "avail": True, "cls": "NetworkSerialPort", "params": {}} | port
            head = "Acquired" if self.holder else "Matching"
            blocks.append(
                f"{head} resource '{name}' (b/r/{table['cls']}/{name}):\n{indent(pformat(table), '  ')}\n"
            )
        return "".join(blocks)

    def place(self, port: str = "", name: str = "pump1") -> Place:
        return Place(LabgridAddress(name, port, ""), self.ask, ME)


def raw_port(server: socket.socket, **more: Any) -> dict[str, Any]:
    """A port that carries the bare bytes."""
    where = {"host": "127.0.0.1", "port": server.getsockname()[1], "protocol": "raw", "speed": 115_200}
    return {"params": where | more}


def test_what_labgrid_shows_is_read() -> None:
    seen = seen_in(SHOWN)
    assert (seen.name, seen.holder) == ("pump1", "vm/root")
    assert (seen.aliases, seen.allowed) == (("eve:night", "ward"), ("lab/eve", "lab/adam"))
    (port,) = seen.resources
    assert (port.name, port.kind, port.is_there) == ("RawSerialPort", "NetworkSerialPort", True)
    assert (port.settings["host"], port.settings["port"]) == ("vm", 58_733)
    assert seen_in(SHOWN.replace("vm/root", "None").replace("Acquired res", "Matching res")).holder == ""


@pytest.mark.parametrize(
    "shown", ["", "Place 'pump1':\n", SHOWN.replace("'avail': True", "'avail': __import__('os')")]
)
def test_what_labgrid_never_shows_is_told_and_not_run(shown: str) -> None:
    with pytest.raises(BenchLost, match="in words that are not known here"):
        seen_in(shown)


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("labgrid:pump1", ("pump1", "", "")),
        ("labgrid:pump1#therapy", ("pump1", "therapy", "")),
        ("labgrid:rack-2/pump@lab.example:20408", ("rack-2/pump", "", "lab.example:20408")),
        ("labgrid:pump1#therapy@[::1]:20408", ("pump1", "therapy", "[::1]:20408")),
    ],
)
def test_an_address_names_place_port_and_coordinator(text: str, read_as: tuple[str, str, str]) -> None:
    assert labgrid_address(text, parse(text).place) == read_as
    assert parse(f"{text}?baud=57600").baud == 57_600


@pytest.mark.parametrize(
    "text", ["labgrid:", "labgrid:#a", "labgrid:a b", "labgrid:a#", "labgrid:a@", "labgrid:a@b@c"]
)
def test_an_address_that_names_no_place_is_refused(text: str) -> None:
    with pytest.raises(BadConfiguration, match="names no place; write labgrid:PLACE"):
        parse(text)


@pytest.mark.parametrize(
    ("holder", "allowed", "changes"),
    [
        ("", (), ["acquire", f"release-from {ME}"]),
        (ME, (), []),
        (EVE, (ME,), []),
    ],
    ids=["nobody had it", "we had it", "eve lets us"],
)
def test_a_place_is_released_by_whoever_acquired_it(
    holder: str, allowed: tuple[str, ...], changes: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lab = Coordinator(holder, allowed, serial=raw_port(server))
        target = PlaceTarget("labgrid:pump1", lab.place(), None)
        target.start()
        target.open_channel().send(b"x")
        target.close()
        target.close()
    assert lab.changes == changes
    assert lab.holder == holder


def test_a_place_that_somebody_else_has_is_refused_by_his_name_and_left_alone() -> None:
    lab = Coordinator(EVE)
    with pytest.raises(InUse, match=f"pump1 is acquired by {EVE}, and this is {ME}; ask them to release it"):
        lab.place().take()
    faster = Coordinator()
    faster.faster = EVE
    place = faster.place()
    with pytest.raises(InUse, match=f"pump1 is acquired by {EVE}"):
        place.take()
    place.give_back()
    assert lab.changes == faster.changes == []


@pytest.mark.parametrize(
    ("holder", "sentence"), [("", "was released while it was used here"), (EVE, f"is acquired by {EVE}")]
)
def test_a_place_that_was_taken_away_is_neither_opened_nor_released_again(holder: str, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lab = Coordinator(serial=raw_port(server))
        place = lab.place()
        place.take()
        lab.holder = holder
        with pytest.raises(PumpbenchError, match=sentence):
            place.serial_port()
        place.give_back()
    assert (lab.holder, lab.changes) == (holder, ["acquire"])


def test_a_part_of_a_name_is_not_taken_for_a_place_and_an_alias_is() -> None:
    with pytest.raises(BadConfiguration, match="labgrid has no place 'ump', and 'pump1' is near it"):
        Coordinator().place(name="ump").take()
    for alias in ("ward", "night"):
        assert (
            Place(LabgridAddress(alias, "", ""), lambda _words: SHOWN, "vm/root").serial_port().name
            == "RawSerialPort"
        )


NOT_OPENED = [
    ({"params": {"host": "vm", "port": None}}, "its exporter has not opened the port"),
    (
        {"params": {"host": "vm", "port": 7, "extra": {"proxy": "gate", "proxy_required": True}}},
        "lets in gate alone",
    ),
    ({"avail": False, "params": {"host": "vm", "port": 7}}, "the exporter of serial does not see its port"),
    ({"cls": "NetworkPowerPort"}, "pump1 has no serial ports; its serial ports: none"),
    ({"cls": "RawSerialPort", "params": {"port": "/dev/ttyNONE9"}}, "there is no port at /dev/ttyNONE9"),
]


@pytest.mark.parametrize(("port", "sentence"), NOT_OPENED)
def test_a_port_that_cannot_be_reached_is_told_as_what_it_is(port: dict[str, Any], sentence: str) -> None:
    target = PlaceTarget("labgrid:pump1", Coordinator(serial=port).place(), None)
    target.start()
    with pytest.raises(PumpbenchError, match=sentence):
        target.open_channel()


def test_of_several_ports_one_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lab = Coordinator(ME, therapy=raw_port(server), console=raw_port(server))
        with pytest.raises(BadConfiguration, match=r"has 2 serial ports.*console.*write labgrid:pump1#NAME"):
            lab.place().serial_port()
        assert lab.place("therapy").serial_port().name == "therapy"
        with pytest.raises(BadConfiguration, match="no serial ports called luck; its serial ports: "):
            lab.place("luck").serial_port()


def test_a_port_that_comes_back_under_another_number_is_found_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as before:
        lab = Coordinator(ME, serial=raw_port(before))
        target = PlaceTarget("labgrid:pump1", lab.place(), None)
        target.open_channel()
    with socket.create_server(("127.0.0.1", 0)) as after:
        lab.ports = {"serial": raw_port(after)}
        target.open_channel().send(b"\x07")
        with after.accept()[0] as line:
            assert line.recv(1) == b"\x07"
        target.close()


BENCH = """\
[targets.rig1]
address = "labgrid:pump1"
[targets.rig1.instruments.labgrid]
place = "pump1"
coordinator = "lab:20408"
resource = "outlet"
"""


def test_a_board_of_the_bench_file_is_a_place_with_its_power_and_one_board_under_both_names(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pumpbench.toml"
    file.write_text(BENCH)
    bench = read_bench_file(file).target("rig1")
    named = make_target(parse("labgrid:pump1"))
    assert isinstance(named, BoardTarget)
    board = bench_target("bench:rig1", bench)
    assert isinstance(board.behind, PlaceTarget)
    assert board.capabilities == {TargetCapability.POWER}
    assert board.board() == named.board()


def test_the_power_of_a_place_is_thrown_by_labgrid_client(tmp_path: Path) -> None:
    file = tmp_path / "pumpbench.toml"
    file.write_text(BENCH)
    said: list[str] = []
    access = BenchAccess(
        lambda words, _what: said.append(" ".join(words)),
        lambda _address, _baud: pytest.fail("it opens no line"),
        lambda _url: None,
        None,
        lambda _ms: None,
        lambda _words, _what: None,
        lambda _url, _limit_ms: None,
    )
    instruments = declared_instruments(file, read_bench_file(file).target("rig1").instruments)
    rig = ComposedRig("bench:rig1", instruments, access)
    rig.power_cut()
    assert rig.power_restore()
    common = "labgrid-client -x lab:20408 -p pump1 power"
    assert said == [f"{common} off --name outlet", f"{common} on --name outlet"]
