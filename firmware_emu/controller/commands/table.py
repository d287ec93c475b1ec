"""Which function does which command. A command without one is refused as UNSUPPORTED_OP."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.commands import (
    boluses,
    configuration,
    pairing,
    patient_boluses,
    programming,
    reading,
    stopping,
    testing,
    upkeep,
)
from protocol.identifiers import Opcode
from protocol.registry import VENDORS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.commands.request_context import RequestContext

    Handler = Callable[[DeviceContext, RequestContext], object]

HANDLERS: Final[Mapping[int, Handler]] = {
    Opcode.GET_STATUS: reading.status,
    Opcode.GET_INFO: reading.info,
    Opcode.GET_LIMITS: reading.limits,
    Opcode.GET_TIME: reading.time,
    Opcode.GET_PROGRAM: reading.program,
    Opcode.GET_DELIVERY: reading.delivery,
    Opcode.GET_LINK_STATS: reading.link_stats,
    Opcode.GET_ALARMS: reading.alarms,
    Opcode.GET_RESERVOIR: reading.reservoir,
    Opcode.BOLUS_PREPARE: boluses.prepare,
    Opcode.BOLUS_COMMIT: boluses.commit,
    Opcode.PRIME: boluses.prime,
    Opcode.QUERY_CMD: boluses.query,
    Opcode.VOID_CMD: boluses.void,
    Opcode.BOLUS_CANCEL: boluses.cancel,
    Opcode.STOP: stopping.stop,
    Opcode.RESUME: stopping.resume,
    Opcode.PATIENT_BOLUS: patient_boluses.ask,
    Opcode.PROG_BEGIN: programming.begin,
    Opcode.PROG_WRITE: programming.write,
    Opcode.PROG_VERIFY: programming.read_back,
    Opcode.PROG_COMMIT: programming.commit,
    Opcode.PROG_ABORT: programming.abort,
    Opcode.LOG_READ: upkeep.read_log,
    Opcode.LOG_STATUS: upkeep.log_status,
    Opcode.ALARM_ACK: upkeep.acknowledge,
    Opcode.ALARM_TEST: testing.alarm_test,
    Opcode.TIME_SET: upkeep.set_time,
    Opcode.REFILL: upkeep.refill,
    Opcode.SUBSCRIBE: reading.subscribe,
    Opcode.SELF_TEST: testing.self_test,
    Opcode.CONFIG_READ: configuration.read,
    Opcode.CONFIG_WRITE: configuration.write,
    Opcode.KEY_ADD: pairing.add,
    Opcode.KEY_REVOKE: pairing.revoke,
    Opcode.KEY_LIST: pairing.list_keys,
    Opcode.PAIRING_OPEN: pairing.open_window,
    Opcode.PING: upkeep.ping,
    Opcode.END_SESSION: upkeep.end_session,
}


def handler_of(opcode: int, vendors: tuple[str, ...]) -> Handler | None:
    """The function of a command of this wire, or of these vendors' messages; None where the pump has none."""
    found = HANDLERS.get(opcode)
    if found is None:
        found = next((own[opcode] for own in map(handlers_of, vendors) if opcode in own), None)
    return found


@cache
def handlers_of(vendor: str) -> Mapping[int, Handler]:
    """The functions of a registered vendor's messages. ValueError where one of them is not a command of it."""
    if vendor not in VENDORS:
        raise ValueError(f"the messages of {vendor} are not registered")
    row = VENDORS[vendor]
    handlers = row.handlers()
    if {command.opcode for command in row.commands} != set(handlers):
        raise ValueError(f"the messages of {vendor} and their handlers are not of the same opcodes")
    return handlers
