"""The generated dissector in tshark: field by field what we decode, and of bad input a word instead of an error.

All frames are in one file, which one run of tshark reads; without tshark the tests are skipped.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hil.wireshark.dissector import dissector
from protocol.capture import pcapng, recording
from protocol.capture.recording import Way
from protocol.codec.layouts import codec_of, encode
from protocol.identifiers import ErrorCode, Handshake, Kind, Opcode, Role, StopReason, Suite
from protocol.log.data import DATA_OF
from protocol.log.entry import LogEntry
from protocol.log.types import LogName, LogType
from protocol.messages.errors import ErrorReply, refusal
from protocol.messages.handshake import ClientHello, PumpHello
from protocol.messages.log import LogReadReply
from protocol.messages.reading import GetStatusReply
from protocol.messages.stop import Stop
from protocol.messages.time import GetTimeReply
from protocol.registry import EVENTS
from protocol.wire.frame import with_crc
from protocol.wire.framing import encode_frame
from tests.support.not_run import needs_program
from tests.unit.hil.wire_samples import (
    ALL_COMMANDS,
    CLEAR_SID,
    KEY,
    SID,
    Capture,
    Line,
    Sample,
    samples,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

pytestmark = needs_program("tshark", package="tshark")

PORT = 7700
TCP_INTERFACE = 3  # behind the three of a recording
LINKTYPE_RAW = 101
LINES_OF_A_SESSION = f"# two of one number\nsession {SID} {bytes(16).hex()}\nsession {SID} {KEY.hex()}\n"
NOISES = 400


class Field(NamedTuple):
    """A field as tshark shows it."""

    name: str
    value: str
    words: str


class Packet(NamedTuple):
    """A packet as tshark shows it: its fields in order, and what it says of them."""

    fields: list[Field]
    said: list[str]
    line: str

    def value(self, name: str) -> str | None:
        """The first field of a name, None where there is none."""
        return next((field.value for field in self.fields if field.name == f"pumpbench.{name}"), None)


class Seen(NamedTuple):
    """What tshark saw of everything."""

    packets: dict[int, Packet]
    text: str
    lines: list[str]
    """What is said of each packet where nobody looks at its fields."""
    samples: dict[int, Sample]
    bad: dict[str, int]
    """The packets of bad input by their names."""
    noise: range


def run_tshark(place: Path, capture: bytes, *words: str, keys: str = LINES_OF_A_SESSION) -> tuple[str, str]:
    """What tshark prints of a capture, and what it complains of."""
    (place / "pumpbench.lua").write_text(dissector(ALL_COMMANDS))
    (place / "keys.txt").write_text(keys)
    (place / "all.pcapng").write_bytes(capture)
    done = subprocess.run(
        ["tshark", "-X", "lua_script:pumpbench.lua", "-r", "all.pcapng", *words],
        cwd=place,
        env={**os.environ, "HOME": str(place), "LC_ALL": "C.UTF-8"},  # nobody's own settings
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def bad_input(capture: Capture, line: Line) -> dict[str, int]:
    """A packet of each kind of bad input, by its name."""
    stop = encode(Stop(7, 60, StopReason.CLINICAL))
    good = line.frame(Kind.REQUEST, Opcode.STOP, stop, key=None)
    found = {"request": capture.add_frame(good), "repeated": capture.add_frame(good)}
    hello = encode(PumpHello(1, Suite.NONE, CLEAR_SID, 1, bytes(16), bytes(8), 0))
    capture.add_frame(line.frame(Kind.HANDSHAKE, Handshake.PUMP_HELLO, hello, key=None))
    found["next session"] = capture.add_frame(good)
    found["truncated"] = capture.add(encode_frame(good)[:-9])
    found["wrong CRC"] = capture.add_frame(good[:-1] + bytes((good[-1] ^ 1,)))
    found["not COBS"] = capture.add(b"\0\xfe\1\2\3\0")
    found["short"] = capture.add(encode_frame(b"\x10\0\1"))
    found["too long"] = capture.add(b"\0" + b"\1" * 300 + b"\0")
    for name, header in (
        ("version", b"\x21\0\x10\0" + bytes(8)),
        ("kind", b"\x17\0\x10\0" + bytes(8)),
        ("reserved flag", b"\x11\x02\x10\0" + bytes(8)),
        ("plen", b"\x11\0\x10\5" + bytes(8)),
    ):
        found[name] = capture.add_frame(with_crc(header))
    found["delimiters"] = capture.add(bytes(5))
    found["two frames"] = capture.add(encode_frame(good) + encode_frame(good))
    found["foreign key"] = capture.add_frame(
        line.frame(Kind.REQUEST, Opcode.STOP, stop, key=bytes(15) + b"x")
    )
    found["no key"] = capture.add_frame(line.frame(Kind.REQUEST, Opcode.STOP, stop, key=KEY, sid=9))
    changed = line.frame(Kind.REQUEST, Opcode.STOP, stop, key=KEY)[:-4]
    found["changed bit"] = capture.add_frame(
        with_crc(changed[:15] + bytes((changed[15] ^ 4,)) + changed[16:])
    )
    for name, kind, opcode, payload in (
        ("opcode", Kind.REQUEST, 0x7D, b"abc"),
        ("event", Kind.EVENT, 0x10, b""),
        ("handshake", Kind.HANDSHAKE, 0x0C, b"abc"),
        ("value", Kind.REQUEST, Opcode.STOP, stop[:8] + b"\x63" + stop[9:]),
        ("reserved byte", Kind.RESPONSE, Opcode.RESUME, bytes(9) + b"\1" + bytes(6)),
        ("reserved bit", Kind.REQUEST, Opcode.SUBSCRIBE, b"\0\0\0\x80"),
        ("cut", Kind.REQUEST, Opcode.STOP, stop[:-3]),
        ("cut rows", Kind.RESPONSE, Opcode.KEY_LIST, b"\2" + bytes(6)),
        ("cut octets", Kind.RESPONSE, Opcode.CONFIG_READ, b"\3\0\x20ab"),
        ("count", Kind.RESPONSE, Opcode.KEY_LIST, b"\x20" + bytes(4 * 32)),
        ("rest", Kind.RESPONSE, Opcode.GET_STATUS, bytes(codec_of(GetStatusReply).size) + b"xy"),
    ):
        found[name] = capture.add_frame(line.frame(kind, opcode, payload, key=None))
    entry = LogEntry(5, 60, 0, LogType.STALL, 0xF0, data=b"\1" + bytes(10) + b"\1").pack()
    reply = LogReadReply(LogName.MAIN, 1, 1, 2, 1, 1, (entry[:-1] + bytes((entry[-1] ^ 1,)),))
    found["entry"] = capture.add_frame(line.frame(Kind.RESPONSE, Opcode.LOG_READ, encode(reply), key=None))
    hint = bytearray(
        line.frame(Kind.ERROR, Opcode.STOP, encode(refusal(ErrorCode.NO_SESSION)), key=None)[:-4]
    )
    hint[6:10] = bytes(4)
    found["hint"] = capture.add_frame(with_crc(bytes(hint)))
    found["mark"] = capture.add_block(recording.mark(capture.time_ns, "test start", "a test"))
    return found


def noise(capture: Capture, line: Line, random: Random) -> range:
    """Packets of random bytes, and of good frames with random payloads of every opcode."""
    first = capture.packets + 1
    for number in range(NOISES):
        if number % 3:
            row = random.choice(ALL_COMMANDS)
            kind, opcode = random.choice(list(Kind)), random.choice((row.opcode, random.getrandbits(8)))
            payload = random.randbytes(random.randint(0, 224))
            key = KEY if kind is not Kind.HANDSHAKE and number % 5 == 0 else None
            capture.add_frame(line.frame(kind, opcode, payload, key=key))
        else:
            capture.add(random.randbytes(random.randint(1, 300)))
    return range(first, capture.packets + 1)


def on_tcp(capture: Capture, line: Line) -> dict[str, int]:
    """Two frames in three segments, the middle one of which ends within the second frame."""
    capture.data += pcapng.block(pcapng.INTERFACE, LINKTYPE_RAW.to_bytes(2, "little") + bytes(6))
    frames = [line.frame(Kind.REQUEST, Opcode.PING, b"", key=None) for _ in range(2)]
    stream = b"".join(map(encode_frame, frames))
    at = [0, 10, len(stream) - 9, len(stream)]
    for begin, end in itertools.pairwise(at):
        number = capture.add_segment(TCP_INTERFACE, 1 + begin, stream[begin:end], PORT)
    return {"last segment": number, "middle segment": number - 1}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    random, line, capture = Random("wireshark"), Line(), Capture()
    by_number = {}
    for _ in range(2):
        for sample in samples(random, line):
            by_number[capture.add_frame(sample.frame, sample.way)] = sample
    bad = bad_input(capture, line)
    noises = noise(capture, line, random)
    bad |= on_tcp(capture, line)
    place, words = (
        tmp_path_factory.mktemp("tshark"),
        ("-o", "pumpbench.keys:keys.txt", "-d", f"tcp.port=={PORT},pumpbench"),
    )
    pdml, complaints = run_tshark(place, capture.data, *words, "-2", "-T", "pdml")
    lines, more = run_tshark(place, capture.data, *words, "-o", 'gui.column.format:"Info","%i"')
    packets = parsed(pdml)
    assert len(packets) == capture.packets
    text = pdml + lines + complaints + more
    return Seen(packets, text, lines.splitlines(), by_number, bad, noises)


def parsed(pdml: str) -> dict[int, Packet]:
    """The packets of tshark's own document, by number."""
    packets = {}
    for number, packet in enumerate(ET.fromstring(pdml).iter("packet"), 1):  # noqa: S314 - tshark wrote it
        fields = [
            Field(each.get("name", ""), each.get("show", ""), each.get("showname", ""))
            for each in packet.iter("field")
        ]
        fields += [
            Field(each.get("name", ""), each.get("show", ""), each.get("showname", ""))
            for each in packet.iter("proto")
        ]
        said = [field.value for field in fields if field.name == "_ws.expert.message"]
        packets[number] = Packet(fields, said, " ".join(field.words for field in fields))
    return packets


def test_every_message_is_shown_field_by_field_as_we_decode_it(seen: Seen) -> None:
    compared: defaultdict[str, int] = defaultdict(int)
    for number, sample in seen.samples.items():
        packet = seen.packets[number]
        names = {shown.name for shown in sample.shown}
        fields = [field for field in packet.fields if field.name in names]
        assert [field.name for field in fields] == [shown.name for shown in sample.shown], number
        for field, shown in zip(fields, sample.shown, strict=True):
            value = field.value.replace(":", "") if isinstance(shown.value, str) else int(field.value, 0)
            assert value == shown.value, (number, field)
            for word in shown.words:
                assert re.search(rf"(?<![\w]){re.escape(word)}(?![\w])", field.words), (number, field, shown)
            compared[field.name] += 1
    for prefix, cls in prefixes():
        for name in set(cls._fields) - ({"entries"} if cls is LogReadReply else set()):
            path = f"pumpbench.{prefix}.{name}"
            assert any(each == path or each.startswith(f"{path}.") for each in compared), path
    assert "pumpbench.vendor_c7.rsp.segment.state" in compared


def prefixes() -> Iterator[tuple[str, Any]]:
    """Every class whose fields are to be shown, and the prefix under which they are."""
    for row in ALL_COMMANDS:
        yield f"{row.name.lower()}.req", row.request
        yield f"{row.name.lower()}.rsp", row.response
    for log_type, cls in DATA_OF.items():
        yield f"log.{log_type.name.lower()}", cls
    for opcode, cls in EVENTS.items():
        yield f"{opcode.name.lower()}.evt", cls
    yield from (("err", ErrorReply), ("hs.pump_hello", PumpHello), ("hs.client_hello", ClientHello))


def test_every_frame_of_every_kind_is_named_sealed_ones_with_a_tag_that_was_checked(seen: Seen) -> None:
    for number in seen.samples:
        packet = seen.packets[number]
        assert packet.value("kind") is not None, number
        sealed = packet.value("flags.secured") in {"1", "True"}
        assert (packet.value("tag") is not None) == sealed
        assert not sealed or "tag:" in packet.line
        assert not [said for said in packet.said if "tag" in said or "key" in said]


def test_requests_and_answers_name_each_other_and_the_time_between(seen: Seen) -> None:
    requests: dict[int, int] = {}
    for number in seen.samples:
        packet = seen.packets[number]
        if packet.value("kind") == str(int(Kind.REQUEST)):
            requests[number] = int(packet.value("response_in") or 0)
    assert len(requests) == 4 * len(ALL_COMMANDS)
    for request, response in requests.items():
        answer = seen.packets[response]
        assert response == request + 1
        assert answer.value("request_in") == str(request)
        assert float(answer.value("time") or 0) == pytest.approx(0.00100025, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("truncated", "no frame: no end: half a frame, or noise"),
        ("wrong CRC", "no frame: the CRC-32C does not match"),
        ("not COBS", "no frame: not COBS: a code byte points beyond the end"),
        ("short", "no frame: fewer than 16 decoded bytes: no room for header and CRC"),
        ("too long", "no frame: more than 255 encoded bytes without a delimiter"),
        ("version", "no frame: unknown major version"),
        ("kind", "no frame: unknown kind of frame"),
        ("reserved flag", "no frame: a reserved bit is set, or a handshake frame has flags, ctr or ref"),
        ("plen", "no frame: plen is not the number of payload bytes, or above 224"),
        ("foreign key", f"no key of session {SID} fits this tag: another session's key, or changed bytes"),
        ("changed bit", f"no key of session {SID} fits this tag: another session's key, or changed bytes"),
        ("no key", "no key of session 9: see the preference pumpbench.keys"),
        ("opcode", "no request of opcode 0x7D is known"),
        ("event", "no event of opcode 0x10 is known"),
        ("handshake", "no handshake of opcode 0x0C is known"),
        ("value", "reason: unknown value 99"),
        ("reserved byte", "reserved, and not 0"),
        ("reserved bit", "mask: reserved bits are set"),
        ("cut", "the payload ends within max_stop_s"),
        ("cut rows", "the payload ends within keys"),
        ("cut octets", "the payload ends within value"),
        ("count", "n: 32, at most 8"),
        ("rest", "2 bytes more than this version has"),
        ("entry", "check: 0x"),
        ("hint", "unsecured: a hint, which anybody can forge"),
        ("repeated", "sent again: the same bytes as in frame "),
    ],
)
def test_bad_input_is_said(seen: Seen, name: str, said: str) -> None:
    packet = seen.packets[seen.bad[name]]
    assert [each for each in packet.said if each.startswith(said)], packet.said


def test_of_what_is_no_frame_or_cannot_be_opened_no_field_is_shown(seen: Seen) -> None:
    for name in (
        "truncated",
        "wrong CRC",
        "not COBS",
        "version",
        "kind",
        "plen",
        "foreign key",
        "changed bit",
        "no key",
    ):
        fields = [field.name for field in seen.packets[seen.bad[name]].fields]
        assert not [field for field in fields if field.startswith("pumpbench.stop")], name


@pytest.mark.parametrize("name", ["request", "next session"])
def test_what_a_good_request_says_is_said_without_complaint(seen: Seen, name: str) -> None:
    """Also where a later session has the same number, and the same request in clear."""
    packet = seen.packets[seen.bad[name]]
    assert packet.said == []
    assert packet.value("stop.req.max_stop_s") == "60"
    assert packet.value("sid") == f"0x{CLEAR_SID:04x}"


def test_delimiters_marks_and_several_frames_of_a_packet_are_told_apart(seen: Seen) -> None:
    assert "pumpbench, 5 delimiters" in seen.packets[seen.bad["delimiters"]].line
    assert seen.packets[seen.bad["mark"]].value("mark") == "test start: a test"
    kinds = [field for field in seen.packets[seen.bad["two frames"]].fields if field.name == "pumpbench.kind"]
    assert len(kinds) == 2


def test_frames_over_tcp_are_put_together_from_their_segments(seen: Seen) -> None:
    found = [
        [field.value for field in seen.packets[seen.bad[name]].fields if field.name == "pumpbench.opcode"]
        for name in ("middle segment", "last segment")
    ]
    assert [int(value, 0) for values in found for value in values] == [Opcode.PING, Opcode.PING]


def test_no_bytes_make_an_error_of_the_dissector(seen: Seen) -> None:
    assert len(seen.noise) == NOISES
    for complaint in ("Lua Error", "[Malformed Packet", "Dissector bug", "Exception occurred"):
        assert complaint not in seen.text
    shown = [
        number
        for number in seen.noise
        if any("pumpbench" in field.name for field in seen.packets[number].fields)
    ]
    assert len(shown) == NOISES


def test_keys_may_be_given_as_text_tags_left_unchecked_and_one_line_says_it_all(tmp_path: Path) -> None:
    line, capture = Line(), Capture()
    stop = encode(Stop(7, 60, StopReason.CLINICAL))
    capture.add_frame(
        with_crc(b"\x10\0\1\x16" + bytes(8) + encode(ClientHello(1, 1, 1, Role.PATIENT, 3, bytes(16))))
    )
    capture.add_frame(line.frame(Kind.REQUEST, Opcode.STOP, stop, key=KEY), Way.TO_PUMP)
    capture.add_frame(line.frame(Kind.ERROR, Opcode.STOP, encode(refusal(ErrorCode.ROLE)), key=KEY))
    time = encode(GetTimeReply(5, 60, 0, 825760800, -300, 1))
    capture.add_frame(line.frame(Kind.RESPONSE, Opcode.GET_TIME, time, key=None))
    capture.add(b"\xff\xfe", Way.TO_PUMP)
    capture.add_block(recording.mark(capture.time_ns, "fault", "a cut"))
    capture.add_block(
        recording.mark(capture.time_ns, "event", '{"now_ms": 5, "text": "PowerOn: boot_count 1"}')
    )
    text, _complaints = run_tshark(
        tmp_path, capture.data, "-o", f"pumpbench.keys:session {SID} {KEY.hex()};session 9 {bytes(16).hex()}",
        "-o", "pumpbench.check_tags:FALSE", "-T", "fields", "-e", "_ws.col.Info", "-e", "_ws.expert.message",
    )  # fmt: skip
    unchecked = "the tag was not checked (preference pumpbench.check_tags): the payload may have been changed"
    assert [each.split("\t") for each in text.splitlines()] == [
        ["HS CLIENT_HELLO: proto_min=1 proto_max=1 suites=AES_128_CCM_8 role=PATIENT key_id=3", ""],
        ["REQ STOP #1: cmd_id=7 max_stop_s=60 reason=CLINICAL on_expiry=ALARM_ONLY", unchecked],
        [
            "ERR STOP to #1: error_class=AUTHORISATION code=ROLE state_changed=NO",
            f"{unchecked},error_class=AUTHORISATION code=ROLE state_changed=NO",
        ],
        [
            "RSP GET_TIME to #1: client_ms=5 t_mono_s=60 t_ms=0 wall_s=825760800 tz_minutes=-300 boot_count=1",
            "",
        ],
        ["NO FRAME, 2 bytes: no end: half a frame, or noise", "no frame: no end: half a frame, or noise"],
        ["-- fault: a cut", "fault: a cut"],
        ["-- PowerOn: boot_count 1", 'event: {"now_ms": 5, "text": "PowerOn: boot_count 1"}'],
    ]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("no-such-file.txt", "the file of the session keys cannot be read: no-such-file.txt"),
        (
            "session 4660 00ff",
            "line 1 of the session keys is not `session SID KEY`, with a key of 32 hex digits",
        ),
    ],
)
def test_keys_that_cannot_be_read_are_said_where_they_are_missed(
    tmp_path: Path, keys: str, said: str
) -> None:
    capture = Capture()
    capture.add_frame(Line().frame(Kind.REQUEST, Opcode.PING, b"", key=KEY))
    text, _complaints = run_tshark(
        tmp_path, capture.data, "-o", f"pumpbench.keys:{keys}", "-T", "fields", "-e", "_ws.expert.message"
    )
    assert said in text
