"""What the wire has a name for is shown by its name, and formatted as the number that it is."""

from __future__ import annotations

import json

from protocol.identifiers import Opcode, State, StatusFlag


def test_a_number_with_a_name_is_printed_as_its_name_and_formatted_as_a_number() -> None:
    assert (str(State.RUN), f"{State.RUN}", f"{State.RUN:02X}") == ("RUN", "RUN", "55")
    assert (str(Opcode(0xC0)), f"{Opcode(0xC0):#x}") == ("VENDOR_C0", "0xc0")
    assert json.dumps(State.RUN) == "85"


def test_flags_are_printed_as_their_names_with_bits_that_have_none_as_a_number() -> None:
    first, second = list(StatusFlag)[:2]
    assert str(first | second) == f"{first.name}|{second.name}"
    assert str(StatusFlag(0)) == "none"
    assert str(first | StatusFlag(0x8000)) == f"{first.name}|32768"
    assert str(StatusFlag(0x8000)) == "0x8000"
