"""The specification says what the code does: its tables are generated, its examples are true."""

from __future__ import annotations

import json
import re
import runpy
import struct
from pathlib import Path
from typing import Any

from cobs import cobs
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from protocol.codec.layouts import decode, encode
from protocol.codec.plain_values import plain
from protocol.identifiers import Opcode
from protocol.log.entry import LogEntry
from protocol.messages.errors import ErrorReply
from protocol.registry import COMMANDS
from protocol.wire.checksum import crc32c
from tests.support.for_each import for_each

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "protocol/SPEC.md").read_text()
BLOCKS = [
    dict(line.split(maxsplit=1) for line in block.strip().splitlines())
    for block in re.findall(r"```hex\n(.*?)```", TEXT, re.DOTALL)
]
FRAMES = [block for block in BLOCKS if "frame" in block]
MESSAGES = [block for block in BLOCKS if "message" in block]


def title(block: dict[str, str]) -> str:
    return block["#"]


def hex_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


def class_of(name: str) -> type:
    if name == "ERR":
        return ErrorReply
    opcode, _, side = name.partition(" ")
    row = COMMANDS[Opcode[opcode]]
    return {"request": row.request, "answer": row.response}[side]


def test_the_tables_are_those_of_the_declarations() -> None:
    filled = runpy.run_path(str(ROOT / "scripts/generate_spec_tables.py"))["filled"]
    assert filled(TEXT) == TEXT


def test_there_are_examples_and_no_block_is_of_a_third_kind() -> None:
    assert len(FRAMES) + len(MESSAGES) == len(BLOCKS)
    assert len(FRAMES) >= 6
    assert len(MESSAGES) >= 20


@for_each("block", FRAMES, name=title)
def test_an_example_frame_is_what_its_header_and_payload_say(block: dict[str, str]) -> None:
    line = bytes.fromhex(block["frame"])
    assert line[-1] == 0
    assert 0 not in line[:-1]
    raw = cobs.decode(line[:-1])
    assert struct.unpack("<I", raw[-4:])[0] == crc32c(raw[:-4])
    names = ("vt", "flags", "opcode", "plen", "sid", "ctr", "ref")
    told = dict(pair.split("=") for pair in block["header"].split())
    header = {name: int(told[name], 10 if name in {"plen", "ctr", "ref"} else 16) for name in names}
    assert dict(zip(names, struct.unpack("<BBBBHIH", raw[:12]), strict=True)) == header
    payload = raw[12:-4]
    if header["flags"]:
        nonce = struct.pack("<BHI6x", 0, header["sid"], header["ctr"])
        payload = AESCCM(bytes.fromhex(block["Ksess"]), 8).decrypt(nonce, payload, raw[:12])
    assert payload == hex_bytes(block["payload"])
    assert len(payload) == header["plen"]


@for_each("block", MESSAGES, name=title)
def test_an_example_message_has_these_bytes(block: dict[str, str]) -> None:
    payload = hex_bytes(block["payload"])
    if block["message"] == "LogEntry":
        entry = LogEntry.unpack(payload)
        assert plain(entry) == json.loads(block["fields"])
        assert entry.pack() == payload
        return
    message: Any = decode(class_of(block["message"]), payload)
    assert plain(message) == json.loads(block["fields"])
    assert encode(message) == payload


def test_the_cmd_crc_of_section_9_is_that_of_the_bytes_beside_it() -> None:
    found = re.search(r"is ([0-9A-F]{8}): over `([0-9a-f ]+)`", TEXT)
    assert found is not None
    assert crc32c(bytes.fromhex(found[2])) == int(found[1], 16)


@for_each("section", range(1, 16))
def test_every_section_that_the_code_cites_exists(section: int) -> None:
    assert re.search(rf"^## {section} ", TEXT, re.MULTILINE)


def test_every_file_that_cites_a_section_cites_one_that_exists() -> None:
    for path in sorted((ROOT / "protocol").glob("*.py")):
        for cited in re.findall(r"\[SPEC (\d+)", path.read_text()):
            assert 1 <= int(cited) <= 15, path


FIELD_WITHOUT_MEANING = re.compile(
    r"^\| (?:\d+|\.\.\.) \| `(\w+)` \| (?:[ui]\d+|\d+ B|`\w+` (?:B|x u\d+)) \|\s*\|$", re.MULTILINE
)
NAMES_OF_FIELDS = re.compile(
    r"^\| (?:\d+|last|\.\.\.|12 \+ `plen`) \| `(\w+)` \||^\| \d+ \| \w+ \| `(\w+)` \||`(\w+)` (?:[ui]\d+|\d+ B)",
    re.MULTILINE,
)
NAMES_IN_PROSE = re.compile(r"`([a-z][a-z0-9]*(?:_[a-z0-9]+)+)`")


def test_each_number_and_text_of_a_message_says_what_it_means_beside_its_type() -> None:
    assert not FIELD_WITHOUT_MEANING.findall(TEXT)


def test_each_name_of_a_field_in_the_text_is_the_name_of_a_field_in_a_table() -> None:
    """Names of an earlier state (`rate_max_nl_d`) are what a reader looks for in vain."""
    fields = {name for names in NAMES_OF_FIELDS.findall(TEXT) for name in names}
    assert len(fields) > 200
    assert not set(NAMES_IN_PROSE.findall(TEXT)) - fields
