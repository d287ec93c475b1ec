"""`pumpbench import`: what real tools captured of one conversation is it, and nothing is guessed or lost."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.capture.messages import FrameState, NumberedMark, RecordedMessage, read_messages
from hil.cli.main import cli
from hil.errors import BadConfiguration
from hil.importing.rules import read_rules
from protocol.capture import pcapng
from protocol.capture.pcapng import read_blocks
from protocol.capture.recording import Way
from protocol.messages.reading import GetInfoReply

CAPTURES = Path(__file__).parents[3] / "fixtures/captures"
WHOLE = {
    "status.socat.log": "socat.toml",
    "analyser.csv": "analyser.toml",
    "text2pcap.pcapng": None,
}
ONE_WAY = ("to_pump.xxd", "to_pump.hexdump")
SOCAT = (CAPTURES / "status.socat.log").read_text()
CSV = (CAPTURES / "analyser.csv").read_text()
XXD = (CAPTURES / "to_pump.xxd").read_text()
HEXDUMP = (CAPTURES / "to_pump.hexdump").read_text()
TO_PUMP = 'direction = "to-pump"'


def imported(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, arguments)])


def messages(path: Path) -> list[RecordedMessage]:
    return [entry for entry in read_messages(path) if isinstance(entry, RecordedMessage)]


def marks(path: Path) -> list[str]:
    found = [entry.mark for entry in read_messages(path) if isinstance(entry, NumberedMark)]
    assert {mark.kind for mark in found} <= {"imported"}
    return [mark.text for mark in found]


def made(tmp_path: Path, name: str, rules: str | None) -> Path:
    out = tmp_path / f"{name}.pcapng"
    done = imported(CAPTURES / name, "--out", out, *(("--rules", CAPTURES / rules) if rules else ()))
    assert done.exit_code == 0, done.output
    return out


def refusal(tmp_path: Path, content: str | bytes, rules: str = "", name: str = "x") -> str:
    """The one sentence with which an import ends, which leaves no file behind."""
    path, rules_path, out = tmp_path / name, tmp_path / "rules.toml", tmp_path / "out.pcapng"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    rules_path.write_text(rules)
    done = imported(path, "--out", out, "--rules", rules_path)
    assert isinstance(done.exception, BadConfiguration), done.output
    assert not out.exists()
    return done.exception.one_line()


def test_all_tools_captured_the_same_conversation(tmp_path: Path) -> None:
    told = []
    for name, rules in WHOLE.items():
        found = messages(made(tmp_path, name, rules))
        assert {entry.state for entry in found} == {FrameState.CLEAR, FrameState.OPENED}, name
        told.append(
            [(each.passed.way, each.passed.data, each.message, each.answers is None) for each in found]
        )
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 12
    assert isinstance(told[0][7][2], GetInfoReply)
    to_pump = b"".join(data for way, data, *_ in told[0] if way is Way.TO_PUMP)
    for name in ONE_WAY:
        dumped = messages(made(tmp_path, name, "to_pump.toml"))
        assert b"".join(entry.passed.data for entry in dumped) == to_pump, name
        assert {entry.passed.way for entry in dumped} == {Way.TO_PUMP}


def test_times_are_those_of_the_tools(tmp_path: Path) -> None:
    """socat saw it behind the emulator's own clock; 1.7.4 writes microseconds into nine digits."""
    times = [
        [entry.passed.time_ns for entry in messages(made(tmp_path, name, rules))]
        for name, rules in WHOLE.items()
    ]
    assert all(isinstance(time, int) for row in times for time in row)
    of_socat, of_analyser, of_pcapng = times
    assert of_pcapng[0] == 1_795_860_820_806_231_772
    assert of_socat[0] == 1_795_860_820_805_777_000
    for one, other in zip(of_socat, of_pcapng, strict=True):
        assert one is not None
        assert other is not None
        assert abs(one - other) < 10_000_000
    assert of_analyser[0] == 1_795_860_820_000_000_000 + 40 * 86_806


def test_what_socat_says_besides_becomes_marks_and_its_text_column_is_no_data(tmp_path: Path) -> None:
    out = made(tmp_path, "status_and_text.socat.log", "socat.toml")
    assert {entry.state for entry in messages(out)} == {FrameState.CLEAR, FrameState.OPENED}
    assert [mark.partition(" N ")[2] for mark in marks(out)][:2] == [
        "PTY is /dev/pts/5",
        'opening character device "./pump" for reading and writing',
    ]


@pytest.mark.parametrize(
    ("content", "rules", "said"),
    [
        (
            SOCAT,
            "",
            "line 1: nobody says which way '>' goes; write rules for --rules: under [directions], to-pump",
        ),
        (XXD, "", 'is a hex dump, which says no direction; write direction = "to-pump" or "from-pump"'),
        (CSV, "", "nobody can tell what"),
        (CSV, '[columns]\nbyte = "data"\n', "nothing says which way the bytes of"),
        (
            CSV,
            '[columns]\nbyte = "data"\ndirection = "name"\n',
            "line 2 has the direction 'PROG TX', of which nobody says",
        ),
        (CSV, 'format = "csv"\n', "nobody says what its columns are"),
    ],
)
def test_where_nobody_says_the_direction_it_is_told_what_to_write(
    tmp_path: Path, content: str, rules: str, said: str
) -> None:
    assert said in refusal(tmp_path, content, rules)


SOCAT_RULES = (CAPTURES / "socat.toml").read_text()
CSV_RULES = (CAPTURES / "analyser.toml").read_text()


def without_line(text: str, number: int) -> str:
    lines = text.splitlines(keepends=True)
    del lines[number - 1]
    return "".join(lines)


@pytest.mark.parametrize(
    ("content", "rules", "said"),
    [
        (XXD.replace("5cdd", "5ddd", 1), TO_PUMP, "line 2 has the bytes of"),
        (without_line(XXD, 3), TO_PUMP, "line 3 begins at byte 0x30; byte 0x20 comes next"),
        (XXD + "what?\n", TO_PUMP, "line 13 is 'what?'; expected is 00000000: 6865 6c6c"),
        (XXD.replace("00000010: 01", "00000010: 1", 1), TO_PUMP, "line 2 has 31 digits"),
        (without_line(HEXDUMP, 13), TO_PUMP, "ends without the offset of its end"),
        (HEXDUMP + HEXDUMP, TO_PUMP, "line 14 is "),
        (without_line(HEXDUMP, 12).replace("000000ba", "*"), TO_PUMP, "line 12 says that lines repeat"),
        (without_line(SOCAT, 2), SOCAT_RULES, "line 1 announces 41 bytes, of which 0 are there"),
        (SOCAT[: SOCAT.rindex(" 0")], SOCAT_RULES, "announces 27 bytes, of which 26 are there"),
        (
            SOCAT.replace(" 00\n", " 00 00\n", 1),
            SOCAT_RULES,
            "line 2 has more than the 41 bytes that line 1 announces",
        ),
        (without_line(without_line(SOCAT, 5), 5), SOCAT_RULES, "byte 41 comes next; 35 bytes are missing"),
        (
            SOCAT.replace("to=40", "to=41", 1),
            SOCAT_RULES,
            "line 1 has 41 bytes from 0 to 41; they do not agree",
        ),
        (SOCAT.replace("2026/11/28", "2026/11/31", 1), SOCAT_RULES, "line 1 has the time 2026/11/31"),
        (SOCAT.replace(" 00 02", " 00 0g", 1), SOCAT_RULES, "line 2 is ' 00 0g"),
        (SOCAT + "Segmentation fault\n", SOCAT_RULES, "line 25 is 'Segmentation fault'"),
        (CSV.replace("0x02", "0x102", 1), CSV_RULES, "line 3 has the byte '0x102'; expected is 0 to 255"),
        (CSV.replace("0x02", "²", 1), CSV_RULES, "line 3 has the byte '²'"),
        (
            CSV.replace("0.000086806", "soon", 1),
            CSV_RULES,
            "line 3 has the time 'soon'; expected is a number of s",
        ),
        (
            CSV.replace("0.000086806", "1e99", 1),
            CSV_RULES,
            "line 3 has the time 1e99 s; no capture is so long",
        ),
        (CSV.replace("0x02,", "0x02", 1), CSV_RULES, "line 3 has 5 columns; the head has 6"),
        (CSV.replace("start_time", "begin", 1), CSV_RULES, "line 1 has 0 columns 'start_time'"),
        (CSV.replace("duration", "name", 1), CSV_RULES, "line 1 has 2 columns 'name'"),
        (CSV.replace('"data"', '"da"ta', 1), CSV_RULES, "line 2 is no CSV"),
        (
            CSV.replace("PUMP TX", "PUMP RX", 1),
            CSV_RULES,
            "has the direction 'PUMP RX', of which nobody says",
        ),
        (b"\xff\xfe\x00", CSV_RULES, "line 1 is no text: byte 0xff"),
        ("", TO_PUMP, "is empty"),
        ("hello\n", TO_PUMP, "nobody can tell what"),
        ("hello\n", 'format = "pcapng"', "is no pcapng: it begins with"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_line_and_leaves_no_file(
    tmp_path: Path, content: str | bytes, rules: str, said: str
) -> None:
    assert said in refusal(tmp_path, content, rules)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("formt = 'csv'", "have 'formt', which means nothing; there are format"),
        ("format = 'cvs'", "say format = 'cvs'; format is one of xxd"),
        ("format = 1", "say format = '1'; format is a text"),
        ("start = 2026-03-02T09:00:00", "start is a moment with its zone"),
        ("direction = 'up'", "direction is one of to-pump, from-pump"),
        ("utc_offset_minutes = 900", "utc_offset_minutes is from -840 to 840"),
        ("header_bytes = -1", "header_bytes is from 0 to 256"),
        ("[columns]\ntime = 't'", "name no column of the bytes"),
        ("[columns]\nbyte = 'b'\nunit = 'h'", "unit is one of s, ms, us, ns"),
        ("[columns]\nbyte = 'b'\nseparator = ';;'", "separator is one character"),
        ("[columns]\nbyte = 'b'\nbytes = 'c'", "have 'bytes' under [columns], which means nothing"),
        ("[directions]\nto-pump = ['>']\nfrom-pump = ['>']", "say of '>' that it goes both ways"),
        ("[directions]\nto-pump = [1]", "to-pump is a list of texts"),
        ("a = ", "are no TOML"),
    ],
)
def test_rules_that_cannot_be_right_are_named_by_their_key(tmp_path: Path, rules: str, said: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(rules)
    with pytest.raises(BadConfiguration) as refused:
        read_rules(path)
    assert said in refused.value.one_line()


def test_a_row_without_a_byte_and_a_framing_error_become_marks(tmp_path: Path) -> None:
    lines = CSV.splitlines()
    lines[2] += "framing"
    lines.insert(3, '"PROG TX","break",0.000100000,0.01,,')
    path, out = tmp_path / "x.csv", tmp_path / "x.pcapng"
    path.write_text("\n".join(lines))
    done = imported(path, "--out", out, "--rules", CAPTURES / "analyser.toml", "--json")
    document = json.loads(done.stdout)
    assert (document["schema"], document["format"], document["notes"]) == ("pumpbench/import", "csv", 2)
    assert document["to_pump_bytes"] == 186
    assert marks(out) == [
        "line 3: error framing",
        "line 4 has no byte: name PROG TX, type break, start_time 0.000100000, duration 0.01",
    ]
    assert len(messages(out)) == 12


def test_a_mark_of_byte_order_before_the_head_is_no_part_of_it(tmp_path: Path) -> None:
    """As programs on Windows write it."""
    path, out = tmp_path / "x.csv", tmp_path / "x.pcapng"
    path.write_text(CSV, "utf-8-sig")
    done = imported(path, "--out", out, "--rules", CAPTURES / "analyser.toml")
    assert done.exit_code == 0, done.output


def test_lines_that_repeat_are_written_out(tmp_path: Path) -> None:
    path, rules, out = tmp_path / "x.hexdump", CAPTURES / "to_pump.toml", tmp_path / "x.pcapng"
    zeros = "00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00"
    path.write_text(f"00000000  {zeros}  |................|\n*\n00000040\n")
    assert imported(path, "--out", out, "--rules", rules).exit_code == 0
    assert b"".join(entry.passed.data for entry in messages(out)) == bytes(64)


def foreign(change: Callable[[bytes], bytes], *, link_type: int = 250, header: bytes = b"") -> bytes:
    """The packets of text2pcap on two interfaces of another link, without flags, each behind a header."""
    source = (CAPTURES / "text2pcap.pcapng").read_bytes()
    blocks = [block for block in read_blocks(io.BytesIO(source)) if isinstance(block, pcapng.Packet)]
    heads = [
        pcapng.block(
            pcapng.INTERFACE,
            struct.pack("<HHI", link_type, 0, 0),
            pcapng.option(pcapng.OPT_NAME, name) + pcapng.option(pcapng.OPT_RESOLUTION, b"\x09"),
        )
        for name in (b"tx", b"rx", b"eth0")
    ]
    packets = [
        pcapng.packet(block.flags & 3 == pcapng.INBOUND, block.time_ns or 0, header + block.data)
        for block in blocks
    ]
    other = pcapng.packet(2, 0, b"GET / HTTP/1.1", pcapng.option(pcapng.OPT_COMMENT, b"a comment"))
    return change(b"".join([pcapng.section_header("of a lab", "tap"), *heads, other, *packets]))


LAB = 'header_bytes = 4\nignore = ["eth0"]\n[directions]\nto-pump = ["tx"]\nfrom-pump = ["1"]\n'


def test_a_foreign_pcapng_is_read_by_its_interfaces_behind_a_header(tmp_path: Path) -> None:
    path, rules, out = tmp_path / "lab.pcapng", tmp_path / "rules.toml", tmp_path / "out.pcapng"
    path.write_bytes(foreign(bytes, header=b"HEAD"))
    rules.write_text(LAB)
    done = imported(path, "--out", out, "--rules", rules)
    assert done.exit_code == 0, done.output
    direct = messages(made(tmp_path, "text2pcap.pcapng", None))
    assert [entry.passed for entry in messages(out)] == [entry.passed for entry in direct]
    told = marks(out)
    assert told[:3] == [
        "section: of a lab",
        "packet 1: a comment",
        "packet 1 of eth0, 14 bytes, is left out",
    ]
    assert told[3:] == [f"packet {number} has the header 48454144" for number in range(2, 14)]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("", "is of interface 2 (eth0), and nobody says which way that goes; write rules"),
        (LAB.replace('ignore = ["eth0"]', ""), "ignore = [...] names interfaces of something else"),
        (LAB.replace("= 4", "= 200"), "has 45 bytes, and a header of 200 before them"),
    ],
)
def test_a_foreign_pcapng_of_which_nobody_says_enough_is_refused(
    tmp_path: Path, rules: str, said: str
) -> None:
    assert said in refusal(tmp_path, foreign(bytes, header=b"HEAD"), rules)


def test_flags_of_an_ethernet_are_not_taken_for_a_serial_line(tmp_path: Path) -> None:
    content = (
        (CAPTURES / "text2pcap.pcapng")
        .read_bytes()
        .replace(struct.pack("<HH", 148, 0), struct.pack("<HH", 1, 0))
    )
    assert "nobody says which way that goes" in refusal(tmp_path, content)


def test_a_damaged_pcapng_gives_what_can_be_read_and_ends_with_10(tmp_path: Path) -> None:
    path, rules, out = tmp_path / "lab.pcapng", tmp_path / "rules.toml", tmp_path / "out.pcapng"
    path.write_bytes(foreign(lambda data: data[:-5], header=b"HEAD"))
    rules.write_text(LAB)
    done = imported(path, "--out", out, "--rules", rules)
    assert isinstance(done.exception, BadConfiguration)
    assert "is damaged in one place, the file ends within a block" in done.exception.one_line()
    assert len(messages(out)) == 11


def test_what_is_there_is_not_replaced_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    gone = imported(tmp_path / "gone", "--out", out)
    assert "gone cannot be read (No such file or directory)" in str(gone.exception)
    out.write_bytes(b"mine")
    there = imported(CAPTURES / "text2pcap.pcapng", "--out", out)
    assert "is there already, and would be replaced" in str(there.exception)
    assert out.read_bytes() == b"mine"
