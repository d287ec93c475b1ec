"""What a program file may hold: each key with its kind and meaning. Reading, writing and JSON Schema follow from it.

The rooms of a file are the file itself, its tables `periodic`, `patient` and `bridge`, and each `[[group]]` of days.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hil.programmer.staging import Days
from hil.programs.measures import (
    CONCENTRATION,
    DOSE,
    DOSE_A_DAY,
    DOSE_AN_HOUR,
    RATE,
    TIME,
    VOLUME,
    Kind,
    WholeNumber,
)
from protocol.identifiers import InfusionMode
from protocol.messages.program import GROUPS_MAX, SEGMENTS_PER_DAY_MAX

U16_MAX: Final = 0xFFFF
U8_MAX: Final = 0xFF


class Key(NamedTuple):
    """A key with one value: what it is named, how its value is written, what it means."""

    name: str
    kind: Kind
    meaning: str


class Room(NamedTuple):
    """Keys that stand together. Of each row of `either`, the keys of exactly one set are there."""

    meaning: str
    keys: tuple[Key, ...]
    optional: frozenset[str] = frozenset()
    either: tuple[tuple[tuple[str, ...], ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its keys, in order."""
        return tuple(key.name for key in self.keys)

    @property
    def required(self) -> tuple[str, ...]:
        """The keys that are always there."""
        chosen = {name for sets in self.either for names in sets for name in names}
        return tuple(name for name in self.names if name not in self.optional | chosen)


class Mode(NamedTuple):
    """How a mode is named in a file, what it means, and which keys go with it."""

    name: str
    meaning: str
    required: tuple[str, ...]
    optional: tuple[str, ...]


MODES: Final = {
    InfusionMode.MINIMUM_RATE: Mode(
        "minimum_rate", "the pump's lowest flow, which keeps the path open", (), ("rate", "dose")
    ),
    InfusionMode.SIMPLE: Mode("simple", "one dose a day, evenly spread", ("dose",), ("rate",)),
    InfusionMode.FLEX: Mode("flexible", "doses by the time of day", ("group",), ()),
}
IN_EACH_MODE: Final = ("mode", "drug", "concentration")
PROGRAM: Final = Room(
    "An infusion program.",
    (
        Key("drug", WholeNumber("the number of a drug", "1", 0, U16_MAX), "number of the drug in the pump"),
        Key("concentration", CONCENTRATION, "of the drug in the pump"),
        Key("dose", DOSE_A_DAY, "what is prescribed for a day; its rate is the nearest that gives it"),
        Key("rate", RATE, "flow, where the dose's nearest one is not meant; of minimum_rate the pump's own"),
    ),
    optional=frozenset({"dose", "rate"}),
)
_BOLUS = (
    Key("dose", DOSE, "of one bolus"),
    Key("volume", VOLUME, "of one bolus, in place of its dose"),
    Key("duration", TIME, "over which one is given"),
)
BLOCKS: Final = {
    "periodic": Room(
        "Boluses that come by themselves.",
        (
            *_BOLUS,
            Key("interval", TIME, "from the start of one to the start of the next"),
            Key("first_delay", TIME, "from the update to the first"),
        ),
        either=((("dose",), ("volume",)),),
    ),
    "patient": Room(
        "Boluses that the patient may ask for.",
        (
            *_BOLUS,
            Key("lockout", TIME, "from the start of one until the next may start"),
            Key("window", TIME, "time in which at most max_count are given"),
            Key("max_count", WholeNumber("how many", "4", 1, U8_MAX), "boluses in a window at most"),
        ),
        either=((("dose",), ("volume",)),),
    ),
    "bridge": Room(
        "The old drug in tubing and catheter, delivered before the program starts.",
        (
            Key("volume", VOLUME, "of tubing and catheter together"),
            Key("catheter", VOLUME, "of the implanted catheter"),
            Key("tubing", VOLUME, "of the pump's own tubing"),
            Key("rate", RATE, "flow of the bridge"),
            Key("dose", DOSE_A_DAY, "what the patient gets a day meanwhile"),
            Key("old_concentration", CONCENTRATION, "of the old drug: with the dose it gives the rate"),
        ),
        either=((("volume",), ("catheter", "tubing")), (("rate",), ("dose", "old_concentration"))),
    ),
}
GROUP: Final = Room(
    "Days that share one course of the day: doses an hour, or rates, each from a time of day on.",
    (Key("dose", DOSE_A_DAY, "what its steps add up to, where that is prescribed"),),
    optional=frozenset({"dose"}),
)
STEP_MEANING: Final = "dose an hour, or rate, from this time of day until the next one or midnight"
STEP: Final = (DOSE_AN_HOUR, RATE)
STEPS_MAX: Final = SEGMENTS_PER_DAY_MAX
GROUPS: Final = range(1, GROUPS_MAX + 1)
DAY_SETS: Final = {
    "every day": Days.EVERY_DAY,
    "weekdays": Days.WORKDAYS,
    "weekend": Days.WEEKEND,
}
DAY_NAMES: Final = {name.lower(): day for name, day in Days.__members__.items() if day.bit_count() == 1}
DAYS_WORDS: Final = f"{', '.join(map(repr, DAY_SETS))}, a day such as 'monday', or a list of days"


def named_days(name: str) -> Days | None:
    """The days of a name, however its words are joined; None where it is none."""
    plain = re.sub("[ _-]+", " ", name.strip().lower())
    return DAY_SETS.get(plain) or DAY_NAMES.get(plain)


def days_in_words(days: Days) -> tuple[str, ...]:
    """The name of a set of days, or the names of its days."""
    for name, members in DAY_SETS.items():
        if members == days:
            return (name,)
    return tuple(name for name, day in DAY_NAMES.items() if day in days)
