"""Plans of campaigns: which lives are played, until when, and what must hold in them.

A plan is a TOML file, or one that is shipped:

    pump_days = 10_000
    first_seed = 1
    deeds = 16
    [weights]
    bolus = 8

What a plan leaves out is as usual. Every error is one sentence: file, key, what was expected, what came.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.patient.person import Limits
from firmware_emu.profile import EmptyPolicy
from firmware_emu.units import PPM
from hil.bench_file import FILE_BYTES_MAX, Key
from hil.campaign.clinic import HIGHEST_PPM, LOWEST_PPM, Clinic
from hil.campaign.exploring import FORK_DEEDS, FORKS_MAX, USUAL_FORKS
from hil.campaign.life import DEEDS, FAULT_OF_DEED, Play
from hil.campaign.life_marks import MARKS
from hil.campaign.pairs import MUST_BE_REACHED
from hil.campaign.properties import INVARIANTS, OF_DEEDS, OF_TWINS, Watch
from hil.errors import BadConfiguration, in_one_line
from hil.own_paths import path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LAST_SEED: Final = 2**32 - 1
MINUTES_MAX: Final = 100_000
SHOWN_CHARACTERS: Final = 60
KINDS_OF_DEEDS: Final = tuple(sorted({*DEEDS}))
POLICIES: Final = {policy.name.lower(): policy for policy in EmptyPolicy}


class Kind(NamedTuple):
    """A kind of lives; who makes one stands in `playing`."""

    keys: frozenset[str]
    """Those that only plans of such lives have."""
    fixed: Mapping[str, Any] = MappingProxyType({})
    """What other kinds have keys for."""
    unseen: frozenset[str] = frozenset()
    """Invariants that nothing looks at in them."""
    of_deeds: bool = False
    """Whether each is a row of deeds, which can be gone on from, cut and shortened."""


def _whole(meaning: str, low: int, high: int) -> Key:
    return Key(
        meaning,
        f"a whole number from {low} to {high}",
        lambda value: type(value) is int and low <= value <= high,
        {"type": "integer", "minimum": low, "maximum": high},
    )


def _table(meaning: str) -> Key:
    return Key(
        meaning,
        "a table",
        lambda value: isinstance(value, dict),
        {"type": "object", "additionalProperties": False},
    )


def _names(meaning: str, known: Iterable[str]) -> Key:
    names = tuple(known)
    return Key(
        meaning,
        f"a list, without repeats, of one or more of: {', '.join(names)}",
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and all(isinstance(name, str) and name in names for name in value)
            and len({*value}) == len(value)
        ),
        {"type": "array", "uniqueItems": True, "minItems": 1, "items": {"enum": list(names)}},
    )


KINDS: Final = {
    "random": Kind(
        frozenset(
            (
                *("deeds", "quiet_stretches", "pairs", "twins_every", "explore"),
                *("empty_policy", "faults", "marks", "weights"),
            )
        ),
        of_deeds=True,
    ),
    "cohort": Kind(frozenset({"cohort"}), {"twins_every": 0, "marks": ()}, OF_DEEDS),
}
"""Kinds of lives, by the name that a plan gives them."""
KEYS: Final[dict[str, Key]] = {
    "pump_days": _whole("the campaign ends after so many days of pumps", 1, 1_000_000_000),
    "minutes": _whole(
        "the campaign ends after so many minutes of playing; instead of pump_days", 1, MINUTES_MAX
    ),
    "first_seed": _whole("seed of the first life; the next has the next number (default: 1)", 0, LAST_SEED),
    "deeds": _whole("deeds of a life, chosen by weights (default: 16)", 1, 10_000),
    "quiet_stretches": _whole("stretches of 160 days in which little happens (default: 2)", 0, 100),
    "pairs": _whole(
        "of all pairs of fault and procedure, how many a life has in turn (default: 0)",
        0,
        len(MUST_BE_REACHED),
    ),
    "twins_every": _whole(
        "one life of so many is played with a twin whose truth is another, for P4 and P10; 0: none (default: 20)",
        0,
        1_000_000,
    ),
    "explore": _whole(
        f"how often each life is gone on from at its rarest states, by {FORK_DEEDS} deeds (default: 0)",
        0,
        FORKS_MAX,
    ),
    "empty_policy": Key(
        "what pumps do that are believed empty (default: each life has one by chance)",
        f"one of {', '.join(POLICIES)}",
        lambda value: isinstance(value, str) and value in POLICIES,
        {"enum": list(POLICIES)},
    ),
    "faults": _names(
        "faults of the catalogue that come by chance, in quiet stretches too (default: all)", FAULTS
    ),
    "invariants": _names("what must hold (default: all)", INVARIANTS),
    "marks": _names("what at least one life should reach (default: all)", MARKS),
    "weights": _table(
        "how often each kind of deed comes, against the others; what is not named comes as usual"
    ),
    "patient": Key(
        "whether a patient is beside each pump, and the life yields how long that one was at risk (default: false)",
        "true or false",
        lambda value: isinstance(value, bool),
        {"type": "boolean"},
    ),
    "patient_limits": _table("from where on the patient would be at risk; needs patient = true"),
    "life": Key(
        "what a life is: deeds and faults by chance, or a year of refills in a clinic (default: random)",
        f"one of {', '.join(KINDS)}",
        lambda value: isinstance(value, str) and value in KINDS,
        {"enum": list(KINDS)},
    ),
    "cohort": _table(
        'the clinic and its pumps, for life = "cohort"; what is not named is as in Wesemann 2014'
    ),
}
WEIGHT_KEYS: Final = {
    name: _whole(f"weight of this deed (usual: {DEEDS.count(name)})", 0, 1_000) for name in KINDS_OF_DEEDS
}
LIMITS: Final = Limits()
LIMIT_KEYS: Final = {
    "withdrawal_below_ppm": _whole(
        f"risk of withdrawal: an effect below so much of the usual one (assumed: {LIMITS.withdrawal_below_ppm})",
        0,
        PPM - 1,
    ),
    "overdose_above_ppm": _whole(
        f"risk of an overdose: an effect above so much of the usual one (assumed: {LIMITS.overdose_above_ppm})",
        PPM + 1,
        1_000 * PPM,
    ),
    "least_dose_ng_per_day": _whole(
        "to less than this dose nobody is used (default: the lowest published, "
        f"{LIMITS.least_dose_ng_per_day})",
        1,
        10_000_000,
    ),
}
_RANGES: Final = {
    "days": ("each pump is followed for so long", 1, 2_000),
    "accuracy_mean_ppm": ("mean accuracy of the pumps", LOWEST_PPM, HIGHEST_PPM),
    "accuracy_sd_ppm": ("by which pumps differ, within the labelled accuracy", 0, 100_000),
    "dose_ng_per_day_min": ("lowest dose", 24_000, 2_000_000),
    "dose_ng_per_day_max": ("highest dose", 24_000, 2_000_000),
    "fill_nl": ("what each refill is filled up to", 5_000_000, 20_000_000),
    "low_alarm_nl": ("content at which the low-reservoir alarm is due", 0, 4_000_000),
    "booked_days_before_low_min": ("a refill is booked so many days before that alarm, at least", 0, 100),
    "booked_days_before_low_max": ("and at most", 0, 100),
    "interval_days_max": ("and no later than so many days after the last", 1, 365),
    "syringe_scale_ppm": ("a syringe shows up to so much too much or too little", 0, 200_000),
    "syringe_reading_sd_nl": ("by which people miss its scale", 0, 5_000_000),
    "syringe_read_to_nl": ("what people round a reading to", 1, 5_000_000),
    "left_behind_nl_max": ("up to so much stays in a reservoir that is drawn empty", 0, 5_000_000),
    "unseen_nl": ("so much is drawn and never seen in the syringe, each time", 0, 5_000_000),
}
_CLINIC: Final = Clinic()
COHORT_KEYS: Final = {
    name: _whole(f"{meaning} (default: {getattr(_CLINIC, name)})", low, high)
    for name, (meaning, low, high) in _RANGES.items()
}
_ORDERED: Final = (
    ("dose_ng_per_day_min", "dose_ng_per_day_max"),
    ("booked_days_before_low_min", "booked_days_before_low_max"),
)
"""Keys of a cohort of which the first must not be above the second."""
TABLES: Final = {"weights": WEIGHT_KEYS, "patient_limits": LIMIT_KEYS, "cohort": COHORT_KEYS}
"""Keys that are tables, and what may stand in each."""


@dataclass(frozen=True)
class Plan:
    """A plan that was read and can be played."""

    name: str
    pump_days: int | None = None
    """None: until `minutes` are over."""
    minutes: int | None = None
    first_seed: int = 1
    deeds: int = 16
    quiet_stretches: int = 2
    pairs: int = 0
    twins_every: int = 20
    explore: int = 0
    empty_policy: str | None = None
    """None: by chance."""
    faults: tuple[str, ...] = tuple(FAULTS)
    invariants: tuple[str, ...] = tuple(INVARIANTS)
    marks: tuple[str, ...] = MARKS
    weights: tuple[tuple[str, int], ...] = ()
    patient: bool = False
    patient_limits: tuple[tuple[str, int], ...] = ()
    life: str = "random"
    """Kind of the lives, of KINDS."""
    cohort: tuple[tuple[str, int], ...] = ()

    def play(self) -> Play:
        """What lives of this plan are made of."""
        weights = dict(self.weights)
        named = tuple(name for name in sorted(weights) for _ in range(weights[name]))
        usual = tuple(
            name
            for name in DEEDS
            if name not in weights and FAULT_OF_DEED.get(name, self.faults[0]) in self.faults
        )
        deeds = usual + named
        return Play(deeds, self.faults, Watch(frozenset(self.invariants)), self.limits())

    def clinic(self) -> Clinic:
        """Around the pumps of a cohort."""
        return Clinic(**dict(self.cohort))

    def has_twin(self, seed: int) -> bool:
        """Whether it is this life's turn to be played with a twin."""
        return self.twins_every > 0 and (seed - self.first_seed) % self.twins_every == 0

    def limits(self) -> Limits | None:
        """From where on a patient would be at risk; None: there is none."""
        return Limits(**dict(self.patient_limits)) if self.patient else None

    def pairs_of(self, seed: int) -> tuple[tuple[str, str], ...]:
        """The pairs of fault and procedure that are this life's turn."""
        pairs = [pair for pair in MUST_BE_REACHED if pair[0] in self.faults]
        first = (seed - self.first_seed) * self.pairs
        return tuple(pairs[(first + each) % len(pairs)] for each in range(min(self.pairs, len(pairs))))

    def said(self) -> dict[str, Any]:
        """What a file would have to say for this plan, as `plan_of` takes it."""
        usual = {each.name: each.default for each in fields(self)}
        said = {key: value for key, value in vars(self).items() if key != "name" and value != usual[key]}
        fixed = KINDS[self.life].fixed
        return {
            key: dict(value) if key in TABLES else [*value] if isinstance(value, tuple) else value
            for key, value in said.items()
            if key not in fixed
        }

    def digest(self) -> str:
        """SHA-256, in hex, of all that the plan says but its name."""
        said = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def load_as_asked(named: str, minutes: int | None, *, explore: bool) -> Plan:
    """A plan as of `load_plan`, for so many minutes (None: its own budget); with `explore` gone on from rare states."""
    plan = load_plan(named)
    plan = plan if minutes is None else for_minutes(plan, minutes)
    return exploring_plan(plan) if explore else plan


def for_minutes(plan: Plan, minutes: int) -> Plan:
    """The same lives for so many minutes of playing, 1 to 100,000. BadConfiguration for another number."""
    if not KEYS["minutes"].accepts(minutes):
        raise BadConfiguration(f"minutes must be {KEYS['minutes'].expected}, is {minutes}")
    return replace(plan, pump_days=None, minutes=minutes)


def exploring_plan(plan: Plan) -> Plan:
    """The same lives, gone on from at their rarest states as often as the plan says, or else as usual."""
    check_of_deeds(plan)
    return plan if plan.explore else replace(plan, explore=USUAL_FORKS)


def check_of_deeds(plan: Plan) -> None:
    """BadConfiguration where lives of this plan are no rows of deeds, so that none can be gone on from or shortened."""
    if not KINDS[plan.life].of_deeds:
        raise BadConfiguration(f"{plan.name} has {plan.life} lives, which are no rows of deeds")


def shipped_plans() -> tuple[str, ...]:
    """The names of the plans that come with the package."""
    files = resources.files("hil.campaign").joinpath("plans").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


def load_plan(named: str) -> Plan:
    """A plan by the name of a shipped one, or by its path. BadConfiguration says what is wrong with it."""
    if named in shipped_plans():
        text = resources.files("hil.campaign").joinpath("plans", f"{named}.toml").read_bytes()
        return read_plan(text, named, named)
    path = path_of(named, "PLAN")
    return read_plan(_contents(path, named), path.stem, str(path))


def _contents(path: Path, named: str) -> bytes:
    try:
        if not path.is_file():
            missing = "it is no file" if path.exists() else "there is no such file"
            raise FileNotFoundError(2, missing)
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        shipped = ", ".join(shipped_plans())
        raise BadConfiguration(
            f"the plan {named!r} cannot be read: {error.strerror}", advice=f"name a file, or one of {shipped}"
        ) from error
    if len(data) > FILE_BYTES_MAX:
        raise BadConfiguration(f"{named} has more than {FILE_BYTES_MAX} bytes: that is no plan")
    return data


def read_plan(data: bytes, name: str, place: str) -> Plan:
    """A plan from its text; `place` is named in errors."""
    try:
        table: dict[str, Any] = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfiguration(f"{place} is no TOML: {error}") from error
    return plan_of(table, name, place)


def plan_of(said: dict[str, Any], name: str, place: str) -> Plan:
    """A plan from what its file says, key by key; `place` is named in errors."""
    table = dict(said)
    _check(table, KEYS, place)
    life = table.get("life", "random")
    for name_of_kind, kind in KINDS.items():
        if name_of_kind != life and (foreign := sorted(kind.keys & {*table})):
            raise BadConfiguration(
                f"{place}: {foreign[0]} is of {name_of_kind} lives, and those of this plan are {life}"
            )
    tables: dict[str, Any] = {}
    for within, keys in TABLES.items():
        values = table.pop(within, {})
        _check(values, keys, f"{place}: {within}")
        tables[within] = tuple(sorted(values.items()))
    listed: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    listed |= KINDS[life].fixed
    not_seen = KINDS[life].unseen | (OF_TWINS if listed.get("twins_every") == 0 else frozenset())
    listed.setdefault("invariants", tuple(each for each in INVARIANTS if each not in not_seen))
    plan = Plan(name, **listed, **tables)
    _check_whole(plan, place)
    return plan


def _check_whole(plan: Plan, place: str) -> None:
    """BadConfiguration where keys that are right by themselves cannot be together."""
    if (plan.pump_days is None) == (plan.minutes is None):
        raise BadConfiguration(f"{place} must have one of pump_days and minutes")
    if plan.patient_limits and not plan.patient:
        raise BadConfiguration(f"{place}: patient_limits are of no patient", advice="let patient be true")
    if unseen := sorted(KINDS[plan.life].unseen & {*plan.invariants}):
        raise BadConfiguration(f"{place}: nothing looks at {' and '.join(unseen)} in {plan.life} lives")
    unseen = sorted(OF_TWINS & {*plan.invariants})
    if unseen and not plan.twins_every:
        raise BadConfiguration(
            f"{place}: nothing would look at {' and '.join(unseen)}, as twins_every is 0",
            advice="let twins_every be 1 or more, or leave them out of invariants",
        )
    for low, high in _ORDERED:
        if getattr(plan.clinic(), low) > getattr(plan.clinic(), high):
            raise BadConfiguration(f"{place}: cohort: {low} must not be above {high}")
    for deed, fault in FAULT_OF_DEED.items():
        if dict(plan.weights).get(deed) and fault not in plan.faults:
            raise BadConfiguration(
                f"{place}: weights: {deed} is the fault {fault}, which faults leaves out",
                advice="name it in both or in neither",
            )
    if not plan.play().deeds:
        raise BadConfiguration(f"{place}: weights leaves no deed that a life could have")
    if plan.pairs and not plan.pairs_of(plan.first_seed):
        raise BadConfiguration(f"{place}: none of faults is part of a pair", advice="let pairs be 0")


def _check(table: dict[str, Any], keys: dict[str, Key], place: str) -> None:
    for name, value in table.items():
        if name not in keys:
            known = ", ".join(keys)
            raise BadConfiguration(in_one_line(f"{place}: there is no key {name!r}; there are {known}"))
        if not keys[name].accepts(value):
            came = repr(value)[:SHOWN_CHARACTERS]
            raise BadConfiguration(f"{place}: {name} must be {keys[name].expected}, is {came}")


def plan_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a plan, for editors, from the tables above."""
    properties = {name: {"description": key.meaning, **key.schema} for name, key in KEYS.items()}
    for table, keys in TABLES.items():
        properties[table]["properties"] = {
            name: {"description": key.meaning, **key.schema} for name, key in keys.items()
        }
    assert {*properties} == {field.name for field in fields(Plan)} - {"name"}  # noqa: S101 - of this file alone
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:pumpbench:campaign-plan:1",
        "title": "pumpbench campaign plan",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "oneOf": [{"required": ["pump_days"]}, {"required": ["minutes"]}],
    }
