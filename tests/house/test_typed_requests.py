"""A request knows its reply, for the type checker and at run time: nothing is named twice, nothing can be mixed up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy import api

from protocol.registry import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from hil.programmer.programmer import Programmer
from protocol.messages.reading import GetStatus
from protocol.messages.reservoir import GetReservoir

def ask(pump: Programmer) -> None:
    reveal_type(pump.request(GetStatus()))
    reveal_type(pump.request(GetReservoir()).low_alarm_nl)
    reveal_type(pump.stop().reply)
    reveal_type(pump.requester.request(GetStatus()))
    reveal_type(pump.ledger.request(GetReservoir()))
    pump.request(GetStatus()).low_alarm_nl
"""


def test_mypy_knows_the_reply_of_each_request(tmp_path: Path) -> None:
    path = tmp_path / "asking.py"
    path.write_text(PROGRAM)
    out, err, _code = api.run([str(path), "--strict", "--no-error-summary", "--explicit-package-bases"])
    first, second, third, fourth, fifth = (line for line in out.splitlines() if "Revealed type" in line)
    assert "protocol.messages.reading.GetStatusReply" in first, (out, err)
    assert "int" in second
    assert "protocol.messages.stop.StopReply" in third
    assert "protocol.messages.reading.GetStatusReply" in fourth
    assert "protocol.messages.reservoir.GetReservoirReply" in fifth
    assert 'has no attribute "low_alarm_nl"' in out


def test_a_request_gives_the_class_that_its_opcode_is_answered_with() -> None:
    for row in COMMANDS.values():
        assert row.request.reply_class() is row.response  # type: ignore[attr-defined]
        assert row.response.__name__ == f"{row.request.__name__}Reply", row.name
