"""CONFIG_READ and CONFIG_WRITE: what the clinic may set of a pump, a row an item [SPEC 6].

What is written holds at once and for good. Limits bind what is asked for from then on; what runs already goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.memory.memory_map import Region
from firmware_emu.controller.memory.settings import FIELD_OF, TEXT_IDS
from firmware_emu.units import NL_PER_ML
from protocol.identifiers import ConfigId, ErrorCode
from protocol.log.data import ConfigWriteData
from protocol.log.types import LogType
from protocol.messages.configuration import ConfigReadReply, ConfigWriteReply

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.profile import PumpModel
    from protocol.messages.configuration import ConfigRead, ConfigWrite

PATH_PART_MAX_NL: Final = 10 * NL_PER_ML  # no tube and no catheter has more
TONE_INTERVAL_MIN_S: Final = 60  # a tone a minute wears out patient and battery
CRITICAL_INTERVAL_MAX_S: Final = 7_200  # [DOMAIN 3.1]
NONCRITICAL_INTERVAL_MAX_S: Final = 86_400  # [DOMAIN 3.1]
_U32_BYTES: Final = 4


class Bounds(NamedTuple):
    """The least and the greatest value that an item takes beside the others as they stand."""

    least: int
    greatest: int


BOUNDS_OF: Final[dict[ConfigId, Callable[[PumpModel], Bounds]]] = {
    ConfigId.CATHETER_NL: lambda _model: Bounds(0, PATH_PART_MAX_NL),
    ConfigId.TUBING_NL: lambda _model: Bounds(0, PATH_PART_MAX_NL),
    ConfigId.BOLUS_MAX_NL: lambda model: Bounds(
        model.stroke_nl, min(model.hour_max_nl, model.reservoir_size_nl)
    ),
    ConfigId.HOUR_MAX_NL: lambda model: Bounds(model.bolus_max_nl, model.day_max_nl),
    ConfigId.DAY_MAX_NL: lambda model: Bounds(model.hour_max_nl, model.rate_max_nl_per_day),
    ConfigId.PROGRAM_DAY_MAX_NL: lambda model: Bounds(model.rate_min_nl_per_day, model.rate_max_nl_per_day),
    ConfigId.CRITICAL_INTERVAL_S: lambda _model: Bounds(TONE_INTERVAL_MIN_S, CRITICAL_INTERVAL_MAX_S),
    ConfigId.NONCRITICAL_INTERVAL_S: lambda _model: Bounds(TONE_INTERVAL_MIN_S, NONCRITICAL_INTERVAL_MAX_S),
}


def read(device: DeviceContext, request: RequestContext) -> ConfigReadReply:
    """One item as it holds, whether it was ever written or is as the pump was made."""
    wanted: ConfigRead = request.message
    return ConfigReadReply(wanted.config_id, _held(device, wanted.config_id))


def _held(device: DeviceContext, config_id: ConfigId) -> bytes:
    """An item as the wire has it."""
    records = device.records
    if config_id in TEXT_IDS:
        return records.texts.texts[config_id]
    if config_id is ConfigId.PATIENT_MAY_READ_THERAPY:
        return bytes([records.settings.patient_may_read_therapy])
    if config_id is ConfigId.IMPLANT_WALL_S:
        return records.identity.implant_wall_s.to_bytes(_U32_BYTES, "little")
    return int(getattr(device.model, FIELD_OF[config_id])).to_bytes(_U32_BYTES, "little")


def write(device: DeviceContext, request: RequestContext) -> ConfigWriteReply:
    """Set one item, and log what changed. What holds already may be written again after UNKNOWN, and is no change."""
    wanted: ConfigWrite = request.message
    config_id = wanted.config_id
    old = _held(device, config_id)
    _set(device, request, wanted)
    new = _held(device, config_id)
    if new != old:
        data = ConfigWriteData(config_id, _logged(config_id, old), _logged(config_id, new))
        device.records.enter(LogType.CONFIG_WRITE, data, actor=request.actor)
    return ConfigWriteReply()


def _logged(config_id: ConfigId, value: bytes) -> int:
    """A value as its log entry has it: a number, or how long a text is, which says nothing about a patient."""
    return len(value) if config_id in TEXT_IDS else int.from_bytes(value, "little")


def _set(device: DeviceContext, request: RequestContext, wanted: ConfigWrite) -> None:
    config_id, records = wanted.config_id, device.records
    if config_id in TEXT_IDS:
        records.texts.texts[config_id] = _checked_text(wanted.value)
        records.mark_dirty(Region.TEXTS)
    elif config_id is ConfigId.PATIENT_MAY_READ_THERAPY:
        allowed = _number(wanted.value, 1)
        _check_bounds(allowed, Bounds(0, 1))
        records.settings.patient_may_read_therapy = bool(allowed)
        records.mark_dirty(Region.SETTINGS)
    elif config_id is ConfigId.IMPLANT_WALL_S:
        _set_implant_date(device, request, _number(wanted.value, _U32_BYTES))
    else:
        number = _number(wanted.value, _U32_BYTES)
        _check_bounds(number, BOUNDS_OF[config_id](device.model))
        records.settings.numbers[config_id] = number
        records.mark_dirty(Region.SETTINGS)
        device.therapy.model = records.settings.applied_to(device.model)


def _checked_text(value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise Refused(ErrorCode.CONFIG_VALUE, value[error.start], nearest=0, field="value") from None
    return value


def _number(value: bytes, length: int) -> int:
    if len(value) != length:
        raise Refused(ErrorCode.LENGTH, len(value), limit=length, field="value")
    return int.from_bytes(value, "little")


def _check_bounds(value: int, bounds: Bounds) -> None:
    """Refuse a value outside, with the bound that it passed, which is the nearest that is taken."""
    passed = min(max(value, bounds.least), bounds.greatest)
    if passed != value:
        raise Refused(ErrorCode.CONFIG_VALUE, value, limit=passed, field="value")


def _set_implant_date(device: DeviceContext, request: RequestContext, implant_wall_s: int) -> None:
    """Count the service life from another day: one that was, and from which neither ERI nor EOS would be there at once.

    Nothing takes those back, so that a slip of the finger must not bring them.
    """
    device.check_in_service()
    records, clock, tick_ms = device.records, device.records.wall_clock, request.now.tick_ms
    if implant_wall_s == records.identity.implant_wall_s:
        return
    if not clock.valid:
        raise Refused(ErrorCode.CLOCK_INVALID)
    wall_s = clock.wall_s(tick_ms)

    def serves_on(from_wall_s: int) -> bool:
        life = replace(records.service)
        life.implanted(from_wall_s, wall_s, tick_ms, clock.tz_minutes)
        next_ms = life.next_ms()
        return next_ms is not None and next_ms > tick_ms

    if implant_wall_s > wall_s or not serves_on(implant_wall_s):
        nearest = wall_s if implant_wall_s > wall_s else _first_true(implant_wall_s, wall_s, serves_on)
        raise Refused(ErrorCode.TIME_RANGE, implant_wall_s, limit=nearest, field="value")
    records.identity.implant_wall_s = implant_wall_s
    records.service.implanted(implant_wall_s, wall_s, tick_ms, clock.tz_minutes)
    records.mark_dirty(Region.IDENTITY, Region.SERVICE)


def _first_true(wrong: int, right: int, holds: Callable[[int], bool]) -> int:
    """The least value above `wrong` from which on it holds; `right` where it never does."""
    while right - wrong > 1:
        middle = (wrong + right) // 2
        wrong, right = (wrong, middle) if holds(middle) else (middle, right)
    return right
