"""A request knows its reply, for the type checker and at run time: nothing is named twice, nothing can be mixed up."""

from __future__ import annotations

from typing import assert_type

import pytest

import hil
from protocol.messages.reading import GetStatus, GetStatusReply
from protocol.messages.reservoir import GetReservoir, GetReservoirReply
from protocol.messages.stop import StopReply
from protocol.registry import COMMANDS


def test_the_type_checker_knows_the_reply_of_each_request_as_it_comes() -> None:
    """`make types` refuses this file where one of these is of another type, and where the last is no error."""
    with hil.connect("emulator") as pump:
        answered = (
            (assert_type(pump.request(GetStatus()), GetStatusReply), GetStatusReply),
            (assert_type(pump.requester.request(GetStatus()), GetStatusReply), GetStatusReply),
            (assert_type(pump.ledger.request(GetReservoir()), GetReservoirReply), GetReservoirReply),
            (assert_type(pump.stop().reply, StopReply), StopReply),
        )
        for reply, known_class in answered:
            assert type(reply) is known_class
        assert_type(pump.request(GetReservoir()).low_alarm_nl, int)
        with pytest.raises(AttributeError):
            pump.request(GetStatus()).low_alarm_nl  # type: ignore[attr-defined]  # noqa: B018


def test_a_request_gives_the_class_that_its_opcode_is_answered_with() -> None:
    for row in COMMANDS.values():
        assert row.request.reply_class() is row.response  # type: ignore[attr-defined]
        assert row.response.__name__ == f"{row.request.__name__}Reply", row.name
