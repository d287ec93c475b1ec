"""Pairing: who may add and revoke keys and when, what a revoked key still gets, and the way back where all are lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from firmware_emu.controller.commands.pairing import RECOVERY_DELAY_MS, RECOVERY_VALID_MS, WINDOW_S
from firmware_emu.controller.memory.memory_map import PLACES, Region
from firmware_emu.pump import Pump
from firmware_emu.units import MS_PER_S
from hil.campaign.conversation import SEED, Conversation, factory_profile, profile_of
from protocol.codec.layouts import encode
from protocol.identifiers import (
    CARD_KEY_ID,
    AlarmId,
    BolusKind,
    ErrorCode,
    Missing,
    Opcode,
    RejectReason,
    Role,
    StopReason,
)
from protocol.link.client_end import ClientEnd, Phase
from protocol.link.development_keys import DEVELOPMENT_CARD, DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.link.events import Response
from protocol.link.session import unwrap_key
from protocol.log.data import HsFailData, KeyAddData, KeyRevokeData, RoleDeniedData, SessionCloseData
from protocol.log.types import Actor, LogName, LogType, SessionCloseReason
from protocol.messages.alarms import GetAlarms
from protocol.messages.bolus import BolusPrepare
from protocol.messages.conversation import EndSession, Ping
from protocol.messages.errors import ErrorReply
from protocol.messages.keys import KEYS_MAX, KeyAdd, KeyList, KeyRevoke, PairingOpen
from protocol.messages.reading import GetDelivery, GetInfo, GetStatus
from protocol.messages.stop import Stop
from protocol.registry import COMMANDS
from tests.support.for_each import for_each
from tests.support.pairing import NEW_KEY, as_key, bring_magnet, key_add, listed, open_window, pair
from tests.support.requests import REQUESTS

CLINICIAN = development_key(Role.CLINICIAN)
CARD = DeviceKey(CARD_KEY_ID, Role.OBSERVER, DEVELOPMENT_CARD, 0xF, development=True)
NEW_ID = 40


def new_talk() -> Conversation:
    return Conversation.with_new_pump(profile_of(wall_at_start_s=826_000_000))


def security(talk: Conversation, log_type: LogType) -> list[tuple[int, object]]:
    """Actor and data of each entry of a type in the security log."""
    return [(e.actor, e.details()) for e in talk.log(LogName.SECURITY) if e.type is log_type]


def opens(talk: Conversation, key: DeviceKey) -> bool:
    """Whether a session opens under this key."""
    as_key(talk, key)
    talk.client.open(talk.now_ms)
    talk._exchange()
    return talk.client.phase is Phase.OPEN


def restarted(talk: Conversation) -> None:
    talk.pump.cut_power()
    talk.pump.restore_power()


@for_each("role", list(Role))
def test_a_key_that_was_added_opens_a_session_in_its_role_also_after_a_loss_of_power(role: Role) -> None:
    talk = new_talk()
    added = pair(talk, NEW_ID, role)
    assert listed(talk)[NEW_ID] == (role, 4)
    for _ in range(2):
        assert opens(talk, added)
        assert talk.granted(GetInfo()).dev_key is False
        restarted(talk)
    as_key(talk, CLINICIAN)
    assert security(talk, LogType.KEY_ADD) == [(0x22, KeyAddData(NEW_ID, role, 4))]


def outside(talk: Conversation) -> None:
    bring_magnet(talk)


def after_the_window(talk: Conversation) -> None:
    open_window(talk)
    talk.wait(60 * MS_PER_S)
    talk.granted(Ping())
    talk.wait((WINDOW_S - 60) * MS_PER_S)


def after_its_session(talk: Conversation) -> None:
    open_window(talk)
    talk.granted(EndSession())
    talk.open()


def with_the_magnet_away(talk: Conversation) -> None:
    open_window(talk)
    talk.pump.clear("magnet")


def with_neither(talk: Conversation) -> None:
    talk.granted(GetStatus())


CLOSED: list[tuple[Callable[[Conversation], None], Missing]] = [
    (outside, Missing.WINDOW),
    (after_the_window, Missing.WINDOW),
    (after_its_session, Missing.WINDOW),
    (with_the_magnet_away, Missing.PROXIMITY),
    (with_neither, Missing.WINDOW | Missing.PROXIMITY),
]


@for_each(("bring_about", "missing"), CLOSED, name=lambda case: case[0].__name__)
def test_attack_3_10_no_key_changes_outside_the_window_or_without_a_magnet(
    bring_about: Callable[[Conversation], None], missing: Missing
) -> None:
    talk = new_talk()
    talk.open()
    bring_about(talk)
    for make in (
        lambda: key_add(talk, NEW_ID, Role.CLINICIAN),
        lambda: KeyRevoke(1),
        KeyList,
    ):
        error = talk.refused(make())
        assert (error.code, error.detail) == (ErrorCode.PAIRING_CLOSED, missing)
    open_window(talk)
    assert sorted(listed(talk)) == [1, 2, 3, 4]


def test_the_window_does_not_open_without_a_magnet_and_closes_to_the_millisecond() -> None:
    talk = new_talk()
    error = talk.refused(PairingOpen())
    assert (error.code, error.detail) == (ErrorCode.PAIRING_CLOSED, Missing.PROXIMITY)
    open_window(talk)
    talk.wait(60 * MS_PER_S)
    talk.granted(KeyList())
    talk.wait(60 * MS_PER_S - 1)
    talk.granted(KeyList())
    talk.wait(1)
    assert talk.code(KeyList()) is ErrorCode.PAIRING_CLOSED


def test_attack_3_10_a_recorded_key_add_does_nothing_in_its_session_or_in_another() -> None:
    talk = new_talk()
    open_window(talk)
    recorded = key_add(talk, NEW_ID, Role.CLINICIAN)
    talk.granted(recorded)
    talk.granted(KeyRevoke(NEW_ID))
    for again in (lambda: None, lambda: talk.granted(EndSession())):
        again()
        if talk.client.phase is not Phase.OPEN:
            open_window(talk)
        assert talk.code(recorded) is ErrorCode.KEY_SEAL, "it was wrapped for one request alone"
        assert NEW_ID not in listed(talk)


@for_each("change", ["key_id", "role", "first byte", "last byte"])
def test_attack_3_11_a_key_that_was_changed_on_its_way_is_refused(change: str) -> None:
    talk = new_talk()
    open_window(talk)
    sent = key_add(talk, NEW_ID, Role.OBSERVER)
    changed = {
        "key_id": sent._replace(key_id=NEW_ID + 1),
        "role": sent._replace(role=Role.CLINICIAN),
        "first byte": sent._replace(wrapped=bytes([sent.wrapped[0] ^ 1]) + sent.wrapped[1:]),
        "last byte": sent._replace(wrapped=sent.wrapped[:-1] + bytes([sent.wrapped[-1] ^ 1])),
    }[change]
    error = talk.refused(changed)
    assert error.code is ErrorCode.KEY_SEAL
    assert error.field_offset == 4
    assert sorted(listed(talk)) == [1, 2, 3, 4]


def test_attack_3_11_whoever_hears_a_pairing_and_has_another_key_of_this_pump_does_not_learn_the_new_one() -> (
    None
):
    talk = new_talk()
    open_window(talk)
    sent = key_add(talk, NEW_ID, Role.CLINICIAN)
    controller = talk.pump.controller
    assert controller is not None
    session = controller.link._session
    assert session is not None
    for known in (development_key(Role.OBSERVER).key, DEVELOPMENT_CARD, session.sealing_key, bytes(16)):
        for ctr in range(8):
            assert unwrap_key(known, session.info.sid, ctr, encode(sent)[:4], sent.wrapped) is None
    assert NEW_KEY not in encode(sent)


def test_an_id_is_paired_once_and_the_same_pairing_repeated_is_no_error() -> None:
    talk = new_talk()
    pair(talk, NEW_ID, Role.PATIENT)
    talk.granted(key_add(talk, NEW_ID, Role.PATIENT))
    assert len(security(talk, LogType.KEY_ADD)) == 1
    for key_id, role, key in (
        (NEW_ID, Role.PATIENT, bytes(16)),
        (NEW_ID, Role.CLINICIAN, NEW_KEY),
        (CARD_KEY_ID, Role.OBSERVER, NEW_KEY),
        (0xFFFF, Role.CLINICIAN, NEW_KEY),
    ):
        error = talk.refused(key_add(talk, key_id, role, key))
        assert (error.code, error.detail, error.nearest) == (ErrorCode.KEY_ID, key_id, 5)
    assert opens(talk, DeviceKey(NEW_ID, Role.PATIENT, NEW_KEY, 0, development=False))


def test_there_are_eight_slots_and_a_freed_one_is_used_again() -> None:
    talk = new_talk()
    open_window(talk)
    for key_id in range(10, 14):
        talk.granted(key_add(talk, key_id, Role.PATIENT))
    error = talk.refused(key_add(talk, NEW_ID, Role.PATIENT))
    assert (error.code, error.detail, error.limit) == (ErrorCode.KEY_SLOTS, NEW_ID, KEYS_MAX)
    talk.granted(KeyRevoke(11))
    talk.granted(key_add(talk, NEW_ID, Role.PATIENT))
    assert listed(talk)[NEW_ID] == (Role.PATIENT, 5)
    restarted(talk)
    open_window(talk)
    assert listed(talk) == {
        1: (Role.OBSERVER, 0),
        2: (Role.PATIENT, 1),
        3: (Role.CLINICIAN, 2),
        4: (Role.SERVICE, 3),
        10: (Role.PATIENT, 4),
        NEW_ID: (Role.PATIENT, 5),
        12: (Role.PATIENT, 6),
        13: (Role.PATIENT, 7),
    }


def test_eight_keys_that_come_and_go_all_find_room_in_the_ledger() -> None:
    talk = new_talk()
    for key_id in range(100, 120):
        as_key(talk, CLINICIAN)
        added = pair(talk, key_id, Role.PATIENT)
        assert opens(talk, added)
        talk.granted(Stop(1, 60, StopReason.PATIENT))
        as_key(talk, CLINICIAN)
        open_window(talk)
        talk.granted(KeyRevoke(key_id))


def test_attack_3_8_a_revoked_key_is_refused_at_its_next_frame_and_gets_no_session() -> None:
    talk = new_talk()
    second = pair(talk, NEW_ID, Role.CLINICIAN)
    assert opens(talk, second)
    talk.granted(GetStatus())
    open_window(talk)
    talk.granted(KeyRevoke(NEW_ID))  # its own
    error = talk.refused(Stop(1, 60, StopReason.CLINICAL))
    assert (error.code, error.detail) == (ErrorCode.KEY_REVOKED, NEW_ID)
    assert talk.client.phase is Phase.CLOSED
    assert not opens(talk, second)
    restarted(talk)
    assert not opens(talk, second)
    as_key(talk, CLINICIAN)
    assert talk.granted(GetStatus()).stopped_s == 0, "the stop was not carried out"
    assert security(talk, LogType.KEY_REVOKE) == [(0x24, KeyRevokeData(NEW_ID))]
    closed = [data for _, data in security(talk, LogType.SESSION_CLOSE)]
    assert SessionCloseData(SessionCloseReason.KEY_REVOKED, NEW_ID) in closed


def test_attack_3_8_a_handshake_that_was_half_open_when_its_key_was_revoked_fails_at_its_proof() -> None:
    talk = new_talk()
    second = pair(talk, NEW_ID, Role.CLINICIAN)
    late = as_key(talk.fork(), second).client
    late.open(talk.now_ms)
    hello = late.take_output()
    late.feed(talk._carry(hello), talk.now_ms)
    assert late.next_event(talk.now_ms) is None
    talk.granted(KeyRevoke(NEW_ID))
    late.feed(talk._carry(late.take_output()), talk.now_ms)
    late.next_event(talk.now_ms)
    assert late.phase is not Phase.OPEN
    talk.granted(GetStatus())


def test_a_bolus_goes_on_when_its_key_is_revoked() -> None:
    talk = new_talk()
    second = pair(talk, NEW_ID, Role.CLINICIAN)
    as_key(talk, second).start_bolus(1, 10_000, 600)
    as_key(talk, CLINICIAN)
    open_window(talk)
    talk.granted(KeyRevoke(NEW_ID))
    talk.wait(700 * MS_PER_S)
    assert talk.granted(GetDelivery()).bolus_nl == 10_000
    restarted(talk)
    assert talk.granted(GetStatus()).bolus_cmd_id == 0


def test_the_last_clinician_cannot_be_revoked_and_nobody_revokes_the_card() -> None:
    talk = new_talk()
    open_window(talk)
    error = talk.refused(KeyRevoke(CLINICIAN.key_id))
    assert (error.code, error.detail, error.limit) == (ErrorCode.LAST_CLINICIAN, CLINICIAN.key_id, 1)
    assert talk.code(KeyRevoke(CARD_KEY_ID)) is ErrorCode.KEY_ID
    talk.granted(KeyRevoke(77))
    talk.granted(key_add(talk, NEW_ID, Role.CLINICIAN))
    talk.granted(KeyRevoke(CLINICIAN.key_id))
    assert talk.code(KeyList()) is ErrorCode.KEY_REVOKED


# The implant card


def test_the_implant_card_pairs_a_new_key_ten_minutes_after_it_asked_and_with_an_alarm() -> None:
    talk = as_key(new_talk(), CARD)
    assert talk.code(PairingOpen()) is ErrorCode.PAIRING_CLOSED, "no magnet"
    bring_magnet(talk)
    assert talk.granted(PairingOpen()).opens_in_s == RECOVERY_DELAY_MS // MS_PER_S
    for left_s in range(540, 0, -60):
        talk.wait(60 * MS_PER_S)
        assert talk.granted(PairingOpen()).opens_in_s == left_s
        assert talk.code(key_add(talk, NEW_ID, Role.CLINICIAN)) is ErrorCode.PAIRING_CLOSED
    talk.wait(60 * MS_PER_S - 1)
    assert talk.granted(PairingOpen()).opens_in_s == 1
    assert talk.code(key_add(talk, NEW_ID, Role.CLINICIAN)) is ErrorCode.PAIRING_CLOSED
    talk.wait(1)
    assert talk.granted(PairingOpen()).opens_in_s == 0
    talk.granted(key_add(talk, NEW_ID, Role.CLINICIAN))
    (row,) = talk.granted(GetAlarms()).alarms
    assert row.alarm_id is AlarmId.KEY_RECOVERY
    assert opens(talk, DeviceKey(NEW_ID, Role.CLINICIAN, NEW_KEY, 0, development=False))
    assert security(talk, LogType.KEY_ADD) == [(Actor.PROXIMITY, KeyAddData(NEW_ID, Role.CLINICIAN, 4))]
    raised = [e.details().alarm_id for e in talk.log() if e.type is LogType.ALARM_ON]
    assert raised == [AlarmId.KEY_RECOVERY]


@for_each("interruption", ["power", "lateness"])
def test_a_recovery_begins_anew_after_a_restart_and_where_nobody_came(interruption: str) -> None:
    talk = as_key(new_talk(), CARD)
    bring_magnet(talk)
    talk.granted(PairingOpen())
    if interruption == "power":
        talk.wait(RECOVERY_DELAY_MS)
        restarted(talk)
    else:
        talk.wait(RECOVERY_DELAY_MS + RECOVERY_VALID_MS)
    assert talk.granted(PairingOpen()).opens_in_s == RECOVERY_DELAY_MS // MS_PER_S


def test_the_implant_card_has_no_rights_over_therapy_and_sees_none_of_it_in_the_log() -> None:
    talk = new_talk()
    talk.granted(Stop(1, 60, StopReason.CLINICAL))
    as_key(talk, CARD)
    assert talk.code(Stop(1, 60, StopReason.CLINICAL)) is ErrorCode.ROLE
    assert talk.code(BolusPrepare(BolusKind.BOLUS, 10_000, 600, 1)) is ErrorCode.ROLE
    assert LogType.STOP not in [entry.type for entry in talk.log()]
    denied = security(talk, LogType.ROLE_DENIED)
    assert denied[0] == (Actor.PROXIMITY, RoleDeniedData(Opcode.STOP, CARD_KEY_ID))


def test_a_pump_whose_keys_are_all_damaged_goes_on_with_its_therapy_and_pairs_anew_by_the_card() -> None:
    talk = new_talk()
    rate = talk.granted(GetStatus()).rate_nl_per_day
    flash = talk.pump.plant.flash
    talk.pump.cut_power()
    for region in (Region.KEYS, Region.KEYS_COPY):
        offset = PLACES[region].offset + 20
        flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1]))])
    talk.pump.restore_power()
    assert not opens(talk, CLINICIAN)
    as_key(talk, CARD)
    bring_magnet(talk)
    status = talk.granted(GetStatus())
    assert status.rate_nl_per_day == rate
    assert status.alarm_active >> AlarmId.MEM_NONCRITICAL & 1
    talk.granted(PairingOpen())
    talk.wait(RECOVERY_DELAY_MS)
    talk.granted(PairingOpen())
    assert listed(talk) == {}
    talk.granted(key_add(talk, NEW_ID, Role.CLINICIAN))
    restarted(talk)
    assert opens(talk, DeviceKey(NEW_ID, Role.CLINICIAN, NEW_KEY, 0, development=False))


@for_each("region", [Region.KEYS, Region.KEYS_COPY])
def test_one_damaged_record_of_the_keys_locks_nobody_out_and_is_written_anew(region: Region) -> None:
    talk = new_talk()
    added = pair(talk, NEW_ID, Role.CLINICIAN)
    other = Region.KEYS if region is Region.KEYS_COPY else Region.KEYS_COPY
    flash = talk.pump.plant.flash
    for damaged in (region, other):
        talk.pump.cut_power()
        offset = PLACES[damaged].offset + 20
        flash.load([(offset, bytes([flash.read(offset, 1)[0] ^ 1]))])
        talk.pump.restore_power()
        assert opens(talk, added)


def test_a_pump_without_a_card_treats_it_as_a_stranger() -> None:
    talk = Conversation(Pump.new(dataclasses.replace(factory_profile(), card_key=None), SEED))
    assert not opens(talk, CARD)


# Secrets


def test_attack_8_1_no_added_key_shows_in_memory_trace_or_logs() -> None:
    talk = new_talk()
    pair(talk, NEW_ID, Role.PATIENT)
    written = b"".join(data for _, data in talk.writes)
    kept = b"".join(data for _, data in talk.pump.plant.flash.contents())
    told = repr(talk.trace).encode()
    for key in (NEW_KEY, CLINICIAN.key, DEVELOPMENT_CARD):
        for text in (written, kept, told):
            for shape in (key, key.hex().encode(), repr(key)[2:-1].encode()):
                assert shape not in text


def test_attack_3_12_two_pumps_of_one_model_and_one_serial_number_seal_their_keys_differently() -> None:
    profile = profile_of()
    sealed = []
    for seed in (b"one", b"two"):
        pump = Pump.new(profile, seed)
        place = PLACES[Region.KEYS]
        sealed.append(pump.plant.flash.read(place.offset, 150))
    assert sealed[0] != sealed[1]


def test_attack_8_2_no_opcode_reads_a_key() -> None:
    talk = new_talk()
    pair(talk, NEW_ID, Role.PATIENT)
    for opcode in range(256):
        if opcode in {Opcode.KEY_REVOKE, Opcode.END_SESSION}:
            continue
        for payload in (b"", bytes(1), bytes(2), NEW_ID.to_bytes(2, "little"), bytes(4)):
            answer = talk.raw(opcode, payload)
            shown = answer.payload if isinstance(answer, Response) else b""
            assert NEW_KEY not in shown
            assert CLINICIAN.key not in shown


def test_an_open_pump_pairs_nobody_since_nothing_can_be_wrapped_there() -> None:
    talk = Conversation(Pump.new(profile_of(secured=False), SEED))
    talk.client = ClientEnd(key=CLINICIAN, entropy=talk.entropy, secured=False)
    talk.open()
    bring_magnet(talk)
    talk.granted(PairingOpen())
    assert talk.code(KeyAdd(NEW_ID, Role.PATIENT, bytes(24))) is ErrorCode.SUITE
    assert len(listed(talk)) == 4


# Roles


@for_each(("opcode", "role"), [(opcode, role) for opcode in COMMANDS for role in Role])
def test_attacks_3_4_and_3_9_each_role_may_send_what_its_row_says_and_nothing_else(
    opcode: Opcode, role: Role
) -> None:
    talk = as_key(new_talk(), development_key(role))
    answer = talk.ask(REQUESTS[opcode])
    refused = isinstance(answer, ErrorReply) and answer.code is ErrorCode.ROLE
    missing = isinstance(answer, ErrorReply) and answer.code is ErrorCode.UNSUPPORTED_OP
    assert refused == (role not in COMMANDS[opcode].roles) or missing
    as_key(talk, CLINICIAN)
    denied = [data for _, data in security(talk, LogType.ROLE_DENIED)]
    assert denied == ([RoleDeniedData(opcode, development_key(role).key_id)] if refused else [])


@for_each(("role", "key_id"), [(role, key.key_id) for role in Role for key in DEVELOPMENT_KEYS])
def test_attacks_3_2_and_3_3_a_key_opens_sessions_in_its_own_role_alone(role: Role, key_id: int) -> None:
    key = next(each for each in DEVELOPMENT_KEYS if each.key_id == key_id)
    talk = new_talk()
    assert opens(talk, key._replace(role=role)) == (role is key.role)
    talk.wait(120 * MS_PER_S)
    as_key(talk, CLINICIAN)
    failed = [data for _, data in security(talk, LogType.HS_FAIL)]
    assert failed == ([] if role is key.role else [HsFailData(RejectReason.ROLE, key_id)])
