"""A pump that was held up finds what its client has given up long ago: it costs nothing, and the client is served."""

from __future__ import annotations

from hil.programmer.entropy import SeededEntropy
from protocol.codec.layouts import encode
from protocol.identifiers import PROTOCOL_VERSION, Handshake, Kind, Opcode, Role, Suite
from protocol.link.client_end import ClientEnd
from protocol.link.connection import plain_frame
from protocol.link.development_keys import development_key
from protocol.link.events import SessionOpened, Unknown
from protocol.link.pump_end import PumpEnd
from protocol.messages.handshake import ClientHello
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import Host

HELLO_PER_MIN = 10  # [SPEC 4, H5]

KEY = development_key(Role.CLINICIAN)


def hello(number: int) -> bytes:
    wish = ClientHello(
        PROTOCOL_VERSION,
        PROTOCOL_VERSION,
        int(Suite.AES_128_CCM_8),
        KEY.role,
        KEY.key_id,
        bytes([number]) * 16,
    )
    return plain_frame(Kind.HANDSHAKE, Handshake.CLIENT_HELLO, 0, 0, 0, encode(wish)).wire


def stale_request(number: int) -> bytes:
    return plain_frame(Kind.REQUEST, Opcode.PING, 77, number, 0, b"").wire


def answers(pump: PumpEnd, line_ms: int) -> int:
    while pump.next_event(line_ms) is not None:
        pass
    return sum(bool(piece) for piece in pump.take_output().split(b"\x00"))


def test_of_greetings_that_lie_there_together_the_last_alone_is_answered_and_counted() -> None:
    pump = PumpEnd(Host())
    for burst in range(HELLO_PER_MIN):
        pump.feed(b"".join(hello(number) for number in range(20 * burst, 20 * (burst + 1))), burst)
        assert answers(pump, burst) == 1
    pump.feed(hello(1), 1_000)
    assert answers(pump, 1_000) == 0, "ten were answered, and no more in this minute"


def test_greetings_that_come_one_by_one_are_answered_one_by_one() -> None:
    pump = PumpEnd(Host())
    for number in range(3):
        for byte in hello(number):
            pump.feed(bytes([byte]), number)
            count = answers(pump, number)
        assert count == 1


def test_a_request_that_was_given_up_before_a_greeting_draws_no_hint() -> None:
    pump = PumpEnd(Host())
    pump.feed(b"".join(stale_request(number) for number in range(1, 20)) + hello(1), 0)
    assert answers(pump, 0) == 1
    pump.feed(stale_request(1), 1)
    assert answers(pump, 1) == 1, "one that nobody has given up is told that its session is gone"


def test_a_client_whose_pump_was_held_up_for_a_minute_gets_its_session_at_once() -> None:
    pump, client = PumpEnd(Host()), ClientEnd(key=KEY, entropy=SeededEntropy("5"))
    queued = b""
    for now_ms in range(0, 60_000, 100):  # all that one client sends meanwhile, again and again
        if client.next_event(now_ms) is None and not client.busy:
            client.open(now_ms)
        queued += client.take_output()
    assert queued.count(bytes([Handshake.CLIENT_HELLO])) > HELLO_PER_MIN
    pump.feed(queued, 60_000)
    pump.next_event(60_000)
    client.feed(pump.take_output(), 60_000)
    client.next_event(60_000)
    pump.feed(client.take_output(), 60_000)
    assert isinstance(pump.next_event(60_000), SessionOpened)


@for_each("attempt", range(HELLO_PER_MIN // 2))
def test_a_wrong_key_costs_the_pump_two_greetings_so_that_a_fifth_is_answered_too(attempt: int) -> None:
    pump = PumpEnd(Host())
    for number in range(attempt + 1):
        client = ClientEnd(key=KEY._replace(key=bytes(16)), entropy=SeededEntropy(str(number)))
        now_ms = 5_000 * number
        client.open(now_ms)
        ended = None
        while ended is None:
            pump.feed(client.take_output(), now_ms)
            pump.next_event(now_ms)
            client.feed(pump.take_output(), now_ms)
            ended = client.next_event(now_ms)
            now_ms += 100
        assert isinstance(ended, Unknown)
        assert client.statistics.mac_bad == 2, "it was answered by a pump that does not hold this key"
