"""The messages about the link and the device: ping, end of session, statistics, event hints, self-test [SPEC 6]."""

from typing import NamedTuple

from protocol.codec.atoms import BOOLEAN, U32, flags_of, monotonic
from protocol.codec.layouts import message
from protocol.identifiers import EventFlag, Opcode, SelfTestFault
from protocol.messages.command import command


@command(Opcode.PING, "OPCS", while_unknown=True)
@message()
class Ping(NamedTuple):
    """Ask whether anybody is there."""

    @staticmethod
    def reply_class() -> "type[PingReply]":
        return PingReply


@message()
class PingReply(NamedTuple):
    """The pump is there."""


@command(Opcode.END_SESSION, "OPCS", while_unknown=True)
@message()
class EndSession(NamedTuple):
    """Close the session."""

    @staticmethod
    def reply_class() -> "type[EndSessionReply]":
        return EndSessionReply


@message()
class EndSessionReply(NamedTuple):
    """The last answer of the session."""


@command(Opcode.GET_LINK_STATS, "CS", while_unknown=True)
@message("clear" / BOOLEAN * "1: set all counters to 0 after reading")
class GetLinkStats(NamedTuple):
    """What the link has seen go wrong."""

    clear: bool

    @staticmethod
    def reply_class() -> "type[GetLinkStatsReply]":
        return GetLinkStatsReply


@message(
    "crc_bad" / U32 * "frames with a bad CRC or header",
    "cobs_bad" / U32 * "faults of framing",
    "mac_bad" / U32 * "frames with a bad tag",
    "replay_drop" / U32 * "good frames out of place",
    "dup_served" / U32 * "answers, PUMP_HELLO and PUMP_PROOF sent again",
    "hs_fail" / U32 * "proofs refused PROOF or ROLE",
    "hs_limited" / U32 * "LIMITED refusals, and answers turned into silence",
)
class GetLinkStatsReply(NamedTuple):
    """What the link has seen go wrong, since boot or the last clear."""

    crc_bad: int
    cobs_bad: int
    mac_bad: int
    replay_drop: int
    dup_served: int
    hs_fail: int
    hs_limited: int


@command(Opcode.SUBSCRIBE, "OPCS", while_unknown=True)
@message("mask" / flags_of(EventFlag, U32))
class Subscribe(NamedTuple):
    """Which changes the client wants to be told of; 0 none."""

    mask: EventFlag

    @staticmethod
    def reply_class() -> "type[SubscribeReply]":
        return SubscribeReply


@message()
class SubscribeReply(NamedTuple):
    """Hints will come for these changes."""


@message(
    "mask" / flags_of(EventFlag, U32) * "what changed since the last GET_STATUS",
    "status_rev" / monotonic(U32) * "as in GET_STATUS",
    "last_seq" / monotonic(U32) * "newest entry of the main log",
)
class EventHint(NamedTuple):
    """EVT: something changed; a hint, never the only carrier of a fact."""

    mask: EventFlag
    status_rev: int
    last_seq: int


@command(Opcode.SELF_TEST, "S")
@message()
class SelfTest(NamedTuple):
    """Test the device; only while stopped."""

    @staticmethod
    def reply_class() -> "type[SelfTestReply]":
        return SelfTestReply


@message("failed" / flags_of(SelfTestFault, U32) * "0: all good")
class SelfTestReply(NamedTuple):
    """What the device found wrong with itself."""

    failed: SelfTestFault
