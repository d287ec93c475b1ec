"""EVENT_HINT: told of each change, at most once a second, never in an answer's place, until the status is read."""

from __future__ import annotations

from typing import Any

from firmware_emu.now import Now
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_MINUTE
from hil.campaign.conversation import MARCH_2_S, Conversation, profile_of, simple_header
from hil.campaign.exchange import news_of
from protocol.codec.layouts import decode
from protocol.identifiers import Capability, ErrorCode, EventFlag, OnExpiry, Opcode, Role, StopReason
from protocol.link.client_end import Phase
from protocol.link.events import Announcement, ClientEvent, Response, SessionOpened
from protocol.messages.conversation import EventHint, Ping, Subscribe
from protocol.messages.program import ProgBegin
from protocol.messages.reading import GetStatus
from protocol.messages.stop import Resume, Stop
from tests.support.for_each import for_each

ALL = EventFlag(31)


class Listener(Conversation):
    """A client that keeps the hints it hears, each with the time at which it came."""

    heard: list[tuple[int, EventHint]]

    def listen(self, mask: EventFlag = ALL) -> Listener:
        self.heard = []
        self.granted(GetStatus())
        self.granted(Subscribe(mask))
        return self

    def _keep(self, news: list[ClientEvent]) -> None:
        for event in news:
            if isinstance(event, Announcement):
                assert event.opcode == Opcode.EVENT_HINT
                self.heard.append((self.now_ms, decode(EventHint, event.payload)))

    def _exchange(self) -> Any:
        answer: Any = None
        for _ in range(3):
            self._keep(news := news_of(self.client, self.now_ms))
            answer = next(
                (event for event in news if not isinstance(event, Announcement | SessionOpened)), answer
            )
            if not (sent := self.client.take_output()):
                break
            self.client.feed(self._carry(sent), self.now_ms)
        return answer

    def run_until(self, at_ms: int) -> None:
        """Let time pass from one moment at which the pump wants to be called to the next."""
        while self.now_ms < at_ms:
            step = self.pump.step(self.pump.now)
            wake_ms = at_ms if step.wake_at_ms is None else min(at_ms, max(step.wake_at_ms, self.now_ms + 1))
            step = self.pump.step(Now.both(wake_ms))
            self.client.feed(step.to_send, wake_ms)
            self._keep(news_of(self.client, wake_ms))


def listening(mask: EventFlag = ALL, role: Role = Role.CLINICIAN, **model: Any) -> Listener:
    talk = Listener.with_new_pump(profile_of(wall_at_start_s=MARCH_2_S, **model))
    assert isinstance(talk, Listener)
    return talk.listen(mask)


def stop(talk: Conversation, cmd_id: int) -> None:
    talk.granted(Stop(cmd_id, 3_600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))


def test_a_pump_says_in_its_greeting_that_it_gives_hints() -> None:
    talk = listening()
    assert talk.pump.controller is not None
    assert Capability.EVENTS in talk.pump.controller.link._handshake._caps


def test_nobody_hears_of_a_change_who_did_not_ask() -> None:
    talk = listening(EventFlag(0))
    stop(talk, 1)
    talk.run_until(MS_PER_HOUR)
    assert talk.heard == []


def test_what_a_command_changed_is_told_behind_its_answer() -> None:
    talk = listening()
    stop(talk, 1)
    status_rev, last_seq = (hint := talk.heard[0][1]).status_rev, hint.last_seq
    status = talk.granted(GetStatus())
    assert (status.status_rev, status.last_seq) == (status_rev, last_seq)
    assert hint.mask == EventFlag.STATE | EventFlag.LOG
    assert len(talk.heard) == 1


def test_the_bits_of_a_hint_stay_until_the_status_is_read() -> None:
    talk = listening()
    stop(talk, 1)
    talk.run_until(2_000)
    talk.granted(ProgBegin(1, simple_header(300_000, 500_000)))
    talk.granted(Resume(2, 1))
    talk.run_until(4_000)
    talk.start_bolus(3, 2_000, 60)
    talk.run_until(6_000)
    masks = [hint.mask for _, hint in talk.heard]
    assert masks[0] == EventFlag.STATE | EventFlag.LOG
    assert masks[-1] == EventFlag.STATE | EventFlag.BOLUS | EventFlag.LOG
    talk.granted(GetStatus())
    talk.run_until(90_000)  # the bolus is over
    assert [hint.mask for at_ms, hint in talk.heard if at_ms > 6_000] == [EventFlag.BOLUS | EventFlag.LOG]


def test_changes_that_come_faster_are_told_together_a_second_after_the_last_hint() -> None:
    talk = listening()
    for number in range(1, 9, 2):
        stop(talk, number)
        talk.run_until(talk.now_ms + 100)
        talk.granted(Resume(number + 1, 1))
        talk.run_until(talk.now_ms + 100)
    talk.run_until(10_000)
    assert [at_ms for at_ms, _ in talk.heard] == [0, 1_000]
    assert talk.heard[-1][1].last_seq == talk.granted(GetStatus()).last_seq


def test_the_status_read_within_the_second_makes_the_waiting_hint_needless() -> None:
    talk = listening()
    stop(talk, 1)
    stop(talk, 2)
    talk.granted(GetStatus())
    talk.run_until(10_000)
    assert len(talk.heard) == 1


@for_each(
    ("mask", "wanted"),
    [
        (EventFlag.STATE, [EventFlag.STATE]),
        (EventFlag.PROGRAM, []),
        (EventFlag.BOLUS | EventFlag.LOG, [EventFlag.LOG]),
    ],
)
def test_only_what_was_asked_for_is_told(mask: EventFlag, wanted: list[EventFlag]) -> None:
    talk = listening(mask)
    stop(talk, 1)
    talk.run_until(5_000)
    assert [hint.mask for _, hint in talk.heard] == wanted


def test_what_comes_due_by_itself_is_told_at_its_very_millisecond_while_a_session_is_kept_awake() -> None:
    talk = listening()
    talk.granted(Stop(1, 600, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    talk.granted(GetStatus())
    talk.heard.clear()
    for minute in range(1, 12):
        talk.run_until(minute * MS_PER_MINUTE)
        talk.granted(Ping())
    assert [(at_ms, EventFlag.ALARM in hint.mask) for at_ms, hint in talk.heard] == [(600_000, True)]


def test_a_subscription_ends_with_its_session() -> None:
    talk = listening()
    talk.run_until(200_000)  # it has idled out
    talk.open()
    talk.granted(Stop(1, 60, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    talk.run_until(300_000)
    assert talk.heard == []


def test_a_mask_with_a_bit_that_nobody_knows_is_refused() -> None:
    talk = listening()
    answer = talk.raw(Opcode.SUBSCRIBE, (32).to_bytes(4, "little"))
    assert answer is not None
    assert not isinstance(answer, Response)
    assert answer.error.code is ErrorCode.RESERVED_BITS


def test_hints_are_the_same_however_time_is_cut_and_60_days_after_the_start() -> None:
    heard = []
    for step_ms in (7, 333, 100_000):
        talk = listening()
        talk.wait_until(60 * MS_PER_DAY)
        talk.open()
        talk.granted(Subscribe(ALL))
        stop(talk, 1)
        stop(talk, 2)
        sent = b""
        until_ms = talk.now_ms + 100_000
        while talk.now_ms < until_ms:
            sent += talk.pump.step(Now.both(min(until_ms, talk.now_ms + step_ms))).to_send
        heard.append(sent)
        assert talk.client.phase is Phase.OPEN
    assert heard[0]
    assert len(set(heard)) == 1
