"""Kill -9 in the middle of a bolus: the pump that comes back tells the truth about it and delivers nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from firmware_emu.units import MS_PER_HOUR, MS_PER_S
from protocol.identifiers import BolusKind, Opcode, Outcome
from protocol.log.types import LogName
from protocol.messages.bolus import BolusCommit, BolusCommitReply, BolusPrepare, BolusPrepareReply
from protocol.messages.ledger import QueryCmd, QueryCmdReply
from protocol.messages.log import LogStatus, LogStatusReply
from tests.unit.bench.processes import Caller, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STROKE_NL = 500
STROKES = 40
VOLUME_NL = STROKES * STROKE_NL
DURATION_S = 400
CMD_ID = 1


def commit_bolus(caller: Caller) -> None:
    revision = caller.status().program_rev
    prepare = BolusPrepare(BolusKind.BOLUS, VOLUME_NL, DURATION_S, revision)
    prepared = caller.ask(Opcode.BOLUS_PREPARE, prepare, BolusPrepareReply)
    assert prepared.quantised_nl == VOLUME_NL
    commit = BolusCommit(CMD_ID, VOLUME_NL, DURATION_S, prepared.token, revision)
    committed = caller.ask(Opcode.BOLUS_COMMIT, commit, BolusCommitReply)
    assert committed.result.outcome in {Outcome.INTENT, Outcome.RUNNING}


def advance(emulator: Emulator, ms: int) -> None:
    emulator.rig("POST", "/v1/clock/advance", {"ms": ms})


def truth(emulator: Emulator) -> dict[str, Any]:
    return dict(emulator.rig("GET", "/v1/state")["truth"])


@pytest.mark.parametrize("after_s", [0, 5, 195, 395])
def test_its_outcome_is_told_within_its_uncertainty_and_the_rest_is_not_given(
    start: Callable[..., Emulator], tmp_path: Path, after_s: int
) -> None:
    arguments = ("--image", tmp_path / "image", "--control", "127.0.0.1:0", "--time", "manual", "--seed", "1")
    emulator = start(*arguments)
    caller = Caller.on_pty(emulator.ready["port"]).connect()
    commit_bolus(caller)
    if after_s:
        advance(emulator, after_s * MS_PER_S)
    killed = truth(emulator)
    caller.close()
    emulator.kill()
    basal_strokes = after_s // 72  # 0.6 mL/day is a stroke of 500 nL every 72 s
    given_nl = (killed["strokes_turned"] - basal_strokes) * STROKE_NL
    assert given_nl == after_s * STROKES // DURATION_S * STROKE_NL

    emulator = start(*arguments)
    assert truth(emulator)["strokes_turned"] == killed["strokes_turned"]
    caller = Caller.on_pty(emulator.ready["port"]).connect()
    query = caller.ask(Opcode.QUERY_CMD, QueryCmd(CMD_ID), QueryCmdReply)
    assert query.outcome in {Outcome.PARTIAL, Outcome.NOT_STARTED}
    assert query.delivered_nl <= given_nl <= query.delivered_nl + query.uncertain_nl
    advance(emulator, MS_PER_HOUR)
    later = truth(emulator)["strokes_turned"]
    assert later - killed["strokes_turned"] <= MS_PER_HOUR // 72_000 + 1, "the bolus was delivered on"
    caller.connect()  # after an hour of silence the session is over
    log = caller.ask(Opcode.LOG_STATUS, LogStatus(LogName.MAIN), LogStatusReply)
    assert (log.lost_total, log.corrupt, log.bad_checkpoints) == (0, 0, 0)
    caller.close()
