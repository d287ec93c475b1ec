"""Two channels must agree before a stroke is turned: the second counts by itself what the first commands."""

from __future__ import annotations

from collections.abc import Callable

from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.therapy import Therapy
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.conversation import Conversation
from hil.plugin import verifies
from protocol.identifiers import AlarmId, State, StateReason
from protocol.log.types import LogType, MemoryFault
from protocol.messages.reading import GetStatus
from tests.support.for_each import for_each

HOUR = MS_PER_HOUR


def at_work() -> Conversation:
    talk = Conversation.with_new_pump()
    talk.wait(10 * HOUR + 1_000)
    return talk


def therapy_of(talk: Conversation) -> Therapy:
    assert talk.pump.controller is not None
    return talk.pump.controller.therapy


def _too_fast(therapy: Therapy) -> None:
    therapy.deliveries.basal.rate_nl_per_day *= 2


def _too_slow(therapy: Therapy) -> None:
    therapy.deliveries.basal.rate_nl_per_day //= 2


def _owing_a_stroke_more(therapy: Therapy) -> None:
    therapy.deliveries.basal.carried += therapy.deliveries.basal.stroke


def _forgetting_a_stroke(therapy: Therapy) -> None:
    therapy.deliveries.basal.emitted -= 1


def _beginning_earlier(therapy: Therapy) -> None:
    therapy.deliveries.basal.anchor_ms -= HOUR


WRONGS: dict[str, Callable[[Therapy], None]] = {
    "too fast": _too_fast,
    "too slow": _too_slow,
    "owing a stroke more": _owing_a_stroke_more,
    "forgetting a stroke": _forgetting_a_stroke,
    "beginning earlier": _beginning_earlier,
}


@verifies("SAF-004")
@for_each("wrong", list(WRONGS))
def test_what_only_one_channel_would_deliver_is_not_delivered(wrong: str) -> None:
    """The first channel's own numbers are changed, as an error of its program would."""
    talk = at_work()
    turned = talk.pump.truth().strokes_turned
    WRONGS[wrong](therapy_of(talk))
    talk.wait(2 * HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.state_reason) == (State.SAFE_STATE, StateReason.MEMORY)
    assert status.rate_nl_per_day == talk.pump.profile.model.safe_rate_nl_per_day
    assert talk.pump.truth().strokes_turned == turned, "at the safe rate a stroke falls every two hours"
    (raised,) = [entry.details() for entry in talk.log() if entry.type is LogType.ALARM_ON]
    assert (raised.alarm_id, raised.cause) == (AlarmId.MEM_CRITICAL, MemoryFault.CHANNELS)
    (told,) = [entry.details() for entry in talk.log() if entry.type is LogType.CHANNEL_MISMATCH]
    assert told.source == Source.BASAL
    assert told.commanded != told.due


@verifies("SAF-004")
def test_a_bolus_of_which_one_channel_knows_no_more_is_not_delivered() -> None:
    talk = at_work()
    talk.start_bolus(1, 40_000, 3_600)
    talk.wait(HOUR // 2)
    turned = talk.pump.truth().strokes_turned
    therapy = therapy_of(talk)
    current = therapy.deliveries.current
    assert current is not None
    current.commanded -= 10  # type: ignore[attr-defined] # an ActiveBolus
    talk.wait(HOUR)
    status = talk.granted(GetStatus())
    assert (status.state, status.bolus_cmd_id) == (State.SAFE_STATE, 0)
    assert talk.pump.truth().strokes_turned == turned


def test_channels_agree_over_everything_that_a_pump_does() -> None:
    """Rates, boluses and stops; a row of a million strokes is compared as one is."""
    talk = at_work()
    talk.start_bolus(1, 40_000, 3_600)
    talk.wait_until(20 * MS_PER_DAY)
    assert not [entry for entry in talk.log() if entry.type is LogType.CHANNEL_MISMATCH]


class TooManyEdges:
    """A sensor that shows an edge more than there were strokes."""

    def run(self, run: StrokeRun) -> int:
        return run.count + 1


# FI 07
@verifies("SAF-005")
def test_edges_without_a_stroke_are_logged_at_the_end_of_the_day_and_never_counted_as_delivered() -> None:
    talk = at_work()
    therapy = therapy_of(talk)
    commanded = therapy.counters.commanded
    gate = therapy.channel.gates[Source.BASAL]
    rotor, gate.rotor = gate.rotor, TooManyEdges()
    talk.wait(HOUR)
    gate.rotor = rotor
    runs = gate.false_edges
    assert runs > 0
    assert therapy.counters.strokes == therapy.counters.commanded > commanded
    talk.wait(MS_PER_DAY)
    (told,) = [entry.details() for entry in talk.log() if entry.type is LogType.STROKE_MISMATCH]
    assert told.seen - told.commanded == runs
