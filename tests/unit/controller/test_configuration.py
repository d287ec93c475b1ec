"""The configuration: each item with its range, what it changes at once, and that it lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S, S_PER_DAY
from hil.campaign.conversation import Conversation, factory_profile, profile_of, simple_header
from protocol.identifiers import AlarmId, BolusKind, ConfigId, ErrorCode, Role, State, StopReason
from protocol.link.development_keys import development_key
from protocol.log.data import ConfigWriteData
from protocol.log.types import LogType
from protocol.messages.bolus import BolusPrepare
from protocol.messages.configuration import ConfigRead, ConfigWrite
from protocol.messages.conversation import EndSession
from protocol.messages.program import ProgBegin, ProgVerify, ProgWrite, Segment
from protocol.messages.reading import GetDelivery, GetInfo, GetLimits, GetStatus
from protocol.messages.reservoir import GetReservoir
from protocol.messages.stop import Stop
from tests.support.for_each import for_each
from tests.support.pairing import as_key

WALL_S = 826_000_000
LIFE_S = 84 * 30 * S_PER_DAY
CLINICIAN = development_key(Role.CLINICIAN)


def new_talk() -> Conversation:
    return Conversation.with_new_pump(profile_of(wall_at_start_s=WALL_S))


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def read(talk: Conversation, config_id: ConfigId) -> bytes:
    reply = talk.granted(ConfigRead(config_id))
    assert reply.config_id is config_id
    value: bytes = reply.value
    return value


def number(talk: Conversation, config_id: ConfigId) -> int:
    return int.from_bytes(read(talk, config_id), "little")


def write(talk: Conversation, config_id: ConfigId, value: bytes | int) -> None:
    talk.granted(ConfigWrite(config_id, u32(value) if isinstance(value, int) else value))


def restarted(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


class Item(NamedTuple):
    """An item as a new pump has it, the ends of its range there, and a value between them."""

    config_id: ConfigId
    at_first: int
    least: int
    greatest: int
    other: int


NUMBERS = [
    Item(ConfigId.CATHETER_NL, 198_000, 0, 10_000_000, 150_000),
    Item(ConfigId.TUBING_NL, 140_000, 0, 10_000_000, 199_000),
    Item(ConfigId.BOLUS_MAX_NL, 500_000, 500, 1_000_000, 400_000),
    Item(ConfigId.HOUR_MAX_NL, 1_000_000, 500_000, 5_000_000, 600_000),
    Item(ConfigId.DAY_MAX_NL, 5_000_000, 1_000_000, 24_000_000, 2_000_000),
    Item(ConfigId.PROGRAM_DAY_MAX_NL, 5_000_000, 48_000, 24_000_000, 900_000),
    Item(ConfigId.CRITICAL_INTERVAL_S, 600, 60, 7_200, 1_200),
    Item(ConfigId.NONCRITICAL_INTERVAL_S, 3_600, 60, 86_400, 1_800),
]
TEXTS = [ConfigId.PATIENT_ID, ConfigId.NOTES, ConfigId.DRUG_NAME, ConfigId.CATHETER_MODEL]


def test_every_item_of_the_wire_is_in_these_tables() -> None:
    others = {ConfigId.IMPLANT_WALL_S, ConfigId.PATIENT_MAY_READ_THERAPY}
    assert {item.config_id for item in NUMBERS} | set(TEXTS) | others == set(ConfigId)


@for_each("item", NUMBERS, name=lambda case: case[0].config_id.name)
def test_a_number_takes_its_range_to_both_ends_and_nothing_beyond(item: Item) -> None:
    talk = new_talk()
    assert number(talk, item.config_id) == item.at_first
    for value in (item.least, item.greatest):
        write(talk, item.config_id, value)
        assert number(talk, item.config_id) == value
    beyond = [(item.greatest + 1, item.greatest), (0xFFFF_FFFF, item.greatest)]
    beyond += [(item.least - 1, item.least)] if item.least else []
    for value, nearest in beyond:
        error = talk.refused(ConfigWrite(item.config_id, u32(value)))
        assert error.code is ErrorCode.CONFIG_VALUE
        assert (error.detail, error.limit, error.nearest) == (value, nearest, nearest)
        assert error.field_offset == 3
    assert number(talk, item.config_id) == item.greatest


@for_each("config_id", list(ConfigId))
def test_what_was_configured_outlasts_a_loss_of_power_and_the_session(config_id: ConfigId) -> None:
    talk = new_talk()
    value = {
        **{item.config_id: u32(item.other) for item in NUMBERS},
        **dict.fromkeys(TEXTS, "Intrathekal, 8637, 20 µL".encode()),
        ConfigId.IMPLANT_WALL_S: u32(WALL_S - 400 * S_PER_DAY),
        ConfigId.PATIENT_MAY_READ_THERAPY: b"\1",
    }[config_id]
    others = {other: read(talk, other) for other in ConfigId if other is not config_id}
    assert read(talk, config_id) != value
    for _ in range(2):
        write(talk, config_id, value)
        restarted(talk)
        assert read(talk, config_id) == value
        assert {other: read(talk, other) for other in others} == others


@for_each(
    ("config_id", "length"),
    [(each.config_id, 4) for each in NUMBERS]
    + [(ConfigId.IMPLANT_WALL_S, 4), (ConfigId.PATIENT_MAY_READ_THERAPY, 1)],
)
def test_a_number_of_another_length_is_refused(config_id: ConfigId, length: int) -> None:
    talk = new_talk()
    for wrong in (0, length - 1, length + 1, 64):
        error = talk.refused(ConfigWrite(config_id, bytes(wrong)))
        assert (error.code, error.detail, error.limit) == (ErrorCode.LENGTH, wrong, length)


@for_each("config_id", TEXTS)
def test_a_text_is_utf_8_of_at_most_64_bytes(config_id: ConfigId) -> None:
    talk = new_talk()
    assert read(talk, config_id) == b""
    for text in ("x" * 64, "ü" * 32, "", "Baclofen 500 µg/mL"):
        write(talk, config_id, text.encode())
        assert read(talk, config_id).decode() == text
    for wrong in (b"\xff", b"abc\x80", "ü".encode()[:1], b"\xed\xa0\x80", b"ok\xc0\xaf"):
        error = talk.refused(ConfigWrite(config_id, wrong))
        assert error.code is ErrorCode.CONFIG_VALUE
        assert error.detail >= 0x80
    assert read(talk, config_id).decode() == "Baclofen 500 µg/mL"


def test_whether_a_patient_may_read_is_yes_or_no() -> None:
    talk = new_talk()
    error = talk.refused(ConfigWrite(ConfigId.PATIENT_MAY_READ_THERAPY, b"\2"))
    assert (error.code, error.detail, error.nearest) == (ErrorCode.CONFIG_VALUE, 2, 1)


# What each changes


def test_the_limits_hold_at_once_for_what_is_asked_for_and_are_told() -> None:
    talk = new_talk()
    prepare = BolusPrepare(BolusKind.BOLUS, 100_000, 3_600, 1)
    talk.granted(prepare)
    write(talk, ConfigId.BOLUS_MAX_NL, 99_999)
    error = talk.refused(prepare)
    assert (error.code, error.limit, error.nearest) == (ErrorCode.BOLUS_MAX, 99_999, 99_500)
    write(talk, ConfigId.HOUR_MAX_NL, 99_999)
    write(talk, ConfigId.DAY_MAX_NL, 200_000)
    write(talk, ConfigId.PROGRAM_DAY_MAX_NL, 500_000)
    for _ in range(2):
        limits, delivery = talk.granted(GetLimits()), talk.granted(GetDelivery())
        assert (limits.bolus_max_nl, limits.hour_max_nl, limits.day_max_nl) == (99_999, 99_999, 200_000)
        assert (delivery.hour_max_nl, delivery.day_max_nl) == (99_999, 200_000)
        assert limits.program_day_max_nl == 500_000
        restarted(talk)
    talk.granted(ProgBegin(1, simple_header(300_000, 500_000)))
    talk.granted(ProgWrite(0, (Segment(0, 600_000),)))
    (refusal,) = talk.granted(ProgVerify()).refusals
    assert (refusal.value, refusal.limit) == (600_000, 500_000)
    assert talk.granted(GetStatus()).rate_nl_per_day == 600_000, "the program that runs goes on"


def test_a_limit_cannot_pass_the_one_above_it_until_that_is_raised() -> None:
    talk = new_talk()
    assert talk.refused(ConfigWrite(ConfigId.BOLUS_MAX_NL, u32(2_000_000))).nearest == 1_000_000
    write(talk, ConfigId.HOUR_MAX_NL, 2_000_000)
    write(talk, ConfigId.BOLUS_MAX_NL, 2_000_000)
    assert talk.refused(ConfigWrite(ConfigId.HOUR_MAX_NL, u32(1_000_000))).nearest == 2_000_000


@for_each(
    ("config_id", "critical"),
    [(ConfigId.CRITICAL_INTERVAL_S, True), (ConfigId.NONCRITICAL_INTERVAL_S, False)],
)
def test_tones_sound_at_the_new_interval_at_once(config_id: ConfigId, critical: bool) -> None:
    talk = new_talk()
    if critical:
        talk.pump.stall_motor(True)
        talk.wait(MS_PER_HOUR)
    else:
        talk.start_bolus(1, 10_000, 600)
        talk.wait(60 * MS_PER_S)
        talk.granted(Stop(2, 100_000, StopReason.CLINICAL))  # BOLUS_PARTIAL
    talk.wait(1)
    began_ms = talk.pump.tones()[0].at_ms
    write(talk, config_id, 90)
    before = len(talk.pump.tones())
    changed_ms = talk.now_ms
    talk.wait(900 * MS_PER_S)
    heard = talk.pump.tones()[before:]
    assert len(heard) == 10
    assert all((tone.at_ms - began_ms) % 90_000 == 0 and tone.at_ms > changed_ms for tone in heard)
    assert {tone.critical for tone in heard} == {critical}


def test_the_tubing_is_told_in_info_and_leaves_the_true_tubing_alone() -> None:
    talk = new_talk()
    truth = talk.pump.truth()
    write(talk, ConfigId.TUBING_NL, 199_000)
    assert talk.granted(GetInfo()).tubing_nl == 199_000
    assert talk.pump.truth().path_fg_ppm == truth.path_fg_ppm


def test_the_date_of_the_implant_moves_the_end_of_service() -> None:
    talk = new_talk()
    by_s = talk.granted(GetReservoir()).replace_by_wall_s
    write(talk, ConfigId.IMPLANT_WALL_S, WALL_S - 1_000 * S_PER_DAY)
    assert talk.granted(GetInfo()).implant_wall_s == WALL_S - 1_000 * S_PER_DAY
    moved_s = by_s - talk.granted(GetReservoir()).replace_by_wall_s
    assert abs(moved_s - 1_000 * S_PER_DAY) <= 3 * S_PER_DAY, "months differ in length"


def test_the_service_ends_when_the_new_date_says() -> None:
    talk = Conversation.with_new_pump(
        profile_of(wall_at_start_s=WALL_S, service_life_months=12, eri_to_eos_days=30)
    )
    write(talk, ConfigId.IMPLANT_WALL_S, WALL_S - 300 * S_PER_DAY)
    end_s = talk.granted(GetReservoir()).replace_by_wall_s
    talk.wait_until((end_s - WALL_S) * MS_PER_S - 1)
    assert talk.granted(GetStatus()).state is not State.EOS
    talk.wait(1)
    assert talk.granted(GetStatus()).state is State.EOS
    assert talk.code(ConfigWrite(ConfigId.IMPLANT_WALL_S, u32(WALL_S))) is ErrorCode.EOS
    write(talk, ConfigId.NOTES, b"explant")


def test_a_date_that_would_end_the_service_or_lies_ahead_is_refused_with_the_nearest_that_does_not() -> None:
    talk = new_talk()
    ahead = talk.refused(ConfigWrite(ConfigId.IMPLANT_WALL_S, u32(WALL_S + 1)))
    assert (ahead.code, ahead.nearest) == (ErrorCode.TIME_RANGE, WALL_S)
    for wrong in (0, 1, WALL_S - LIFE_S - 100 * S_PER_DAY):
        error = talk.refused(ConfigWrite(ConfigId.IMPLANT_WALL_S, u32(wrong)))
        assert error.code is ErrorCode.TIME_RANGE
        assert talk.code(ConfigWrite(ConfigId.IMPLANT_WALL_S, u32(error.nearest - 1))) is ErrorCode.TIME_RANGE
        fine = talk.fork()
        write(fine, ConfigId.IMPLANT_WALL_S, error.nearest)
        assert fine.granted(GetStatus()).alarm_active == 0
        fine.wait(2 * MS_PER_DAY)
        assert fine.granted(GetStatus()).alarm_active == 1 << AlarmId.ERI


def test_without_a_clock_no_date_is_taken() -> None:
    talk = Conversation.with_new_pump(factory_profile())
    error = talk.refused(ConfigWrite(ConfigId.IMPLANT_WALL_S, u32(WALL_S)))
    assert (error.code, error.field_offset) == (ErrorCode.CLOCK_INVALID, None)


@for_each("role", [Role.OBSERVER, Role.PATIENT])
def test_therapy_entries_of_the_log_are_hidden_until_the_clinic_allows_them(role: Role) -> None:
    talk = new_talk()
    talk.granted(Stop(1, 60, StopReason.CLINICAL))
    hidden: Callable[[], set[LogType]] = lambda: {entry.type for entry in talk.log()}  # noqa: E731
    whole = hidden()
    assert {LogType.STOP, LogType.REFILL} <= whole
    as_key(talk, development_key(role))
    assert not {LogType.STOP, LogType.REFILL} & hidden()
    assert LogType.HIDDEN in hidden()
    as_key(talk, CLINICIAN)
    write(talk, ConfigId.PATIENT_MAY_READ_THERAPY, b"\1")
    as_key(talk, development_key(role))
    assert hidden() == whole | {LogType.CONFIG_WRITE}
    as_key(talk, CLINICIAN)
    write(talk, ConfigId.PATIENT_MAY_READ_THERAPY, b"\0")
    as_key(talk, development_key(role))
    assert LogType.HIDDEN in hidden()


# Damage


def test_damaged_limits_are_a_critical_damage_and_those_of_the_model_hold() -> None:
    talk = new_talk()
    write(talk, ConfigId.BOLUS_MAX_NL, 10_000)
    write(talk, ConfigId.NOTES, b"kept")
    talk.pump.cut_power()
    flash, offset = talk.pump.plant.flash, PLACES[Region.SETTINGS].offset + 5
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1]))])
    talk.pump.restore_power()
    talk.granted(EndSession())
    status = talk.granted(GetStatus())
    assert status.state is State.SAFE_STATE
    assert status.alarm_active >> AlarmId.MEM_CRITICAL & 1
    assert number(talk, ConfigId.BOLUS_MAX_NL) == 500_000
    assert read(talk, ConfigId.NOTES) == b"kept"


def test_damaged_texts_are_gone_and_therapy_goes_on() -> None:
    talk = new_talk()
    write(talk, ConfigId.NOTES, b"lost")
    talk.pump.cut_power()
    flash, offset = talk.pump.plant.flash, PLACES[Region.TEXTS].offset + 5
    flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1]))])
    talk.pump.restore_power()
    status = talk.granted(GetStatus())
    assert status.state is State.RUN
    assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    assert read(talk, ConfigId.NOTES) == b""


@for_each("config_id", list(ConfigId))
def test_what_the_clinic_sets_is_in_the_log_once_with_before_and_after_and_no_text(
    config_id: ConfigId,
) -> None:
    talk = new_talk()
    value = {
        **{item.config_id: u32(item.other) for item in NUMBERS},
        **dict.fromkeys(TEXTS, "Müller".encode()),
        ConfigId.IMPLANT_WALL_S: u32(WALL_S - 400 * S_PER_DAY),
        ConfigId.PATIENT_MAY_READ_THERAPY: b"\1",
    }[config_id]
    before = read(talk, config_id)
    for _ in range(2):
        write(talk, config_id, value)
    logged = (
        (0, 7) if config_id in TEXTS else tuple(int.from_bytes(each, "little") for each in (before, value))
    )
    entries = [entry for entry in talk.log() if entry.type is LogType.CONFIG_WRITE]
    assert [entry.details() for entry in entries] == [ConfigWriteData(config_id, *logged)]
    assert entries[0].actor >> 4 == Role.CLINICIAN
    talk.refused(ConfigWrite(config_id, b"\xff" if config_id in TEXTS else bytes(3)))
    assert len([entry for entry in talk.log() if entry.type is LogType.CONFIG_WRITE]) == 1
