"""Sizes, times and counts of the wire, each with its unit and reason.

What a profile may change is in `LinkLimits`; everything else is the protocol's [SPEC 2 to 5].
"""

from __future__ import annotations

from typing import NamedTuple

# Sizes [SPEC 2, 3]
HEADER_BYTES = 12
TAG_BYTES = 8
CRC_BYTES = 4
MAX_PAYLOAD_BYTES = 224
MIN_DECODED_BYTES = HEADER_BYTES + CRC_BYTES
MAX_DECODED_BYTES = HEADER_BYTES + MAX_PAYLOAD_BYTES + TAG_BYTES + CRC_BYTES
MAX_ENCODED_BYTES = MAX_DECODED_BYTES + 1  # COBS costs one byte below 254
RECEIVE_LIMIT_BYTES = 255  # a receiver gives up on a frame above this; its buffer is 256

# A partial frame is discarded after this much line time without a byte [SPEC 2]
GAP_HOST_MS = 1_000  # PTY, TCP and RFC 2217 pause for up to 50 ms inside one write

# Handshake [SPEC 4]
KEY_BYTES = 16
NONCE_BYTES = 16
SESSION_MARK_BYTES = 8  # of the nonce, in the log: what an entry has room for
PROOF_BYTES = 16
PEER_HANDLE_BYTES = 8
HALF_OPEN_MS = 5_000
HELLO_REPEATS = 3
PROOF_REPEATS = 3
FOREIGN_HELLOS_MAX = 2  # one may be late; two say that this pump does not hold our key
TAKE_OVER_IDLE_MS = 10_000  # a session silent for this long yields to any proof
BACK_OFF_FIRST_S = 1
BACK_OFF_MAX_S = 64
BACK_OFF_ENTRIES = 16  # key_ids remembered; more would need more unproven answers than the budget has
HELLO_PER_MIN = 10
HELLO_PER_DAY = 1_000
BUDGET_WINDOW_MS = 60_000
BUDGET_BUCKET_MS = 3_600_000
BUDGET_BUCKETS = 25  # whole hours that cover any 24 h

# Session [SPEC 4]
SESSION_IDLE_MS = 120_000
SESSION_LIFE_MS = 1_800_000
TAG_FAILURES_MAX = 16
REQUEST_CTR_MAX = 1 << 20
PUMP_CTR_MAX = 1 << 21

# Commands [SPEC 9]
CMD_ID_STEP_MAX = 65_536  # how far an id may run ahead of the last one

# Requests [SPEC 5]
TIMEOUTS_MS = (600, 1_200, 2_400)
ANSWER_REPEATS = 4
REPLAY_REPORT_MS = 60_000  # at most one ReplayDropped a minute, with the count


class LinkLimits(NamedTuple):
    """What a profile says of the link; the two budgets are told in GET_LIMITS."""

    gap_ms: int = GAP_HOST_MS
    hello_per_min: int = HELLO_PER_MIN
    hello_per_day: int = HELLO_PER_DAY


DEFAULT_LIMITS = LinkLimits()
