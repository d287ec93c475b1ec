"""Conversations over a wire that loses, repeats, delays, reorders and damages, in virtual time [SPEC 5].

Whatever the wire does: no request runs twice, none runs that was not sent, the client takes no answer for another's,
and it says "unknown" when it does not know. Each failure prints the seed that replays it.
"""

from __future__ import annotations

import heapq

from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.identifiers import ErrorCode, Opcode
from protocol.link.client_end import Phase
from protocol.link.events import Hint, Request, Response, SessionOpened, SessionRefused, Unknown
from tests.support.for_each import for_each
from tests.unit.protocol.fake_wire import BadLine, Loopback, split_transmissions


class Conversation:
    """A client with a list of things to ask, a pump that runs each, and the bad line between them."""

    def __init__(self, line: BadLine, requests: int, *, secured: bool = True) -> None:
        self.loopback = Loopback(secured=secured)
        self.loopback.host.near = True  # the budget is not what is tested here
        self.line = line
        self.left = [number.to_bytes(4, "little") for number in range(requests)]
        self.ran: list[bytes] = []
        self.outcomes: dict[bytes, bytes | None] = {}  # None: unknown
        self.asked: bytes | None = None
        self.reopen_after_ms = 0

    def run(self, limit_ms: int = 3_600_000) -> None:
        """Until all is asked, or the time is over and what was asked by then is accounted for."""
        while (self.left or self.asked or self.line.on_its_way) and self.loopback.now_ms < limit_ms:
            self.turn(limit_ms)
        self.left.clear()
        while self.asked:
            self.turn(limit_ms)

    def turn(self, limit_ms: int) -> None:
        loopback = self.loopback
        self.deliver_due()
        self.pump_works()
        self.client_works()
        waits = [loopback.pump.deadline_ms(), loopback.client.deadline_ms()]
        if self.line.on_its_way:
            waits.append(self.line.on_its_way[0][0])
        loopback.now_ms = max(loopback.now_ms, min([ms for ms in waits if ms is not None], default=limit_ms))

    def deliver_due(self) -> None:
        while self.line.on_its_way and self.line.on_its_way[0][0] <= self.loopback.now_ms:
            _, _, to, data = heapq.heappop(self.line.on_its_way)
            end = self.loopback.pump if to == "pump" else self.loopback.client
            end.feed(data, self.loopback.now_ms)

    def pump_works(self) -> None:
        loopback = self.loopback
        while (event := loopback.pump.next_event(loopback.now_ms)) is not None:
            if isinstance(event, Request):
                self.ran.append(event.payload)
                loopback.pump.respond(b"ran " + event.payload)
        self.line.send("client", loopback.pump.take_output(), loopback.now_ms)

    def client_works(self) -> None:
        loopback = self.loopback
        while (event := loopback.client.next_event(loopback.now_ms)) is not None:
            match event:
                case Response(payload=payload):
                    assert self.asked is not None
                    self.outcomes[self.asked] = payload
                    self.asked = None
                case Unknown(opcode=int()):
                    assert self.asked is not None
                    self.outcomes[self.asked] = None
                    self.asked = None
                case Hint(error=error):
                    assert error.code is ErrorCode.NO_SESSION
                    loopback.client.open(loopback.now_ms)
                case Unknown() | SessionOpened() | SessionRefused():
                    pass
                case other:
                    raise AssertionError(other)
        if loopback.client.phase is Phase.CLOSED:
            loopback.client.open(loopback.now_ms)
        elif loopback.client.phase is Phase.OPEN and not loopback.client.busy and self.left:
            self.asked = self.left.pop(0)
            loopback.client.request(Opcode.BOLUS_COMMIT, self.asked, loopback.now_ms)
        self.line.send("pump", loopback.client.take_output(), loopback.now_ms)

    def check(self) -> None:
        assert len(self.ran) == len(set(self.ran)), "a request ran twice"
        for asked, answer in self.outcomes.items():
            if answer is not None:
                assert answer == b"ran " + asked, "an answer was taken for another's"
                assert asked in self.ran
        assert set(self.ran) <= set(self.outcomes), "something ran that the client does not account for"


@for_each("seed", range(40))
def test_a_bad_line_never_makes_a_request_run_twice_or_an_answer_change_hands(seed: int) -> None:
    line = BadLine(seed, loss=0.2, repeat=0.3, delay_ms=1_500, damage=0.1)
    conversation = Conversation(line, 40, secured=seed % 2 == 0)
    conversation.run()
    conversation.check()
    assert len(conversation.outcomes) == 40
    assert sum(answer is not None for answer in conversation.outcomes.values()) > 10


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.6),
    repeat=st.floats(0, 1),
    delay_ms=st.integers(0, 20_000),
    damage=st.floats(0, 0.5),
)
@example(
    seed=150, loss=0.36425903478150706, repeat=0.47265625, delay_ms=13_499, damage=0.103515625
)  # time is over with a question open
@settings(max_examples=40)
def test_no_line_however_bad_breaks_the_promise(
    seed: int, loss: float, repeat: float, delay_ms: int, damage: float
) -> None:
    line = BadLine(seed, loss=loss, repeat=repeat, delay_ms=delay_ms, damage=damage)
    conversation = Conversation(line, 8)
    conversation.run(limit_ms=600_000)
    conversation.check()


def test_on_a_good_line_nothing_is_repeated_and_nothing_unknown() -> None:
    conversation = Conversation(BadLine(1, loss=0, repeat=0, delay_ms=0, damage=0), 100)
    conversation.run()
    conversation.check()
    assert None not in conversation.outcomes.values()
    assert conversation.loopback.pump.statistics.dup_served == 0


def test_a_line_that_loses_only_answers_ends_in_unknown_not_in_a_second_run() -> None:
    loopback = Loopback()
    loopback.open()
    loopback.client.request(Opcode.BOLUS_COMMIT, b"bolus", 0)
    while loopback.client.busy:
        loopback.tell_pump(loopback.client.take_output())
        deadline_ms = loopback.client.deadline_ms()
        assert deadline_ms is not None
        loopback.now_ms = deadline_ms
        loopback.run_client()
    assert [request.payload for request in loopback.executed] == [b"bolus"]
    assert loopback.client_events[-1] == Unknown(Opcode.BOLUS_COMMIT, 1)
    assert loopback.pump.statistics.dup_served == 2


@for_each("size", [1, 2, 7, 64])
def test_a_conversation_is_the_same_in_pieces_of_any_size(size: int) -> None:
    loopback = Loopback()
    whole = Loopback()
    for one in (loopback, whole):
        one.client.open(0)
    for _ in range(6):
        if loopback.client.phase is Phase.OPEN and not loopback.client.busy:
            for one in (loopback, whole):
                one.client.request(Opcode.PING, b"pieces", 0)
        to_pump = loopback.client.take_output()
        assert to_pump == whole.client.take_output()
        for at in range(0, len(to_pump), size):
            loopback.tell_pump(to_pump[at : at + size])
        whole.tell_pump(to_pump)
        assert b"".join(loopback.to_client) == b"".join(whole.to_client)
        for transmission in split_transmissions(whole.to_client[-1]):
            for at in range(0, len(transmission), size):
                loopback.tell_client(transmission[at : at + size])
            whole.tell_client(transmission)
    assert loopback.client_events == whole.client_events
    assert loopback.pump_events == whole.pump_events


def test_everything_ever_recorded_replayed_at_the_end_runs_nothing() -> None:
    loopback = Loopback()
    for session in range(3):
        loopback.open()
        for number in range(10):
            loopback.ask(Opcode.BOLUS_COMMIT, bytes([session, number]))
    recorded = b"".join(loopback.to_pump)
    ran = list(loopback.executed)
    for _ in range(3):
        loopback.tell_pump(recorded)
        loopback.now_ms += 61_000
    assert loopback.executed == ran
    assert len(ran) == 30
