"""What a patient hears of each alarm and when: one table from [DOMAIN 3], and one test that walks it by virtual time.

A critical alarm sounds 3 s of two tones every 10 min, any other 1 s of one tone every hour (3.1). Silence of a critical
alarm ends with the session in which it was acknowledged, that of any other when its condition begins anew (3.7). Of
several the highest class is heard (6.4, SR-53). After a loss of power an alarm that lasts is heard within one interval
(8.7, P7), and the reset is a critical alarm itself (3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from firmware_emu.controller.alarms.alarm_table import ALARMS
from firmware_emu.pins import Tone
from firmware_emu.units import MS_PER_MINUTE, MS_PER_S
from hil.campaign.conversation import Conversation
from protocol.identifiers import AlarmClass, AlarmId, ConfigId
from protocol.log.types import LogName
from protocol.messages.alarms import GetAlarms
from protocol.messages.configuration import ConfigWrite
from protocol.messages.log import LogStatus
from tests.simulation.alarm_causes import (
    CAUSES,
    acknowledge,
    empty,
    flip_in_log,
    interrupt_bolus,
    leave,
    low,
    stay,
)
from tests.support.for_each import for_each

C, R, N = "critical", "reset", "non-critical"

KINDS = {  # [DOMAIN 3.2, 3.7]; a reset is over as soon as it has happened, so that it can be silenced for good
    AlarmId.LOW_RESERVOIR: N,
    AlarmId.EMPTY: C,
    AlarmId.MOTOR_STALL: C,
    AlarmId.STOPPED_TOO_LONG: C,
    AlarmId.STOP_EXPIRED: C,
    AlarmId.ERI: N,
    AlarmId.EOS: C,
    AlarmId.MEM_NONCRITICAL: N,
    AlarmId.MEM_CRITICAL: C,
    AlarmId.RESET: R,
    AlarmId.BOLUS_PARTIAL: N,
    AlarmId.WALL_INVALID: N,
    AlarmId.RNG_FAILED: N,
    AlarmId.KEY_RECOVERY: N,
    AlarmId.TUBE_SET: N,
    AlarmId.SELF_TEST: C,
    AlarmId.NVM: C,
}
Heard = tuple[str, str]
"""When and what: `0 to 50` is every 10 min of critical tones, every 60 min of others; `60 for 0.5 s` is cut off."""

TABLE: dict[
    str, dict[str, tuple[Heard, ...]]
] = {  # minutes, or minutes:seconds, from the beginning of the alarm
    "nothing is done": {
        C: (("0 to 300", C),),
        R: (("0 to 300", C),),
        N: (("0 to 300", N),),
    },
    "acknowledged at 25, the session ends at 35": {
        C: (("0 to 20", C), ("35 to 295", C)),
        R: (("0 to 20", C),),
        N: (("0", N),),
    },
    "acknowledged at 25, the session is kept for its whole life": {
        C: (("0 to 20", C), ("55 to 295", C)),
        R: (("0 to 20", C),),
        N: (("0", N),),
    },
    "acknowledged at 25, at 28 and at 31, each in a session of a minute": {
        C: (("0 to 20", C), ("26", C), ("29", C), ("32 to 292", C)),
        R: (("0 to 20", C),),
        N: (("0", N),),
    },
    "it ceases at 95": {
        C: (("0 to 90", C),),
        R: (("0 to 90", C),),
        N: (("0 to 60", N),),
    },
    "acknowledged, it ceases and begins anew": {  # from its new beginning
        C: (("0 to 100", C),),
        R: (("0 to 100", C),),
        N: (("0 to 60", N),),
    },
    "power is cut at 60:00.5 and is back at 65": {
        C: (("0 to 50", C), ("60 for 0.5 s", C), ("74:59 to 294:59", C)),
        R: (("0 to 50", C), ("60 for 0.5 s", C), ("65 to 295", C)),
        N: (("0", N), ("60 for 0.5 s", N), ("65 to 295", C)),
    },
    "power is cut at 60:00.5 and is back at 65, and the reset is acknowledged at 70": {
        C: (("0 to 50", C), ("60 for 0.5 s", C), ("74:59 to 294:59", C)),
        R: (("0 to 50", C), ("60 for 0.5 s", C), ("65", C)),
        N: (("0", N), ("60 for 0.5 s", N), ("65", C), ("124:59 to 244:59", N)),
    },
    "acknowledged at 25, power is cut at 30:00.5 in that session and is back at 35": {
        C: (("0 to 20", C), ("44:59 to 294:59", C)),
        R: (("0 to 20", C), ("35 to 295", C)),
        N: (("0", N), ("35 to 295", C)),
    },
    "another non-critical alarm begins at 25": {
        C: (("0 to 300", C),),
        R: (("0 to 300", C),),
        N: (("0 to 300", N),),
    },
    "another non-critical alarm begins at 25, and the first ceases at 95": {
        C: (("0 to 90", C), ("145 to 265", N)),
        R: (("0 to 90", C), ("145 to 265", N)),
        N: (("0 to 300", N),),
    },
}
EXCEPTIONS: dict[tuple[str, AlarmId], tuple[Heard, ...]] = {
    (  # a start that finds the random source in order ends its alarm
        "power is cut at 60:00.5 and is back at 65, and the reset is acknowledged at 70",
        AlarmId.RNG_FAILED,
    ): (("0", N), ("60 for 0.5 s", N), ("65", C)),
    ("it ceases at 95", AlarmId.RNG_FAILED): (("0 to 60", N), ("95", C)),
    **{
        # by a start, over which a second is lost
        ("another non-critical alarm begins at 25, and the first ceases at 95", alarm_id): (
            ("0 to 90", C),
            ("144:59 to 264:59", N),
        )
        for alarm_id in (AlarmId.SELF_TEST, AlarmId.NVM)
    },
}

INTERVAL_MIN = {C: 10, N: 60}
LENGTH_MS = {C: 3_000, N: 1_000}
END_MIN, ANEW_END_MIN = 300, 100


def tones_of(heard: tuple[Heard, ...]) -> list[Tone]:
    """The tones that a row of the table says, by their times from the beginning of the alarm."""
    tones = []
    for when, what in heard:
        span, _, cut_s = when.removesuffix(" s").partition(" for ")
        first, _, last = span.partition(" to ")
        length_ms = int(float(cut_s) * MS_PER_S) if cut_s else LENGTH_MS[what]
        every_ms = INTERVAL_MIN[what] * MS_PER_MINUTE
        times_ms = range(ms_of(first), ms_of(last or first) + 1, every_ms)
        tones += [Tone(at_ms, what == C, length_ms) for at_ms in times_ms]
    return tones


def ms_of(when: str) -> int:
    minutes, _, seconds = when.partition(":")
    return int(minutes) * MS_PER_MINUTE + int(seconds or 0) * MS_PER_S


class Listener:
    """Hears all that a pump sounds, of which the plant keeps the last tones alone."""

    def __init__(self, talk: Conversation, began_ms: int) -> None:
        self.talk, self.began_ms, self.from_ms = talk, began_ms, talk.now_ms
        self.heard: dict[int, Tone] = {}

    def until(self, minutes: int, ms: int = 0) -> None:
        """Let the pump run up to so many minutes behind the beginning of the alarm."""
        end_ms = self.began_ms + minutes * MS_PER_MINUTE + ms
        while True:
            self.heard |= {tone.at_ms: tone for tone in self.talk.pump.tones()}
            if self.talk.now_ms >= end_ms:
                break
            self.talk.wait_until(min(end_ms, self.talk.now_ms + 60 * MS_PER_MINUTE))

    def stay(self, minutes: int) -> None:
        """The same with a session that is kept open."""
        stay(self.talk, self.began_ms + minutes * MS_PER_MINUTE)

    def ended(self, minutes: int) -> list[Tone]:
        """Listen to the end; what was heard from the beginning, or from where the alarm could be heard."""
        self.until(minutes, 3_000)
        shown = [tone for _, tone in sorted(self.heard.items()) if tone.at_ms >= self.from_ms]
        return [tone._replace(at_ms=tone.at_ms - self.began_ms) for tone in shown]


Play = Callable[[Listener, AlarmId], list[Tone]]


def nothing(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    return listener.ended(END_MIN)


def acknowledged(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    listener.until(25)
    acknowledge(listener.talk)
    listener.stay(35)
    leave(listener.talk)
    return listener.ended(END_MIN)


def kept_silent(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    listener.until(25)
    acknowledge(listener.talk)
    listener.stay(57)
    return listener.ended(END_MIN)


def silenced_thrice(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    """FI 68: the same alarm silenced three times in ten minutes."""
    for minute in (25, 28, 31):
        listener.until(minute)
        acknowledge(listener.talk)
        listener.stay(minute + 1)
        leave(listener.talk)
    return listener.ended(END_MIN)


def ceased(listener: Listener, alarm_id: AlarmId) -> list[Tone]:
    listener.until(95)
    cease(listener.talk, alarm_id)
    return listener.ended(END_MIN)


def cease(talk: Conversation, alarm_id: AlarmId) -> None:
    end = CAUSES[alarm_id].cease
    assert end is not None
    end(talk)
    if talk.pump.powered:
        talk.granted(GetAlarms())
        leave(talk)


def begun_anew(listener: Listener, alarm_id: AlarmId) -> list[Tone]:
    listener.until(25)
    acknowledge(listener.talk)
    leave(listener.talk)
    listener.until(95)
    cause = CAUSES[alarm_id]
    if cause.cease is not None:
        cease(listener.talk, alarm_id)
        listener.talk.wait(10 * MS_PER_MINUTE)
    assert cause.again is not None
    cause.again(listener.talk)
    return Listener(listener.talk, listener.talk.now_ms - cause.hidden_ms).ended(ANEW_END_MIN)


def power_cut(listener: Listener, minute: int) -> None:
    listener.until(minute, 500)
    listener.talk.pump.cut_power()
    listener.until(minute + 5)
    listener.talk.pump.restore_power()
    listener.talk.wait(0)


def cut_while_it_sounds(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    power_cut(listener, 60)
    return listener.ended(END_MIN)


def cut_and_reset_acknowledged(listener: Listener, alarm_id: AlarmId) -> list[Tone]:
    power_cut(listener, 60)
    listener.until(70)
    acknowledge(listener.talk, *({alarm_id} - {AlarmId.RESET}))
    leave(listener.talk)
    return listener.ended(END_MIN)


def cut_while_silenced(listener: Listener, _alarm_id: AlarmId) -> list[Tone]:
    listener.until(25)
    acknowledge(listener.talk)
    listener.stay(30)
    power_cut(listener, 30)
    return listener.ended(END_MIN)


def beside(listener: Listener, alarm_id: AlarmId) -> None:
    """Another non-critical alarm begins at 25 min."""
    if alarm_id is AlarmId.MEM_NONCRITICAL:
        listener.until(20)
        interrupt_bolus(listener.talk)
    else:
        listener.until(25)
        flip_in_log(listener.talk)
        listener.talk.granted(LogStatus(LogName.MAIN))
        leave(listener.talk)


def beside_another(listener: Listener, alarm_id: AlarmId) -> list[Tone]:
    beside(listener, alarm_id)
    return listener.ended(END_MIN)


def outlived_by_another(listener: Listener, alarm_id: AlarmId) -> list[Tone]:
    beside(listener, alarm_id)
    return ceased(listener, alarm_id)


PLAYS: dict[str, Play] = dict(
    zip(
        TABLE,
        (
            nothing,
            acknowledged,
            kept_silent,
            silenced_thrice,
            ceased,
            begun_anew,
            cut_while_it_sounds,
            cut_and_reset_acknowledged,
            cut_while_silenced,
            beside_another,
            outlived_by_another,
        ),
        strict=True,
    )
)
CEASES = {ceased, outlived_by_another}
WITHOUT_SESSION = {nothing, ceased, cut_while_it_sounds, cut_and_reset_acknowledged}


@cache
def begun(alarm_id: AlarmId) -> Conversation:
    """A pump in which this alarm has just begun."""
    return CAUSES[alarm_id].begin()


def cells() -> list[tuple[AlarmId, str]]:
    """Each alarm with each course that it can take."""
    return [
        (alarm_id, what)
        for what, play in PLAYS.items()
        for alarm_id, cause in CAUSES.items()
        if not (play in CEASES and cause.cease is None)
        and not (play is begun_anew and cause.again is None)
        and not (play not in WITHOUT_SESSION and alarm_id is AlarmId.RNG_FAILED)  # no session opens meanwhile
    ]


def test_the_table_has_every_alarm_and_its_classes_are_the_pumps() -> None:
    vendors = {alarm_id for alarm_id in AlarmId if alarm_id.name.startswith("VENDOR_")}
    assert set(KINDS) == set(CAUSES) == set(AlarmId) - vendors
    assert {alarm_id for alarm_id, kind in KINDS.items() if kind != N} == {
        alarm_id for alarm_id, row in ALARMS.items() if row.alarm_class is AlarmClass.CRITICAL
    }


# FI 68
@for_each(("alarm_id", "what"), cells(), name=lambda cell: f"{cell[0].name}, {cell[1]}")
def test_what_is_heard_of_each_alarm_is_what_the_table_says_tone_by_tone(
    alarm_id: AlarmId, what: str
) -> None:
    talk = begun(alarm_id).fork()
    hidden_ms = CAUSES[alarm_id].hidden_ms
    heard = PLAYS[what](Listener(talk, talk.now_ms - hidden_ms), alarm_id)
    wanted = EXCEPTIONS.get((what, alarm_id), TABLE[what][KINDS[alarm_id]])
    assert heard == [tone for tone in tones_of(wanted) if tone.at_ms >= hidden_ms]


@for_each(
    ("config_id", "alarm", "interval_s"),
    [
        *((ConfigId.CRITICAL_INTERVAL_S, empty, interval_s) for interval_s in (60, 600, 7_200)),
        *((ConfigId.NONCRITICAL_INTERVAL_S, low, interval_s) for interval_s in (60, 3_600, 86_400)),
    ],
)
def test_the_shortest_the_usual_and_the_longest_interval_are_heard_as_they_were_set(
    config_id: ConfigId, alarm: Callable[[], Conversation], interval_s: int
) -> None:
    talk = begun(AlarmId.EMPTY if alarm is empty else AlarmId.LOW_RESERVOIR).fork()
    began_ms = talk.now_ms
    talk.granted(ConfigWrite(config_id, interval_s.to_bytes(4, "little")))
    leave(talk)
    talk.wait(5 * interval_s * MS_PER_S + 3_000)
    times = [tone.at_ms - began_ms for tone in talk.pump.tones() if tone.at_ms >= began_ms]
    assert times == [n * interval_s * MS_PER_S for n in range(6)]
