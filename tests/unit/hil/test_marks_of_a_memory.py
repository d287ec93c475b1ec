"""By which marks a memory is known again, entry by entry and count by count [SPEC 9]."""

from dataclasses import replace

import pytest

from hil.outcome_store import MarkedEntry, Marks
from hil.programmer.recognition import Continuity, look_back
from protocol.identifiers import Role
from protocol.log.data import SessionOpenData
from protocol.log.entry import LogEntry, pack_data
from protocol.log.types import LogName, LogType
from protocol.messages.log import LogRead, LogReadReply

EPOCH, MARKED_SEQ = 1, 3
NONCE = bytes(range(16))
COUNTS = Marks(boot_count=5, t_mono_s=86_400, last_cmd_id=12)


def opened(seq: int, nonce: bytes) -> bytes:
    """The SESSION_OPEN of a clinician whose hello had this nonce."""
    data = pack_data(SessionOpenData(3, Role.CLINICIAN, nonce[:8]))
    return LogEntry(seq, 86_400, 0, LogType.SESSION_OPEN, Role.CLINICIAN << 4 | 2, data=data).pack()


class SecurityLog:
    """A pump's security log: SESSION_OPENs from `oldest` on, the last of them in answer to `nonce`."""

    def __init__(self, *, oldest: int = 1, newest: int = 9, nonce: bytes = NONCE) -> None:
        self.oldest, self.newest = oldest, newest
        self._entries = {
            seq: opened(seq, nonce if seq == newest else bytes([seq] * 16))
            for seq in range(oldest, newest + 1)
        }

    def read(self, wanted: LogRead) -> LogReadReply:
        """Answer as a pump does."""
        first = max(wanted.from_seq, self.oldest)
        seqs = range(first, min(first + wanted.count, self.newest + 1))
        rows = tuple(self._entries[seq] for seq in seqs)
        next_seq = seqs[-1] + 1 if rows else first
        return LogReadReply(wanted.log, EPOCH, first, next_seq, self.oldest, self.newest, rows)

    def mark(self, seq: int) -> MarkedEntry:
        """One of its entries, as a programmer keeps it."""
        return MarkedEntry(LogName.SECURITY, EPOCH, seq, self._entries[seq].hex())


OLD = replace(COUNTS, entries=(SecurityLog().mark(MARKED_SEQ),))


@pytest.mark.parametrize(
    ("now", "continuity"),
    [
        (COUNTS, Continuity.PROVEN),
        (replace(COUNTS, boot_count=4), Continuity.LOST),
        (replace(COUNTS, t_mono_s=86_399), Continuity.LOST),
        (replace(COUNTS, last_cmd_id=11), Continuity.LOST),
    ],
)
def test_a_count_that_is_behind_by_one_is_a_loss_of_memory(now: Marks, continuity: Continuity) -> None:
    assert look_back(OLD, now, NONCE, SecurityLog().read).continuity is continuity


@pytest.mark.parametrize(
    ("log", "continuity"),
    [
        (SecurityLog(oldest=MARKED_SEQ), Continuity.PROVEN),
        (SecurityLog(oldest=MARKED_SEQ + 1), Continuity.UNPROVEN),
        (SecurityLog(newest=MARKED_SEQ), Continuity.LOST),
        (SecurityLog(newest=MARKED_SEQ - 1), Continuity.LOST),
    ],
    ids=["the oldest", "overwritten", "another in its place", "gone"],
)
def test_an_entry_proves_the_memory_as_long_as_it_is_there_as_it_was(
    log: SecurityLog, continuity: Continuity
) -> None:
    assert look_back(OLD, COUNTS, NONCE, log.read).continuity is continuity


@pytest.mark.parametrize("newest", [1, 9])
def test_only_the_entry_with_ones_own_nonce_is_kept_as_a_mark(newest: int) -> None:
    log = SecurityLog(newest=newest)
    assert look_back(None, COUNTS, NONCE, log.read).marks.entries == (log.mark(newest),)
    of_another = SecurityLog(newest=newest, nonce=bytes(16))
    assert look_back(None, COUNTS, NONCE, of_another.read).marks.entries == ()
