"""One script for each command that the pump implements: what comes before it, and the asking itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hil.programmer.staging import simple_program
from protocol.identifiers import AlarmClass, AlarmId, ConfigId, Opcode, Role
from protocol.link.development_keys import DeviceKey
from protocol.log.types import LogName
from protocol.messages.keys import PairingOpen
from protocol.messages.log import LogRead
from protocol.messages.program import PatientBlock, ProgBegin, ProgVerify, ProgWrite

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from tests.simulation.operators import Operator

VOLUME_NL = 2_000
CONCENTRATION_NG_PER_ML = 500_000
DOSE_NG_PER_DAY = 310_000
BEYOND_CMD_ID = 40
PATIENT_BOLUS_S, LOCKOUT_S = 60, 61
COMMIT_IS_FRAME = 5  # of a first bolus, each way: status, PREPARE, info, status, security log, COMMIT


class Script(NamedTuple):
    """`before` runs over a clean line; `act` is what the line harms."""

    act: Callable[[Operator], object]
    before: Callable[[Operator], object] = lambda _person: None
    role: Role = Role.CLINICIAN


def reading(ask: Callable[[Programmer], object]) -> Script:
    """A question that any session answers."""
    return Script(lambda operator: operator.tries(ask))


def _give_bolus(operator: Operator) -> object:
    return operator.gives_bolus(VOLUME_NL)


def _prime(operator: Operator) -> object:
    attempt = operator.world.new_attempt()

    def act(programmer: Programmer) -> object:
        prepared = programmer.prepare_prime(VOLUME_NL, attempt.duration_s)
        attempt.announced_nl = prepared.announced.quantised_nl
        return programmer.commit_prime(prepared)

    return operator.gives(attempt, act)


def _ask_as_patient(operator: Operator) -> object:
    attempt = operator.world.new_attempt(shortest_s=PATIENT_BOLUS_S)
    attempt.announced_nl = VOLUME_NL
    return operator.gives(attempt, lambda programmer: programmer.patient_bolus())


def _begin(programmer: Programmer) -> None:
    header, _ = simple_program(DOSE_NG_PER_DAY, CONCENTRATION_NG_PER_ML, 1)
    programmer.request(ProgBegin(programmer.status().program_rev, header))


def _stage(operator: Operator) -> object:
    return operator.tries(lambda programmer: programmer.stage_simple_program(DOSE_NG_PER_DAY))


def _cut_power(operator: Operator) -> object:
    """A brown-out: the pump comes back at once, with its RESET alarm."""
    operator.world.pump.cut_power()
    operator.world.pump.restore_power()
    operator.world.advance(0)
    return operator.tries(lambda programmer: programmer.alarms())


def _let_the_patient_ask(operator: Operator) -> object:
    """A clinician programs what the handset may ask for, and its lockout passes."""
    clinician = type(operator)(operator.world, seed=77)
    allowed = PatientBlock(
        VOLUME_NL, duration_s=PATIENT_BOLUS_S, lockout_s=LOCKOUT_S, window_s=LOCKOUT_S, max_count=1
    )
    programmed = clinician.tries(lambda p: p.set_simple_program(DOSE_NG_PER_DAY, patient=allowed))
    clinician.tries(lambda p: p.end_session())
    operator.world.advance(LOCKOUT_S * 1_000)
    operator.tries(lambda p: p.ping())
    return programmed


def _hold_magnet(operator: Operator) -> object:
    operator.world.pump.inject("magnet", {})
    return operator.tries(lambda programmer: programmer.ping())


def _set_time(programmer: Programmer) -> object:
    return programmer.set_time(programmer.status().wall_s + 30, 60, confirm=True)


SCRIPTS = {
    Opcode.GET_STATUS: reading(lambda p: p.status()),
    Opcode.GET_INFO: reading(lambda p: p.info()),
    Opcode.GET_LIMITS: reading(lambda p: p.limits()),
    Opcode.GET_TIME: reading(lambda p: p.time()),
    Opcode.GET_PROGRAM: reading(lambda p: p.program()),
    Opcode.GET_DELIVERY: reading(lambda p: p.delivery()),
    Opcode.GET_LINK_STATS: reading(lambda p: p.link_stats(clear=True)),
    Opcode.GET_ALARMS: reading(lambda p: p.alarms()),
    Opcode.GET_RESERVOIR: reading(lambda p: p.reservoir()),
    Opcode.BOLUS_PREPARE: reading(lambda p: p.prepare_bolus(VOLUME_NL, 60)),
    Opcode.BOLUS_COMMIT: Script(_give_bolus),
    Opcode.PRIME: Script(_prime),
    Opcode.PATIENT_BOLUS: Script(_ask_as_patient, _let_the_patient_ask, Role.PATIENT),
    Opcode.QUERY_CMD: Script(lambda operator: operator.tries(lambda p: p.query(1)), _give_bolus),
    Opcode.VOID_CMD: reading(lambda p: p.void(BEYOND_CMD_ID)),
    Opcode.BOLUS_CANCEL: Script(lambda operator: operator.tries(lambda p: p.cancel_bolus()), _give_bolus),
    Opcode.STOP: Script(lambda operator: operator.tries(lambda p: p.stop()), _give_bolus),
    Opcode.RESUME: Script(
        lambda operator: operator.tries(lambda p: p.resume()),
        lambda operator: operator.tries(lambda p: p.stop()),
    ),
    Opcode.PROG_BEGIN: reading(_begin),
    Opcode.PROG_WRITE: Script(
        lambda operator: operator.tries(
            lambda p: p.requester.request_once(ProgWrite(0, simple_program(DOSE_NG_PER_DAY, 500_000, 1)[1]))
        ),
        lambda operator: operator.tries(_begin),
    ),
    Opcode.PROG_VERIFY: Script(
        lambda operator: operator.tries(lambda p: p.requester.request_once(ProgVerify())), _stage
    ),
    Opcode.PROG_COMMIT: Script(
        lambda operator: operator.tries(lambda p: p.set_simple_program(DOSE_NG_PER_DAY)),
    ),
    Opcode.PROG_ABORT: Script(lambda operator: operator.tries(lambda p: p.abort_program()), _stage),
    Opcode.LOG_READ: reading(lambda p: p.request(LogRead(LogName.MAIN, 0, 1, 6, 0))),
    Opcode.LOG_STATUS: reading(lambda p: p.log_status()),
    Opcode.ALARM_ACK: Script(
        lambda operator: operator.tries(lambda p: p.acknowledge_alarm(AlarmId.RESET)), _cut_power
    ),
    Opcode.TIME_SET: reading(_set_time),
    Opcode.REFILL: reading(lambda p: p.refill(18_000_000, aspirated_nl=17_000_000)),
    Opcode.ALARM_TEST: reading(lambda p: p.test_alarm(AlarmClass.CRITICAL)),
    Opcode.SUBSCRIBE: reading(lambda p: p.subscribe()),
    Opcode.SELF_TEST: Script(
        lambda operator: operator.tries(lambda p: p.self_test()),
        lambda operator: operator.tries(lambda p: p.stop()),
        Role.SERVICE,
    ),
    Opcode.CONFIG_READ: reading(lambda p: p.configuration(ConfigId.BOLUS_MAX_NL)),
    Opcode.CONFIG_WRITE: reading(lambda p: p.configure(ConfigId.BOLUS_MAX_NL, 400_000)),
    Opcode.KEY_ADD: Script(
        lambda operator: operator.tries(
            lambda p: p.pair(DeviceKey(40, Role.PATIENT, bytes(range(16)), 0, development=False))
        ),
        _hold_magnet,
    ),
    Opcode.KEY_REVOKE: Script(lambda operator: operator.tries(lambda p: p.revoke(1)), _hold_magnet),
    Opcode.KEY_LIST: Script(lambda operator: operator.tries(lambda p: p.paired_keys()), _hold_magnet),
    Opcode.PAIRING_OPEN: Script(
        lambda operator: operator.tries(lambda p: p.request(PairingOpen())), _hold_magnet
    ),
    Opcode.PING: reading(lambda p: p.ping()),
    Opcode.END_SESSION: reading(lambda p: p.end_session()),
}
