"""Keys of programmers: who is paired when, what a revoked key still gets, and the implant card [SPEC 11]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hil.errors import DeviceError, SessionRefused
from hil.plugin import needs, verifies
from hil.suite.observing import MS_PER_S, LogMark, is_latched
from hil.suite.refusals import refused
from hil.suite.sample_requests import SAMPLE_REQUESTS
from protocol.codec.layouts import decode, encode
from protocol.identifiers import CARD_KEY_ID, AlarmId, ErrorCode, Kind, Missing, Opcode, Role, State
from protocol.link.development_keys import DEVELOPMENT_CARD, DeviceKey, development_key
from protocol.log.types import Actor, LogName, LogType
from protocol.messages.errors import ErrorReply
from protocol.messages.keys import KEYS_MAX, KeyAdd, KeyList, KeyRevoke, PairingOpen
from protocol.registry import COMMANDS
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.programmer import Programmer
    from hil.rig import Rig
    from hil.suite.raw_client import RawClient

NEW_ID = 40
NEW_KEY = bytes(range(0x60, 0x70))
CARD = DeviceKey(CARD_KEY_ID, Role.OBSERVER, DEVELOPMENT_CARD, 0, development=True)
RECOVERY_DELAY_S = 600
WINDOW_MS = 120 * MS_PER_S

pytestmark = pytest.mark.needs("reset")


def new_key(role: Role, key_id: int = NEW_ID) -> DeviceKey:
    return DeviceKey(key_id, role, NEW_KEY, 0, development=False)


def entries_since(pump: Programmer, seq: int, log_type: LogType) -> list[tuple[int, Any]]:
    """Actor and data of the entries of a type in the security log."""
    entries = pump.read_log(LogName.SECURITY, from_seq=seq + 1).entries
    return [(entry.actor, entry.details()) for entry in entries if entry.type is log_type]


@verifies("KEY-001")
@needs("magnet")
@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.name.lower())
def test_a_paired_key_opens_a_session_in_its_role_and_is_listed_without_its_key(
    pump: Programmer, open_programmer: Callable[..., Programmer], pump_rig: Rig, role: Role
) -> None:
    pump_rig.inject("magnet")
    before = {row.key_id: row for row in pump.paired_keys()}
    seq = pump.log_status(LogName.SECURITY).last_seq
    pump.pair(new_key(role))
    after = {row.key_id: row for row in pump.paired_keys()}
    assert (set(after) - set(before), after[NEW_ID].role) == ({NEW_ID}, role)
    assert len({row.slot for row in after.values()}) == len(after) <= KEYS_MAX
    (entry,) = entries_since(pump, seq, LogType.KEY_ADD)
    assert (entry[1].key_id, entry[1].role, entry[1].slot) == tuple(after[NEW_ID])
    pump.end_session()
    new = open_programmer(key=new_key(role))
    assert new.info().dev_key is False
    new.end_session()


@verifies("KEY-002")
@needs("magnet")
@pytest.mark.parametrize("missing", list(Missing), ids=lambda missing: missing.name.lower())
def test_without_the_window_or_the_magnet_no_key_changes_and_none_is_listed(
    make_raw: Callable[..., RawClient], pump_rig: Rig, missing: Missing
) -> None:
    client = make_raw()
    pump_rig.inject("magnet")
    if missing is Missing.PROXIMITY:
        assert client.say(PairingOpen()).opens_in_s == 0
        pump_rig.clear("magnet")
    for message in (KeyList(), KeyRevoke(1), KeyAdd(NEW_ID, Role.CLINICIAN, bytes(24))):
        error = client.say(message)
        assert isinstance(error, ErrorReply), message
        assert (error.code, error.detail) == (ErrorCode.PAIRING_CLOSED, missing)
    pump_rig.inject("magnet")
    client.say(PairingOpen())
    assert [row.key_id for row in client.say(KeyList()).keys] == [1, 2, 3, 4]


@verifies("KEY-002")
@needs("magnet", "time")
def test_the_window_closes_after_two_minutes(make_raw: Callable[..., RawClient], pump_rig: Rig) -> None:
    client = make_raw()
    pump_rig.inject("magnet")
    assert client.say(PairingOpen()).open_for_s * MS_PER_S == WINDOW_MS
    pump_rig.advance(WINDOW_MS // 2)
    assert len(client.say(KeyList()).keys) == 4
    pump_rig.advance(WINDOW_MS // 2)
    assert client.say(KeyList()).code is ErrorCode.PAIRING_CLOSED


@verifies("KEY-003")
@needs("magnet")
def test_a_key_add_that_was_recorded_and_sent_again_pairs_nobody(
    make_raw: Callable[..., RawClient], pump: Programmer, pump_rig: Rig
) -> None:
    pump_rig.inject("magnet")
    pump.pair(new_key(Role.CLINICIAN))
    (sent,) = key_adds_of(pump)
    pump.revoke(NEW_ID)
    pump.end_session()
    client = make_raw()
    client.say(PairingOpen())
    assert client.say(sent).code is ErrorCode.KEY_SEAL
    assert NEW_ID not in [row.key_id for row in client.say(KeyList()).keys]


@verifies("KEY-004")
@needs("magnet")
def test_a_revoked_key_is_refused_at_its_next_frame_and_opens_no_further_session(
    pump: Programmer, open_programmer: Callable[..., Programmer], pump_rig: Rig
) -> None:
    pump_rig.inject("magnet")
    pump.pair(new_key(Role.CLINICIAN))
    pump.end_session()
    second = open_programmer(key=new_key(Role.CLINICIAN))
    second.revoke(NEW_ID)
    with refused(ErrorCode.KEY_REVOKED):
        second.stop()
    with pytest.raises(SessionRefused):
        second.status()
    assert pump.status().state is State.RUN, "the stop was not carried out"


@verifies("KEY-005")
@needs("magnet")
def test_the_last_clinicians_key_cannot_be_revoked(pump: Programmer, pump_rig: Rig) -> None:
    pump_rig.inject("magnet")
    with refused(ErrorCode.LAST_CLINICIAN):
        pump.revoke(pump.key.key_id)
    pump.pair(new_key(Role.CLINICIAN))
    pump.revoke(pump.key.key_id)


@verifies("KEY-006")
@needs("magnet")
def test_a_ninth_key_and_an_id_that_is_taken_are_refused(pump: Programmer, pump_rig: Rig) -> None:
    pump_rig.inject("magnet")
    pump.pair(new_key(Role.PATIENT))
    pump.pair(new_key(Role.PATIENT))
    with refused(ErrorCode.KEY_ID):
        pump.pair(new_key(Role.CLINICIAN))
    for key_id in range(NEW_ID + 1, NEW_ID + KEYS_MAX - len(pump.paired_keys()) + 1):
        pump.pair(new_key(Role.PATIENT, key_id))
    with refused(ErrorCode.KEY_SLOTS):
        pump.pair(new_key(Role.PATIENT, NEW_ID + 20))


@verifies("KEY-007")
@needs("magnet", "power")
def test_keys_outlast_a_loss_of_power(
    pump: Programmer, open_programmer: Callable[..., Programmer], pump_rig: Rig
) -> None:
    pump_rig.inject("magnet")
    pump.pair(new_key(Role.CLINICIAN))
    pump.revoke(development_key(Role.PATIENT).key_id)
    pump_rig.power_cut()
    pump_rig.power_restore()
    new = open_programmer(key=new_key(Role.CLINICIAN))
    assert sorted(row.key_id for row in new.paired_keys()) == [1, 3, 4, NEW_ID]
    new.end_session()
    with pytest.raises(SessionRefused):
        open_programmer(Role.PATIENT)


@verifies("KEY-007")
@needs("magnet", "faults")
@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_power_that_goes_while_a_key_is_written_leaves_the_programmer_right(
    pump: Programmer, pump_rig: Rig, writes: int
) -> None:
    pump_rig.inject("magnet")
    pump.paired_keys()
    pump_rig.inject("power-cut-at-write", writes=writes, torn_after_bytes=7, stays_off=0)
    pump.pair(new_key(Role.PATIENT))
    assert NEW_ID in [row.key_id for row in pump.paired_keys()]
    assert is_latched(pump.status(), AlarmId.RESET)


@verifies("KEY-008")
@needs("magnet", "time")
def test_the_implant_card_pairs_a_key_after_ten_minutes_and_an_alarm_tells_of_it(
    pump: Programmer, open_programmer: Callable[..., Programmer], pump_rig: Rig
) -> None:
    mark, seq = LogMark(pump), pump.log_status(LogName.SECURITY).last_seq
    pump.end_session()
    card = open_programmer(key=CARD)
    with refused(ErrorCode.PAIRING_CLOSED):
        card.pair(new_key(Role.CLINICIAN))
    pump_rig.inject("magnet")
    for passed_s in range(0, RECOVERY_DELAY_S, 100):
        with pytest.raises(DeviceError, match=f"{RECOVERY_DELAY_S - passed_s} s more"):
            card.pair(new_key(Role.CLINICIAN))
        pump_rig.advance(100 * MS_PER_S)
    card.pair(new_key(Role.CLINICIAN))
    card.end_session()
    rescued = open_programmer(key=new_key(Role.CLINICIAN))
    assert is_latched(rescued.status(), AlarmId.KEY_RECOVERY)
    assert [entry.details().alarm_id for entry in mark.entries(rescued, LogType.ALARM_ON)] == [
        AlarmId.KEY_RECOVERY
    ]
    ((actor, _),) = entries_since(rescued, seq, LogType.KEY_ADD)
    assert actor == Actor.PROXIMITY


@verifies("KEY-009", "ROL-001")
def test_the_implant_card_has_an_observers_rights_and_none_over_therapy(
    make_raw: Callable[..., RawClient],
) -> None:
    client = make_raw(key=CARD)
    pairing = {Opcode.PAIRING_OPEN, Opcode.KEY_ADD, Opcode.KEY_REVOKE, Opcode.KEY_LIST}
    for opcode, command in COMMANDS.items():
        if Role.OBSERVER not in command.roles and opcode not in pairing:
            error = client.say(SAMPLE_REQUESTS[opcode])
            assert isinstance(error, ErrorReply), opcode
            assert error.code in {ErrorCode.ROLE, ErrorCode.UNSUPPORTED_OP}, opcode.name
    assert client.status().state is State.RUN


@verifies("KEY-010")
@needs("magnet")
def test_a_new_key_goes_over_the_line_sealed_for_its_own_session_alone(
    pump: Programmer, pump_rig: Rig
) -> None:
    pump_rig.inject("magnet")
    pump.pair(new_key(Role.PATIENT))
    pump.revoke(NEW_ID)
    pump.pair(new_key(Role.PATIENT))
    sent = key_adds_of(pump)
    assert len(sent) == len({each.wrapped for each in sent}) == 2
    assert all(NEW_KEY not in encode(each) for each in sent)


def key_adds_of(pump: Programmer) -> list[KeyAdd]:
    """Each KEY_ADD that a programmer has sent, as it was before the session sealed it."""
    records = [entry.record for entry in pump.wire_log.entries]
    return [
        decode(KeyAdd, record.payload)
        for record in records
        if isinstance(record.frame, Frame)
        and (record.frame.kind, record.frame.opcode) == (Kind.REQUEST, Opcode.KEY_ADD)
        and record.payload is not None
    ]
