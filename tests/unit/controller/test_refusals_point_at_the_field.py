"""A refusal names the field that it means, the limit and the nearest value, as SPEC 7 says it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from firmware_emu.controller.commands import boluses
from hil.campaign.conversation import Conversation, simple_header
from protocol.codec.layouts import offset_of, path_offset
from protocol.identifiers import ErrorCode, Outcome, StopReason, TimeSetReason
from protocol.messages.bolus import BolusCancel
from protocol.messages.ledger import VoidCmd
from protocol.messages.program import ProgBegin, ProgCommit
from protocol.messages.stop import Stop
from protocol.messages.time import GetTime, TimeSet
from protocol.registry import COMMANDS

CMD_ID_STEP_MAX = 65_536  # [SPEC 9]

U32 = 1 << 32


@pytest.fixture
def talk() -> Conversation:
    return Conversation.with_new_pump()


@pytest.mark.parametrize(("tz_minutes", "nearest"), [(-721, -720), (841, 840)])
def test_a_time_zone_out_of_range_names_the_end_that_it_passed(
    talk: Conversation, tz_minutes: int, nearest: int
) -> None:
    wall_s = talk.granted(GetTime(0)).wall_s
    error = talk.refused(TimeSet(1, wall_s, tz_minutes, TimeSetReason.ZONE, confirm=True))
    assert error.code is ErrorCode.TIME_RANGE
    assert error.field_offset == offset_of(TimeSet, "tz_minutes")[0]
    assert (error.detail, error.limit, error.nearest) == (tz_minutes % U32, nearest % U32, nearest % U32)


@pytest.mark.parametrize(
    ("field", "count", "nearest"), [("n_groups", 0, 1), ("n_groups", 8, 7), ("n_segments", 0, 1)]
)
def test_a_count_out_of_range_names_the_nearest_count(
    talk: Conversation, field: str, count: Any, nearest: int
) -> None:
    error = talk.refused(ProgBegin(1, simple_header(300_000, 500_000)._replace(**{field: count})))
    assert error.code is ErrorCode.SEGMENTS
    assert (error.detail, error.nearest) == (count, nearest)


def test_a_stale_revision_is_pointed_at_in_begin_and_in_commit(talk: Conversation) -> None:
    begin = talk.refused(ProgBegin(7, simple_header(300_000, 500_000)))
    assert (begin.code, begin.field_offset) == (ErrorCode.REV_MISMATCH, offset_of(ProgBegin, "base_rev")[0])
    crc = talk.stage(300_000, 500_000, base_rev=1).staged_crc
    commit = talk.refused(ProgCommit(1, 7, crc, start=True))
    assert (commit.code, commit.field_offset) == (
        ErrorCode.REV_MISMATCH,
        offset_of(ProgCommit, "base_rev")[0],
    )
    assert (commit.limit, commit.nearest) == (1, 1)


def test_an_id_too_far_ahead_cannot_be_voided_and_the_next_one_is_named(talk: Conversation) -> None:
    error = talk.refused(VoidCmd(CMD_ID_STEP_MAX + 1))
    assert error.code is ErrorCode.CMD_ID_RANGE
    assert (error.limit, error.nearest) == (CMD_ID_STEP_MAX, 1)


def test_a_cancel_of_what_is_no_bolus_hits_nothing(talk: Conversation) -> None:
    talk.granted(Stop(1, 60, StopReason.CLINICAL))
    reply = talk.granted(BolusCancel(2, 1, 0xFFFF))
    assert (reply.target_outcome, reply.delivered_nl) == (Outcome.NEVER_RECEIVED, 0)


def test_every_field_that_a_refusal_names_is_one_of_a_request() -> None:
    """Read from the source: a misspelt name would end the pump at the first such refusal."""
    requests = [command.request for command in COMMANDS.values()]
    for path in sorted(Path(boluses.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "field":
                constants = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
                for name in constants:
                    if isinstance(name, str) and not name.endswith("."):
                        assert any(_has(request, name) for request in requests), f"{path.name}: {name}"


def _has(request: type, name: str) -> bool:
    try:
        path_offset(request, name)
    except KeyError:
        return False
    return True
