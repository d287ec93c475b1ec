"""A client and a pump joined by a wire in virtual time, for conversations in tests.

`Loopback` delivers everything at once; `BadLine` loses, repeats, delays and damages, from a seed. The pump's program is
one line: it answers each request with what it was asked.
"""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING

from hil.campaign.exchange import exchange, news_of
from hil.programmer.entropy import SeededEntropy
from protocol.identifiers import Capability, Kind, Opcode, Role
from protocol.link.client_end import ClientEnd
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.link.events import Request, SessionOpened
from protocol.link.pump_end import PumpEnd
from protocol.link.session import SessionKeys, derive_keys, seal
from protocol.wire.frame import SECURED, Frame, pack_header, with_crc
from protocol.wire.framing import Deframer, encode_frame
from protocol.wire.limits import LinkLimits

if TYPE_CHECKING:
    from protocol.link.events import ClientEvent, PumpEvent


class Host(SeededEntropy):
    """What the pump's end asks its pump for."""

    def __init__(self, seed: str = "pump") -> None:
        super().__init__(seed)
        self.keys = {key.key_id: key for key in DEVELOPMENT_KEYS}
        self.near = False
        self.failed = False
        self.stuck = False

    def draw(self, length: int) -> bytes:
        return bytes(length) if self.stuck else super().draw(length)

    def key_of(self, key_id: int) -> DeviceKey | None:
        return self.keys.get(key_id)

    def boot_count(self) -> int:
        return 1

    def proximity(self) -> bool:
        return self.near

    def rng_failed(self) -> bool:
        return self.failed


class Loopback:
    """One pump, one client, and a wire that delivers at once and keeps what went over it."""

    def __init__(
        self, *, secured: bool = True, role: Role = Role.CLINICIAN, limits: LinkLimits | None = None
    ) -> None:
        self.now_ms = 0
        self.secured = secured
        self.host = Host()
        self.pump = PumpEnd(self.host, caps=Capability.EVENTS, secured=secured, limits=limits or LinkLimits())
        self.client = self.new_client(role)
        self.pump_events: list[PumpEvent] = []
        self.client_events: list[ClientEvent] = []
        self.executed: list[Request] = []
        self.to_pump: list[bytes] = []
        self.to_client: list[bytes] = []

    def new_client(self, role: Role, seed: str = "client") -> ClientEnd:
        return ClientEnd(
            key=development_key(role), entropy=SeededEntropy(f"{seed} {role}"), secured=self.secured
        )

    def tell_pump(self, data: bytes) -> bytes:
        """Bytes on the line, now; what the pump sent back."""
        self.pump.feed(data, self.now_ms)
        return self.run_pump()

    def run_pump(self) -> bytes:
        while (event := self.pump.next_event(self.now_ms)) is not None:
            self.pump_events.append(event)
            if isinstance(event, Request):
                self.executed.append(event)
                self.pump.respond(event.payload)
        sent = self.pump.take_output()
        if sent:
            self.to_client.append(sent)
        return sent

    def tell_client(self, data: bytes) -> list[ClientEvent]:
        self.client.feed(data, self.now_ms)
        return self.run_client()

    def run_client(self) -> list[ClientEvent]:
        return self._kept(news_of(self.client, self.now_ms))

    def settle(self) -> list[ClientEvent]:
        """Deliver until nothing is on its way."""
        return self._kept(exchange(self.client, self._carry, self.now_ms))

    def _carry(self, sent: bytes) -> bytes:
        self.to_pump.append(sent)
        return self.tell_pump(sent)

    def _kept(self, news: list[ClientEvent]) -> list[ClientEvent]:
        self.client_events += news
        return news

    def open(self) -> ClientEnd:
        self.client.open(self.now_ms)
        assert [type(event) for event in self.settle()] == [SessionOpened]
        return self.client

    def ask(self, opcode: int = Opcode.PING, payload: bytes = b"") -> ClientEvent:
        """One request and its one answer."""
        self.client.request(opcode, payload, self.now_ms)
        (answer,) = self.settle()
        return answer

    def advance(self, ms: int) -> None:
        """Let time pass for both, from deadline to deadline; what they send meanwhile is delivered."""
        end_ms = self.now_ms + ms
        while True:
            due = [end.deadline_ms() for end in (self.pump, self.client)]
            self.now_ms = min([end_ms, *(ms for ms in due if ms is not None)])
            if answer := self.run_pump():
                self.tell_client(answer)
            self.settle()
            if self.now_ms >= end_ms:
                return

    def silence(self, ms: int) -> None:
        """Let time pass while nothing is delivered; what is sent is lost."""
        end_ms = self.now_ms + ms
        while (due := self.client.deadline_ms()) is not None and due <= end_ms:
            self.now_ms = due
            self.run_client()
            self.client.take_output()
        self.now_ms = end_ms
        self.run_pump()
        self.run_client()
        self.client.take_output()

    def told(self, kind: type) -> list[PumpEvent]:
        return [event for event in self.pump_events if isinstance(event, kind)]

    def session_keys(self) -> SessionKeys:
        """What only the two ends know: for tests that speak as a dishonest holder of the key."""
        return derive_keys(self.client._key.key, self.client._client_hello, self.client._pump_hello)


def frames_in(data: bytes) -> list[Frame]:
    """All frames of a piece of line, which must all be good."""
    frames = Deframer().feed(data, 0)
    assert all(isinstance(frame, Frame) for frame in frames), frames
    return [frame for frame in frames if isinstance(frame, Frame)]


def frame_in(data: bytes) -> Frame:
    (frame,) = frames_in(data)
    return frame


def with_header(frame: Frame, **changes: int) -> bytes:
    """The frame's transmission with other header fields and a good CRC; the tag stays as it was."""
    fields = {
        "kind": frame.kind,
        "flags": frame.flags,
        "opcode": frame.opcode,
        "plen": len(frame.body) - (8 if frame.flags else 0),
        "sid": frame.sid,
        "ctr": frame.ctr,
        "ref": frame.ref,
    }
    fields |= changes
    header = pack_header(
        Kind(fields["kind"]),
        fields["flags"],
        fields["opcode"],
        fields["plen"],
        fields["sid"],
        fields["ctr"],
        fields["ref"],
    )
    return encode_frame(with_crc(header + frame.body))


def request_bytes(
    loopback: Loopback, ctr: int, opcode: int = Opcode.PING, payload: bytes = b"", ref: int = 0
) -> bytes:
    """A request of the open session with any counter: what a dishonest holder of the key could send."""
    assert loopback.pump.session is not None
    sid = loopback.pump.session.sid
    if not loopback.secured:
        header = pack_header(Kind.REQUEST, 0, opcode, len(payload), sid, ctr, ref)
        return encode_frame(with_crc(header + payload))
    header = pack_header(Kind.REQUEST, SECURED, opcode, len(payload), sid, ctr, ref)
    return encode_frame(
        with_crc(header + seal(loopback.session_keys().sealing, 0, sid, ctr, header, payload))
    )


class BadLine:
    """A wire that loses, repeats, delays (and so reorders) and damages, in each direction by itself."""

    def __init__(self, seed: int, *, loss: float, repeat: float, delay_ms: int, damage: float) -> None:
        self.dice = random.Random(seed)
        self.loss = loss
        self.repeat = repeat
        self.delay_ms = delay_ms
        self.damage = damage
        self.on_its_way: list[tuple[int, int, str, bytes]] = []
        self.count = 0

    def send(self, to: str, data: bytes, now_ms: int) -> None:
        """Each transmission has a fate of its own."""
        for transmission in split_transmissions(data):
            copies = 1 + (self.dice.random() < self.repeat) * self.dice.randint(1, 3)
            for _ in range(copies):
                if self.dice.random() < self.loss:
                    continue
                arrives_ms = now_ms + self.dice.randint(0, self.delay_ms)
                self.count += 1
                heapq.heappush(
                    self.on_its_way, (arrives_ms, self.count, to, self._through_noise(transmission))
                )

    def _through_noise(self, data: bytes) -> bytes:
        if self.dice.random() >= self.damage:
            return data
        noisy = bytearray(data)
        for _ in range(self.dice.randint(1, 3)):
            noisy[self.dice.randrange(len(noisy))] ^= 1 << self.dice.randrange(8)
        return bytes(noisy[: self.dice.randint(1, len(noisy))]) if self.dice.random() < 0.3 else bytes(noisy)


def split_transmissions(data: bytes) -> list[bytes]:
    """Each `00 ... 00` by itself."""
    return [b"\0" + piece + b"\0" for piece in data.split(b"\0") if piece]
