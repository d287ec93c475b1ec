"""What both ends of a link share: framing, sealing, counting, and the record of frames for traces.

No clock: the time of the line comes in with each call. Which frame means what is in `pump_end` and
`client_end`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from protocol.errors import LocalError
from protocol.link import session
from protocol.wire.frame import SECURED, BadFrame, Fault, Frame, pack_header, with_crc
from protocol.wire.framing import Deframer, decode_frame, encode_frame, encoded_body
from protocol.wire.limits import HEADER_BYTES, MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from protocol.identifiers import Kind

_FRAMING_FAULTS = frozenset({Fault.OVERSIZE, Fault.GAP, Fault.COBS, Fault.SHORT})


@dataclass(slots=True)
class LinkStatistics:
    """Counters of GET_LINK_STATS; every frame that is dropped counts in exactly one of them.

    `cobs_bad`: faults of framing. `crc_bad`: a bad CRC or header. `mac_bad`: bad tags. `replay_drop`: good
    frames out of place. `dup_served`: answers sent again. `hs_fail`: bad proofs. `hs_limited`: silence of
    the budget and refusals of the back-off.
    """

    crc_bad: int = 0
    cobs_bad: int = 0
    mac_bad: int = 0
    replay_drop: int = 0
    dup_served: int = 0
    hs_fail: int = 0
    hs_limited: int = 0
    replays_untold: int = field(default=0, repr=False)  # not in GET_LINK_STATS: for ReplayDropped

    def drop_replay(self) -> None:
        """Count a good frame that came at the wrong time, or from ourselves."""
        self.replay_drop += 1
        self.replays_untold += 1

    def clear(self) -> None:
        """Set the counters of GET_LINK_STATS to 0."""
        self.crc_bad = self.cobs_bad = self.mac_bad = self.replay_drop = 0
        self.dup_served = self.hs_fail = self.hs_limited = 0


class Direction(Enum):
    RECEIVED = "received"
    SENT = "sent"


class FrameRecord(NamedTuple):
    """One frame for a trace; `encoded` is what stood between its zeros, `payload` is in clear.

    `fault` tells why a frame was bad; `payload` is None where it was, or where its tag did not open.
    """

    direction: Direction
    encoded: bytes
    fault: Fault | None
    payload: bytes | None

    @property
    def frame(self) -> Frame | BadFrame:
        """The header's fields; `body` is still encrypted."""
        return decode_frame(self.encoded)


class Sent(NamedTuple):
    """A transmission that may be repeated, byte for byte; its payload in clear is for traces."""

    wire: bytes
    payload: bytes


class Connection:
    """Framing, sealing and counters of one end; `observing` keeps every frame for `take_frames`."""

    __slots__ = (
        "_arrived",
        "_deframer",
        "_line_ms",
        "_output",
        "_records",
        "_secured",
        "observing",
        "statistics",
    )

    def __init__(self, *, secured: bool, gap_ms: int) -> None:
        self._secured = secured
        self._deframer = Deframer(gap_ms)
        self._arrived: deque[Frame | BadFrame] = deque()
        self._output = b""
        self._records: list[FrameRecord] = []
        self._line_ms = 0
        self.observing = False
        self.statistics = LinkStatistics()

    def feed(self, data: bytes, line_ms: int) -> None:
        """Take bytes from the line, in chunks of any size; `next_event` returns what they meant."""
        self._advance(line_ms)
        self._arrived += self._deframer.feed(data, line_ms)

    def take_output(self) -> bytes:
        """The bytes to send now; each is returned once."""
        output, self._output = self._output, b""
        return output

    def take_frames(self) -> list[FrameRecord]:
        """Every frame received and sent since the last call, if `observing`."""
        records, self._records = self._records, []
        return records

    def _forget_line(self) -> None:
        """Drop what has arrived, whole frames and parts of one, and what was to be sent."""
        self._arrived.clear()
        self._deframer.forget()
        self._output = b""

    def _advance(self, line_ms: int) -> None:
        if line_ms < self._line_ms:
            raise LocalError(f"line time went back from {self._line_ms} ms to {line_ms} ms")
        self._line_ms = line_ms

    def _count_bad(self, frame: BadFrame) -> None:
        if frame.fault in _FRAMING_FAULTS:
            self.statistics.cobs_bad += 1
        else:
            self.statistics.crc_bad += 1
        if self.observing:
            self._records.append(FrameRecord(Direction.RECEIVED, frame.encoded, frame.fault, None))

    def _note_received(self, frame: Frame, payload: bytes | None) -> None:
        if self.observing:
            self._records.append(FrameRecord(Direction.RECEIVED, encoded_body(frame.raw), None, payload))

    def _transmit(self, sent: Sent) -> None:
        self._output += sent.wire
        if self.observing:
            self._records.append(FrameRecord(Direction.SENT, sent.wire[1:-1], None, sent.payload))

    def _unseal(self, frame: Frame, key: bytes, direction: int) -> bytes | None:
        """The payload in clear, or None: the tag is bad."""
        _kind, _flags, _opcode, sid, ctr, _ref, body, raw = frame
        return session.unseal(key, direction, sid, ctr, raw[:HEADER_BYTES], body) if self._secured else body

    def _seal(
        self,
        kind: Kind,
        opcode: int,
        sid: int,
        ctr: int,
        ref: int,
        payload: bytes,
        key: bytes,
        direction: int,
    ) -> Sent:
        """A frame of a session; under suite NONE, plain."""
        if not self._secured:
            return plain_frame(kind, opcode, sid, ctr, ref, payload)
        header = pack_header(kind, SECURED, opcode, len(payload), sid, ctr, ref)
        body = session.seal(key, direction, sid, ctr, header, payload)
        return Sent(encode_frame(with_crc(header + body)), payload)


def plain_frame(kind: Kind, opcode: int, sid: int, ctr: int, ref: int, payload: bytes) -> Sent:
    """A frame without a tag: handshakes, hints, and everything under suite NONE."""
    header = pack_header(kind, 0, opcode, len(payload), sid, ctr, ref)
    return Sent(encode_frame(with_crc(header + payload)), payload)


def check_payload(payload: bytes) -> None:
    """Raise LocalError for a payload that fits no frame, before anything is counted or sealed for it."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise LocalError(f"{len(payload)} payload bytes; a frame carries at most {MAX_PAYLOAD_BYTES}")
