"""The parts of JSON documents that `program checkup` adds."""

from __future__ import annotations

from typing import Annotated, TypedDict

from protocol.identifiers import AlarmClass, AlarmId, State  # noqa: TC001 - the schemas read the hints


class ToneMeaning(TypedDict):
    """An alarm as the patient hears it."""

    alarm_id: Annotated[AlarmId, "which alarm"]
    alarm_class: Annotated[AlarmClass, "its priority"]
    sounds: Annotated[str, "how its tone sounds"]
    means: Annotated[str, "what it means, and what to do"]


class BolusAnswer(TypedDict):
    """Whether the patient may have a bolus now."""

    allowed: Annotated[bool | None, "whether; null where the pump alone knows"]
    why: Annotated[str, "in words"]
    next_allowed_s: Annotated[int | None, "from now, 0 at once; null not by waiting alone, or not known"]


class CheckupPart(TypedDict):
    """What a patient may ask of a pump."""

    working: Annotated[
        bool, "whether the program runs, no critical alarm is on, and the clock that it may need is set"
    ]
    state: Annotated[State, "state of therapy"]
    tones: Annotated[list[ToneMeaning], "each alarm that is on, or may still be heard"]
    low_wall_s: Annotated[int | None, "date by which the reservoir must be filled; null never or not known"]
    tz_minutes: Annotated[int, "zone of the pump's wall clock"]
    wall_valid: Annotated[bool, "whether that clock is set and not in doubt"]
    low_in_ms: Annotated[int | None, "time until then; null never"]
    bolus: Annotated[BolusAnswer, "whether a bolus may be asked for now"]
