"""The GET commands: what the pump believes, never what is so [SPEC 6]."""

from __future__ import annotations

from itertools import compress, product
from typing import TYPE_CHECKING

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.controller.commands.request_context import Refused, RequestContext
from firmware_emu.controller.firmware import running_firmware
from firmware_emu.controller.refusal import saturated_u32
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.foreseen import allotted_to_come, on_top_to_come
from firmware_emu.controller.therapy.patient_bolus import patient_block
from firmware_emu.controller.therapy.periodic_bolus import periodic_block
from firmware_emu.units import MS_PER_S
from protocol.identifiers import (
    CommitMode,
    DeviceKind,
    ErrorCode,
    InfusionMode,
    ProgramFlag,
    ProgramSlot,
    SecurityProfile,
    State,
    StatusFlag,
)
from protocol.messages.alarms import ALARM_ROWS_MAX, AlarmRow, GetAlarmsReply
from protocol.messages.conversation import GetLinkStatsReply, SubscribeReply
from protocol.messages.program import (
    SEGMENTS_MAX,
    SEGMENTS_PER_REPLY_MAX,
    GetProgramReply,
    ProgramHeader,
    Segment,
    staged_crc,
)
from protocol.messages.reading import (
    SERIAL_BYTES,
    GetDeliveryReply,
    GetInfoReply,
    GetLimitsReply,
    GetStatusReply,
)
from protocol.messages.reservoir import GetReservoirReply
from protocol.messages.time import GetTimeReply
from protocol.wire.limits import MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from firmware_emu.controller.commands.device_context import DeviceContext
    from firmware_emu.controller.therapy.programs import Program
    from protocol.messages.conversation import GetLinkStats, Subscribe
    from protocol.messages.program import GetProgram
    from protocol.messages.time import GetTime

NEVER_S = 0xFFFF_FFFF
_FLAG_OF_FACT = (
    StatusFlag.WALL_VALID,
    StatusFlag.CLOCK_CHANGED,
    StatusFlag.LOG_WRAPPED,
    StatusFlag.STAGED_PROGRAM,
)
_FLAGS_OF_FACTS = {
    facts: StatusFlag(sum(compress(_FLAG_OF_FACT, facts)))
    for facts in product((False, True), repeat=len(_FLAG_OF_FACT))
}


def status(device: DeviceContext, request: RequestContext) -> GetStatusReply:
    """What the pump believes and does, at one moment."""
    records, delivery, tick_ms = device.records, device.therapy, request.now.tick_ms
    therapy, clock, alarms = records.therapy, records.wall_clock, records.alarms
    battery, deliveries = device.pins.battery, delivery.deliveries
    bolus = deliveries.current
    records.hints.status_read()
    left = deliveries.bridge if bolus is None else bolus
    return GetStatusReply(  # positional arguments: a third of the cost of keywords on this path
        therapy.status_rev & 0xFFFF_FFFF,
        tick_ms // MS_PER_S,  # t_mono_s
        clock.wall_s(tick_ms),
        clock.tz_minutes,
        therapy.state,
        therapy.reason,
        delivery.mode,
        _status_flags(device),
        deliveries.rate_nl_per_day,
        therapy.program_rev,
        0 if bolus is None else bolus.cmd_id,
        0 if left is None else left.left_nl,
        records.reservoir.calc_nl,
        delivery.counters.strokes * device.model.stroke_nl,  # delivered_total_nl
        battery.millivolts(tick_ms),
        battery.percent(tick_ms),
        deliveries.activity,
        alarms.active_mask,
        alarms.latched_mask,
        records.log.last_seq,
        records.ledger.last_cmd_id(request.key_id),
        delivery.stopped_ms(tick_ms) // MS_PER_S,
        0 if bolus is None else bolus.key_id,
        therapy.stopped_by,
        therapy.stop_expires_s,  # stop_expires_t_mono_s
    )


def subscribe(device: DeviceContext, request: RequestContext) -> SubscribeReply:
    """Tell this session's client of changes from now on; a mask of 0 ends that."""
    wanted: Subscribe = request.message
    device.records.hints.subscribe(wanted.mask)
    return SubscribeReply()


def _status_flags(device: DeviceContext) -> StatusFlag:
    records = device.records
    clock = records.wall_clock
    facts = (
        clock.valid,
        clock.moved_at_tick_ms is not None,
        records.log.is_wrapped,
        device.staging is not None,
    )
    return _FLAGS_OF_FACTS[facts]


def info(device: DeviceContext, request: RequestContext) -> GetInfoReply:
    """Which pump this is, and that it is virtual."""
    model, identity = device.model, device.records.identity
    firmware = running_firmware(model)
    return GetInfoReply(
        model=model.model_number,
        hw=firmware.hw,
        fw=firmware.fw,
        fw_crc32=firmware.fw_crc32,
        serial=model.serial.encode("ascii")[:SERIAL_BYTES].ljust(SERIAL_BYTES, b"\0"),
        implant_wall_s=identity.implant_wall_s,
        reservoir_size_nl=model.reservoir_size_nl,
        kind=DeviceKind.EMULATOR,
        dev_key=device.key_is_development(request.key_id),
        profile=SecurityProfile.SECURED if model.secured else SecurityProfile.OPEN,
        commit_mode=CommitMode[model.commit_mode.name],
        tubing_nl=model.tubing_nl,
        memory_id=identity.memory_id,
    )


def limits(device: DeviceContext, request: RequestContext) -> GetLimitsReply:  # noqa: ARG001 - every handler has a call
    """What this pump refuses to exceed."""
    model = device.model
    return GetLimitsReply(
        rate_min_nl_per_day=model.rate_min_nl_per_day,
        rate_max_nl_per_day=model.rate_max_nl_per_day,
        safe_rate_nl_per_day=model.safe_rate_nl_per_day,
        bolus_max_nl=model.bolus_max_nl,
        hour_max_nl=model.hour_max_nl,
        day_max_nl=model.day_max_nl,
        min_bolus_gap_s=model.min_bolus_gap_s,
        max_stop_s=model.max_stop_s,
        stroke_nl=model.stroke_nl,
        max_segments=SEGMENTS_MAX,
        log_capacity=model.log_capacity,
        max_payload=MAX_PAYLOAD_BYTES,
        program_day_max_nl=model.program_day_max_nl,
        hello_per_min=model.hello_per_min,
        hello_per_day=model.hello_per_day,
        bolus_max_duration_s=model.bolus_max_duration_s,
    )


def time(device: DeviceContext, request: RequestContext) -> GetTimeReply:
    """The monotonic and the wall clock."""
    wanted: GetTime = request.message
    clock = device.records.wall_clock
    return GetTimeReply(
        client_ms=wanted.client_ms,
        t_mono_s=request.now.tick_ms // MS_PER_S,
        t_ms=request.now.tick_ms % MS_PER_S,
        wall_s=clock.wall_s(request.now.tick_ms),
        tz_minutes=clock.tz_minutes,
        boot_count=device.records.therapy.boot_count,
    )


_NO_PROGRAM = ProgramHeader(InfusionMode.NONE, 0, 0, ProgramFlag(0), 0, 0)


def program(device: DeviceContext, request: RequestContext) -> GetProgramReply:
    """The active program (mode NONE where there is none), or the staged one as far as it has come."""
    wanted: GetProgram = request.message
    header, segments = _slot(device, wanted.slot)
    first = wanted.from_index
    return GetProgramReply(
        slot=wanted.slot,
        from_index=first,
        program_rev=device.records.therapy.program_rev,
        crc=staged_crc(header, segments),
        header=header,
        segments=segments[first : first + SEGMENTS_PER_REPLY_MAX],
    )


def _slot(device: DeviceContext, slot: ProgramSlot) -> tuple[ProgramHeader, tuple[Segment, ...]]:
    if slot is ProgramSlot.STAGED:
        if device.staging is None:
            raise Refused(ErrorCode.NO_STAGED, slot, field="slot")
        return device.staging.header, tuple(device.staging.segments)
    active: Program | None = device.records.program
    return (_NO_PROGRAM, ()) if active is None else (active.header, active.segments)


def delivery(device: DeviceContext, request: RequestContext) -> GetDeliveryReply:
    """What was delivered, by source, and what the windows hold."""
    therapy, window, model = device.therapy, device.records.window, device.model
    return GetDeliveryReply(
        basal_nl=therapy.delivered_nl(Source.BASAL),
        bolus_nl=therapy.delivered_nl(Source.BOLUS),
        patient_nl=therapy.delivered_nl(Source.PATIENT),
        periodic_nl=therapy.delivered_nl(Source.PERIODIC),
        prime_nl=therapy.delivered_nl(Source.PRIME),
        bridge_nl=therapy.delivered_nl(Source.BRIDGE),
        hour_used_nl=window.hour_used_nl(request.now.tick_ms),
        hour_max_nl=model.hour_max_nl,
        day_used_nl=window.day_used_nl(request.now.tick_ms),
        day_max_nl=model.day_max_nl,
        strokes=therapy.counters.strokes,
    )


def link_stats(device: DeviceContext, request: RequestContext) -> GetLinkStatsReply:
    """What the link has seen go wrong; the counters start anew if that is asked."""
    wanted: GetLinkStats = request.message
    counted = device.link_statistics
    answer = GetLinkStatsReply(
        crc_bad=counted.crc_bad,
        cobs_bad=counted.cobs_bad,
        mac_bad=counted.mac_bad,
        replay_drop=counted.replay_drop,
        dup_served=counted.dup_served,
        hs_fail=counted.hs_fail,
        hs_limited=counted.hs_limited,
    )
    if wanted.clear:
        counted.clear()
    return answer


def alarms(device: DeviceContext, request: RequestContext) -> GetAlarmsReply:
    """The alarms that are active or latched, critical ones first."""
    rows = device.records.alarms.listed(request.now.tick_ms)[:ALARM_ROWS_MAX]
    return GetAlarmsReply(
        tuple(
            AlarmRow(
                occurrence.alarm_id,
                ALARMS[occurrence.alarm_id].alarm_class,
                flags,
                occurrence.on_seq,
                occurrence.on_ms // MS_PER_S,
                occurrence.value,
            )
            for occurrence, flags in rows
        )
    )


def reservoir(device: DeviceContext, request: RequestContext) -> GetReservoirReply:
    """The calculated reservoir, and when it will be low and empty if nothing changes."""
    records, tick_ms = device.records, request.now.tick_ms
    belief = records.reservoir
    low_s, empty_s, low_all_patient_s = (
        NEVER_S if at_ms is None else saturated_u32(at_ms // MS_PER_S)
        for at_ms in _foreseen_moments_ms(device)
    )
    replace_by_s = records.service.replace_by_wall_s(tick_ms, records.wall_clock.known_wall_s(tick_ms))
    return GetReservoirReply(
        reservoir_calc_nl=belief.calc_nl,
        low_alarm_nl=belief.low_alarm_nl,
        last_fill_nl=belief.last_fill_nl,
        last_aspirated_nl=belief.last_aspirated_nl,
        last_expected_nl=belief.last_expected_nl,
        last_refill_t_mono_s=belief.last_refill_t_mono_s,
        last_refill_wall_s=belief.last_refill_wall_s,
        low_t_mono_s=low_s,
        empty_t_mono_s=empty_s,
        low_all_patient_t_mono_s=low_all_patient_s,
        replace_by_wall_s=0 if replace_by_s is None else saturated_u32(replace_by_s),
        last_program_wall_s=records.therapy.last_program_wall_s,
        ptm_granted=records.patient.granted,
        ptm_denied=records.patient.denied,
        battery_phase=records.service.phase,
    )


def _foreseen_moments_ms(device: DeviceContext) -> tuple[int | None, int | None, int | None]:
    """When low, empty, and low with all that the patient may ask for will be reached; None where never."""
    therapy, belief = device.therapy, device.records.reservoir
    if therapy.never_filled:
        return None, None, None
    basal, on_top = therapy.basal_to_come(), on_top_to_come(therapy, periodic_block(therapy))
    low_ms, empty_ms = belief.predict(basal, on_top)
    block = patient_block(therapy)
    if block is None or low_ms is None or device.records.therapy.state is not State.RUN:
        return low_ms, empty_ms, low_ms
    on_top.append(allotted_to_come(therapy, block, low_ms))
    return low_ms, empty_ms, belief.predict(basal, on_top).low_ms
