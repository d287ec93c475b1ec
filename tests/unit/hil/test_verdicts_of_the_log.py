"""What the log says of a command that is too old for the ledger: what it proves, and where it proves nothing."""

import pytest

from hil.outcome_store import FiledCommand
from hil.programmer.log_reading import LogHistory, LostRange
from hil.programmer.verdicts import LogVerdict, verdict_of_log
from protocol.identifiers import OnExpiry, Opcode, Outcome, Role, StopReason
from protocol.log.data import BolusEndData, CmdIntentData, StopData
from protocol.log.entry import LogEntry, pack_data
from protocol.log.types import Actor, BolusEndReason, LogName, LogType

CMD_ID, CMD_CRC, VOLUME_NL = 7, 0xA1B2_C3D4, 20_000
CLINICIAN, OF_A_PATIENT = Role.CLINICIAN << 4, Role.PATIENT << 4
BOLUS = FiledCommand(CMD_ID, Opcode.BOLUS_COMMIT, CMD_CRC, VOLUME_NL, after_seq=10)
STOP = FiledCommand(CMD_ID, Opcode.STOP, CMD_CRC, 0, after_seq=10)


def entry(seq: int, type_: LogType, data: object, actor: int = CLINICIAN, cmd_id: int = CMD_ID) -> LogEntry:
    return LogEntry(seq, 86_400, 0, type_, actor, cmd_id=cmd_id, data=pack_data(data))


def intent(seq: int, crc: int = CMD_CRC, actor: int = CLINICIAN) -> LogEntry:
    return entry(seq, LogType.CMD_INTENT, CmdIntentData(Opcode.BOLUS_COMMIT, crc, VOLUME_NL), actor)


def end(seq: int, delivered_nl: int, uncertain_nl: int, reason: BolusEndReason) -> LogEntry:
    return entry(seq, LogType.BOLUS_END, BolusEndData(delivered_nl, uncertain_nl, reason), Actor.PUMP)


def stopped(seq: int, actor: int) -> LogEntry:
    return entry(seq, LogType.STOP, StopData(3_600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY), actor)


def log_of(*entries: LogEntry, lost: bool = False, corrupt: bool = False) -> LogHistory:
    lost_ranges = (LostRange(11, 15),) if lost else ()
    return LogHistory(LogName.MAIN, 1, 11, 100, entries, lost_ranges, (16,) if corrupt else ())


COMPLETE, POWER = BolusEndReason.COMPLETE, BolusEndReason.POWER
NEVER = LogVerdict(Outcome.NEVER_RECEIVED)


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ((intent(20), end(22, 20_000, 0, COMPLETE)), LogVerdict(Outcome.DONE, 20_000)),
        ((intent(20), end(22, 500, 500, POWER)), LogVerdict(Outcome.PARTIAL, 500, 500)),
        ((intent(20), end(22, 0, 500, POWER)), LogVerdict(Outcome.PARTIAL, 0, 500)),
        ((intent(20), end(22, 0, 0, POWER)), LogVerdict(Outcome.NOT_STARTED)),
        *(
            ((intent(20), end(22, 0, 0, reason)), LogVerdict(Outcome.PARTIAL))
            for reason in BolusEndReason
            if reason not in {COMPLETE, POWER}
        ),
        ((intent(20),), LogVerdict(Outcome.RUNNING)),
        # the end of another key's command under the same number, before ours began
        ((end(18, 20_000, 0, COMPLETE), intent(20)), LogVerdict(Outcome.RUNNING)),
        # the same number, and not our content, or not by our role
        ((intent(20, crc=1), end(22, 20_000, 0, COMPLETE)), NEVER),
        ((intent(20, actor=OF_A_PATIENT), end(22, 20_000, 0, COMPLETE)), NEVER),
    ],
)
def test_a_bolus_ended_as_the_log_says_and_was_not_started_only_where_power_was_lost(
    entries: tuple[LogEntry, ...], verdict: LogVerdict
) -> None:
    assert verdict_of_log(BOLUS, Role.CLINICIAN, log_of(*entries)) == verdict


@pytest.mark.parametrize("filed", [BOLUS, STOP])
def test_only_a_log_without_a_hole_proves_that_a_command_was_never_received(filed: FiledCommand) -> None:
    def verdict(*, lost: bool = False, corrupt: bool = False) -> LogVerdict | None:
        return verdict_of_log(filed, Role.CLINICIAN, log_of(lost=lost, corrupt=corrupt))

    assert verdict() == NEVER
    assert [verdict(lost=True), verdict(corrupt=True)] == [None, None]


def test_an_entry_of_the_same_number_proves_nothing_unless_it_is_of_another_role() -> None:
    assert verdict_of_log(STOP, Role.CLINICIAN, log_of(stopped(20, CLINICIAN))) is None
    assert verdict_of_log(STOP, Role.CLINICIAN, log_of(stopped(20, OF_A_PATIENT))) == NEVER
