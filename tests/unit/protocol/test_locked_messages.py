"""Bytes that were locked for a version stay those of that version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.codec.layouts import decode, encode
from protocol.codec.plain_values import plain
from protocol.identifiers import PROTOCOL_VERSION
from tests.support.for_each import for_each
from tests.unit.protocol.message_values import CLASSES

LOCKED = json.loads(
    (Path(__file__).parents[3] / f"fixtures/locked/messages_v{PROTOCOL_VERSION}.json").read_text()
)
BY_NAME = {cls.__name__: cls for cls in CLASSES}


def test_every_message_is_locked() -> None:
    assert LOCKED["protocol_version"] == PROTOCOL_VERSION
    assert set(LOCKED["messages"]) == set(BY_NAME)


@for_each(("name", "row"), LOCKED["messages"].items(), name=lambda case: case[0])
def test_a_locked_message_has_its_bytes(name: str, row: dict[str, Any]) -> None:
    message: object = decode(BY_NAME[name], bytes.fromhex(row["hex"]))
    assert plain(message) == row["fields"]
    assert encode(message).hex() == row["hex"]
