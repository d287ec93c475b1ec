"""The command ledger: never twice, never forgotten while it matters, never a lie about what was received."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_emu.controller.memory.ledger import Ledger, LedgerEntry
from firmware_emu.controller.memory.memory_map import PLACES, Region
from protocol.identifiers import ErrorCode, Opcode, Outcome
from protocol.messages.ledger import QueryCmdReply
from tests.support.for_each import for_each

CMD_ID_LAST = 0xFFFF_FFFE  # [SPEC 9]
ENTRIES_PER_KEY = 8  # [SPEC 9]
KEYS_MAX = 8  # [SPEC 11]
CMD_ID_STEP_MAX = 65_536  # [SPEC 9]

KEY = 3
OTHER_KEY = 4
CRC = 0x53EE_F4C8
BOLUS = Opcode.BOLUS_COMMIT


def ledger_with(*cmd_ids: int, outcome: Outcome = Outcome.DONE) -> Ledger:
    ledger = Ledger()
    for cmd_id in cmd_ids:
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, outcome, cmd_crc=CRC))
    return ledger


def test_a_command_is_new_once_and_then_repeats_its_outcome() -> None:
    ledger = Ledger()
    assert ledger.judge(KEY, 1, CRC).is_new
    ledger.record(KEY, LedgerEntry(1, BOLUS, Outcome.INTENT, cmd_crc=CRC, requested_nl=20_000, start_seq=9))
    done = ledger.set_outcome(KEY, 1, Outcome.DONE, delivered_nl=20_000, end_seq=12)
    verdict = ledger.judge(KEY, 1, CRC)
    assert not verdict.is_new
    assert verdict.error is None
    assert verdict.entry == done
    assert done == LedgerEntry(1, BOLUS, Outcome.DONE, 0, CRC, 20_000, 0, 20_000, 0, 9, 12)


@for_each(
    ("cmd_id", "error"),
    [
        (0, ErrorCode.CMD_ID_RANGE),
        (0xFFFF_FFFF, ErrorCode.CMD_ID_RANGE),
        (99, ErrorCode.CMD_ID_OLD),
        (100, ErrorCode.CMD_ID_MISMATCH),
        (101, None),
        (100 + CMD_ID_STEP_MAX, None),
        (101 + CMD_ID_STEP_MAX, ErrorCode.CMD_ID_RANGE),
    ],
)
def test_ids_after_100_are_judged_by_where_they_lie(cmd_id: int, error: ErrorCode | None) -> None:
    verdict = ledger_with(100).judge(KEY, cmd_id, CRC + 1)
    assert verdict.error is error
    assert verdict.is_new is (error is None)


def test_the_last_id_of_all_is_usable_and_none_comes_after_it() -> None:
    ledger = Ledger.unpack(
        ledger_with(1).pack().replace((1).to_bytes(4, "little"), (CMD_ID_LAST - 1).to_bytes(4, "little"))
    )
    assert ledger.last_cmd_id(KEY) == CMD_ID_LAST - 1
    ledger.record(KEY, LedgerEntry(CMD_ID_LAST, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.judge(KEY, CMD_ID_LAST + 1, CRC).error is ErrorCode.CMD_ID_RANGE


def test_keys_have_ids_of_their_own() -> None:
    ledger = ledger_with(50)
    assert ledger.judge(OTHER_KEY, 50, CRC).is_new
    assert (ledger.last_cmd_id(KEY), ledger.last_cmd_id(OTHER_KEY)) == (50, 0)
    assert ledger.query(OTHER_KEY, 50).outcome is Outcome.NEVER_RECEIVED


def test_what_may_not_be_recorded_cannot_be() -> None:
    ledger = ledger_with(5)
    for cmd_id in (0, 4, 5, 6 + CMD_ID_STEP_MAX):
        with pytest.raises(ValueError, match="may not be recorded"):
            ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.INTENT, cmd_crc=CRC))


def test_a_final_outcome_is_final() -> None:
    ledger = ledger_with(5, outcome=Outcome.RUNNING)
    ledger.set_outcome(KEY, 5, Outcome.PARTIAL, delivered_nl=500, uncertain_nl=500, reason=ErrorCode.MOTOR)
    for cmd_id in (5, 6):
        with pytest.raises(ValueError, match="not open"):
            ledger.set_outcome(KEY, cmd_id, Outcome.DONE)


def test_a_query_tells_the_whole_entry() -> None:
    ledger = Ledger()
    ledger.record(KEY, LedgerEntry(7, BOLUS, Outcome.INTENT, cmd_crc=CRC, requested_nl=9_000, start_seq=3))
    ledger.set_outcome(KEY, 7, Outcome.RUNNING)
    ledger.set_outcome(
        KEY, 7, Outcome.PARTIAL, delivered_nl=8_500, uncertain_nl=500, reason=ErrorCode.MOTOR, end_seq=6
    )
    expected = QueryCmdReply(Outcome.PARTIAL, BOLUS, ErrorCode.MOTOR, CRC, 8_500, 500, 3, 6)
    assert ledger.query(KEY, 7) == expected


def test_the_ninth_command_evicts_the_oldest_that_is_final() -> None:
    ledger = ledger_with(*range(1, ENTRIES_PER_KEY + 2))
    assert ledger.query(KEY, 1).outcome is Outcome.TOO_OLD
    assert ledger.judge(KEY, 1, CRC).error is ErrorCode.CMD_ID_OLD
    assert ledger.query(KEY, 2).outcome is Outcome.DONE


def test_an_open_entry_is_never_evicted() -> None:
    ledger = ledger_with(1, outcome=Outcome.RUNNING)
    for cmd_id in range(2, 40):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.query(KEY, 1).outcome is Outcome.RUNNING
    assert [entry.cmd_id for _, entry in ledger.open_entries()] == [1]


def test_one_that_was_open_for_long_takes_no_word_of_the_others_with_it_when_it_goes() -> None:
    ledger = ledger_with(1, outcome=Outcome.RUNNING)
    for cmd_id in range(2, 40):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    ledger.set_outcome(KEY, 1, Outcome.DONE)
    ledger.record(KEY, LedgerEntry(40, BOLUS, Outcome.DONE, cmd_crc=CRC))
    for cmd_id in range(1, 33):
        assert ledger.query(KEY, cmd_id).outcome is Outcome.TOO_OLD


def test_the_oldest_is_the_one_with_the_lowest_id_also_where_it_was_voided_later() -> None:
    ledger = ledger_with(10, 20)
    ledger.void(KEY, 15, seq=1)
    for cmd_id in range(21, 21 + ENTRIES_PER_KEY - 1):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    told = [ledger.query(KEY, cmd_id).outcome for cmd_id in (10, 15, 20)]
    assert told == [Outcome.TOO_OLD, Outcome.TOO_OLD, Outcome.DONE]


def test_eight_open_entries_make_the_key_busy_and_no_other() -> None:
    ledger = ledger_with(*range(1, ENTRIES_PER_KEY + 1), outcome=Outcome.INTENT)
    assert ledger.judge(KEY, 9, CRC).error is ErrorCode.BUSY
    assert ledger.judge_void(KEY, 9).error is ErrorCode.BUSY
    assert ledger.judge(OTHER_KEY, 9, CRC).is_new
    ledger.set_outcome(KEY, 4, Outcome.NOT_STARTED)
    assert ledger.judge(KEY, 9, CRC).is_new


def test_an_id_that_was_skipped_was_never_received_until_its_time_is_evicted() -> None:
    ledger = ledger_with(10, 20)
    assert ledger.query(KEY, 15).outcome is Outcome.NEVER_RECEIVED
    assert ledger.judge(KEY, 15, CRC).error is ErrorCode.CMD_ID_OLD
    for cmd_id in range(21, 21 + ENTRIES_PER_KEY):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.query(KEY, 15).outcome is Outcome.TOO_OLD
    assert ledger.query(KEY, 1_000).outcome is Outcome.NEVER_RECEIVED


def test_a_voided_id_can_never_act() -> None:
    ledger = ledger_with(5)
    assert ledger.judge_void(KEY, 6).is_new
    ledger.void(KEY, 6, seq=41)
    assert ledger.query(KEY, 6) == QueryCmdReply(Outcome.VOIDED, Opcode.VOID_CMD, 0, 0, 0, 0, 41, 41)
    for cmd_crc in (0, CRC):
        assert ledger.judge(KEY, 6, cmd_crc).error is ErrorCode.CMD_ID_MISMATCH
    assert ledger.judge_void(KEY, 6).entry == ledger.find(KEY, 6)


def test_voiding_what_was_received_changes_nothing_and_tells_its_outcome() -> None:
    ledger = ledger_with(5, outcome=Outcome.RUNNING)
    verdict = ledger.judge_void(KEY, 5)
    assert not verdict.is_new
    assert verdict.entry is not None
    assert verdict.entry.outcome is Outcome.RUNNING
    with pytest.raises(ValueError, match="may not be voided"):
        ledger.void(KEY, 5, seq=1)


def test_a_skipped_id_can_be_voided_and_an_evicted_one_cannot() -> None:
    ledger = ledger_with(10, 20)
    ledger.void(KEY, 15, seq=1)
    assert ledger.query(KEY, 15).outcome is Outcome.VOIDED
    assert ledger.last_cmd_id(KEY) == 20
    ledger = ledger_with(*range(1, 12))
    assert ledger.judge_void(KEY, 2).error is ErrorCode.CMD_ID_OLD


def test_an_id_far_ahead_cannot_be_voided() -> None:
    assert ledger_with(5).judge_void(KEY, 6 + CMD_ID_STEP_MAX).error is ErrorCode.CMD_ID_RANGE


def test_the_last_refusal_is_told_with_its_reason_and_uses_up_no_id() -> None:
    ledger = ledger_with(5)
    ledger.note_refusal(KEY, 6, BOLUS, CRC, ErrorCode.HOUR_MAX)
    assert ledger.query(KEY, 6) == QueryCmdReply(Outcome.REFUSED, BOLUS, ErrorCode.HOUR_MAX, CRC, 0, 0, 0, 0)
    assert ledger.judge(KEY, 6, CRC).is_new
    ledger.note_refusal(KEY, 7, BOLUS, CRC, ErrorCode.GAP)
    assert ledger.query(KEY, 6).outcome is Outcome.NEVER_RECEIVED


def test_a_refusal_is_forgotten_when_the_id_acts_after_all() -> None:
    ledger = ledger_with(5)
    ledger.note_refusal(KEY, 6, BOLUS, CRC, ErrorCode.GAP)
    for cmd_id in range(6, 20):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.query(KEY, 6).outcome is Outcome.TOO_OLD


def test_the_refusal_of_an_id_that_acted_long_ago_is_not_told_as_its_outcome() -> None:
    ledger = ledger_with(*range(1, 12))
    for cmd_id, outcome in ((1, Outcome.TOO_OLD), (11, Outcome.DONE)):
        ledger.note_refusal(KEY, cmd_id, BOLUS, CRC, ErrorCode.CMD_ID_OLD)
        assert ledger.query(KEY, cmd_id).outcome is outcome
    for cmd_id in range(12, 12 + ENTRIES_PER_KEY):
        ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.query(KEY, 11).outcome is Outcome.TOO_OLD, "nor once its entry is gone"


def test_open_entries_survive_a_boot_with_what_is_needed_to_close_them() -> None:
    ledger = ledger_with(1, 2)
    entry = LedgerEntry(
        3, BOLUS, Outcome.INTENT, cmd_crc=CRC, requested_nl=50_000, accumulator_nl=2**40, start_seq=8
    )
    ledger.record(KEY, entry)
    ledger.note_refusal(KEY, 4, BOLUS, CRC, ErrorCode.GAP)
    booted = Ledger.unpack(ledger.pack())
    assert booted.open_entries() == ((KEY, entry),)
    assert booted.query(KEY, 4).outcome is Outcome.NEVER_RECEIVED
    assert booted.pack() == ledger.pack()


def test_nothing_written_yet_is_an_empty_ledger() -> None:
    assert Ledger.unpack(b"").pack() == Ledger().pack()


def test_bytes_that_are_no_ledger_are_refused() -> None:
    data = ledger_with(1, 2).pack()
    for wrong in (data[:-1], data + b"\0", bytes([2]) + data[1:]):
        with pytest.raises(ValueError, match="ledger"):
            Ledger.unpack(wrong)


def test_a_full_ledger_fits_its_region_and_a_ninth_key_does_not() -> None:
    ledger = Ledger()
    for key_id in range(KEYS_MAX):
        for cmd_id in range(1, 30):
            ledger.record(key_id, LedgerEntry(cmd_id, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert len(ledger.pack()) <= PLACES[Region.LEDGER].capacity_bytes
    with pytest.raises(ValueError, match="key 8"):
        ledger.record(8, LedgerEntry(1, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert not ledger.make_room(range(9)), "nine keys that are paired find no room"
    ledger.note_refusal(0, 30, BOLUS, CRC, ErrorCode.GAP)
    assert ledger.make_room(range(1, 9)), "key 0 was revoked"
    assert ledger.query(0, 30).outcome is Outcome.NEVER_RECEIVED, "with its refusals"
    ledger.record(8, LedgerEntry(1, BOLUS, Outcome.DONE, cmd_crc=CRC))
    assert ledger.last_cmd_id(0) == 0


def test_a_revoked_key_is_forgotten_where_another_needs_its_room_and_not_in_the_middle_of_its_command() -> (
    None
):
    ledger = Ledger()
    for key_id in range(KEYS_MAX):
        outcome = Outcome.RUNNING if key_id == 3 else Outcome.DONE
        ledger.record(key_id, LedgerEntry(7, BOLUS, outcome, cmd_crc=CRC))
    assert ledger.make_room([0, 1, 2, 3, 4, 5])
    assert ledger.last_cmd_id(6) == 7, "nobody needs its room: its ids go on where they were"
    assert not ledger.make_room([0, 1, 2, 4, 5, 6, 7, 8]), "the bolus of key 3 is under way"
    ledger.set_outcome(3, 7, Outcome.DONE)
    assert ledger.make_room([0, 1, 2, 4, 5, 6, 7, 8])
    assert (ledger.last_cmd_id(3), ledger.last_cmd_id(4)) == (0, 7)


def test_a_copied_ledger_goes_its_own_way() -> None:
    ledger = ledger_with(1, outcome=Outcome.RUNNING)
    twin = copy.deepcopy(ledger)
    twin.set_outcome(KEY, 1, Outcome.DONE)
    assert ledger.query(KEY, 1).outcome is Outcome.RUNNING


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["command", "command", "void", "refuse", "close", "boot"]),
        st.integers(1, 30),
        st.sampled_from([Outcome.DONE, Outcome.RUNNING]),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps=STEPS)
def test_no_history_makes_an_id_act_twice_or_denies_one_that_acted(
    steps: list[tuple[str, int, Outcome]],
) -> None:
    ledger = Ledger()
    acted: dict[int, Outcome] = {}
    voided: set[int] = set()
    for kind, cmd_id, outcome in steps:
        if kind == "command" and ledger.judge(KEY, cmd_id, CRC).is_new:
            assert cmd_id not in acted.keys() | voided
            ledger.record(KEY, LedgerEntry(cmd_id, BOLUS, outcome, cmd_crc=CRC))
            acted[cmd_id] = outcome
        elif kind == "void" and ledger.judge_void(KEY, cmd_id).is_new:
            assert cmd_id not in acted.keys() | voided
            ledger.void(KEY, cmd_id, seq=1)
            voided.add(cmd_id)
        elif kind == "refuse":
            ledger.note_refusal(KEY, cmd_id, BOLUS, CRC, ErrorCode.GAP)
        elif kind == "close" and acted.get(cmd_id) is Outcome.RUNNING:
            ledger.set_outcome(KEY, cmd_id, Outcome.PARTIAL)
            acted[cmd_id] = Outcome.PARTIAL
        elif kind == "boot":
            ledger = Ledger.unpack(ledger.pack())
        assert Ledger.unpack(ledger.pack()).open_entries() == ledger.open_entries()
        for known in range(1, 31):
            told = ledger.query(KEY, known).outcome
            if known in acted:
                assert told in (acted[known], Outcome.TOO_OLD)
                assert told is acted[known] or acted[known] is not Outcome.RUNNING
            elif known in voided:
                assert told in (Outcome.VOIDED, Outcome.TOO_OLD)
            else:
                assert told in (Outcome.NEVER_RECEIVED, Outcome.REFUSED, Outcome.TOO_OLD)
