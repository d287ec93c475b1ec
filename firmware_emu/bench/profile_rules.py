"""What may stand in a profile file: each setting with the values it takes, and how settings bind each other.

Tables only; reading files is in `profile_file`. Upper bounds are those of the wire's fields or plain sanity, so
that a slip of the finger is caught; they are no clinical advice.
"""

from __future__ import annotations

import operator
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.plant.components import PARTS
from firmware_emu.profile import (
    CommitMode,
    EmptyPolicy,
    Implant,
    PumpModel,
    RecoveryLog,
    ResetPolicy,
    TelemetryExit,
)
from firmware_emu.units import NL_PER_ML
from protocol.identifiers import Role

if TYPE_CHECKING:
    from collections.abc import Callable

U16_MAX: Final = 0xFFFF
U32_MAX: Final = 0xFFFF_FFFF
SERIAL_BYTES: Final = 12
KEY_HEX_DIGITS: Final = 32
PUMPS: Final = {"20 mL": 20 * NL_PER_ML, "40 mL": 40 * NL_PER_ML}
"""The models that a clinic chooses from, with their reservoirs [DOMAIN 0.3, C1]."""
KEYS_MAX: Final = 8
"""Key slots of a pump [SPEC 11]."""
LONGEST_OFFSET: Final = timedelta(hours=14)
STORED_TEXT_BYTES: Final = 64
"""Each text of a pump's memory [SPEC 6], CONFIG_WRITE."""


class Rule(NamedTuple):
    """One setting: what is expected, as a phrase after "must be", whether a value is that, and its JSON Schema."""

    expected: str
    accepts: Callable[[object], bool]
    schema: dict[str, Any] = {}  # noqa: RUF012 - never written to


def whole(least: int, most: int) -> Rule:
    """An integer in a range; TOML's true and false are none."""
    return Rule(
        f"an integer from {least} to {most}",
        lambda value: type(value) is int and least <= value <= most,
        {"type": "integer", "minimum": least, "maximum": most},
    )


def one_of(*names: str) -> Rule:
    """A word of a short list."""
    return Rule(
        "one of " + ", ".join(f'"{name}"' for name in names),
        lambda value: value in names,
        {"enum": list(names)},
    )


def text(expected: str, pattern: str) -> Rule:
    """A text that matches the pattern as a whole."""
    return Rule(
        expected,
        lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None,
        {"type": "string", "pattern": f"^{pattern}$"},
    )


def table(name: str) -> Rule:
    """A table; what may stand in it is another row of rules."""
    return Rule(f"a table, [{name}]", lambda value: isinstance(value, dict), {"type": "object"})


YES_OR_NO: Final = Rule("true or false", lambda value: isinstance(value, bool), {"type": "boolean"})


def printable(most: int) -> Rule:
    """A text of one line."""
    return Rule(
        f"a text of 1 to {most} printable characters",
        lambda value: isinstance(value, str) and 1 <= len(value.strip()) <= most and value.isprintable(),
        {"type": "string", "minLength": 1, "maxLength": most},
    )


TEXT: Final = printable(60)
STORED_TEXT: Final = Rule(
    f"a printable text of at most {STORED_TEXT_BYTES} bytes in UTF-8",
    lambda value: (
        isinstance(value, str)
        and value.isprintable()
        and len(value.encode(errors="replace")) <= STORED_TEXT_BYTES
    ),
    {"type": "string", "maxLength": STORED_TEXT_BYTES},
)
SERIAL: Final = text(f"1 to {SERIAL_BYTES} printable ASCII characters", f"[ -~]{{1,{SERIAL_BYTES}}}")
KEY: Final = text(f"{KEY_HEX_DIGITS} hex digits", f"[0-9a-fA-F]{{{KEY_HEX_DIGITS}}}")


def _is_wall_clock(value: object) -> bool:
    if not isinstance(value, datetime):
        return False
    offset = value.utcoffset()
    return offset is not None and abs(offset) <= LONGEST_OFFSET and 2000 <= value.year < 2100


WALL_CLOCK: Final = Rule(
    "a date and time with its offset from UTC, between 2000 and 2099, as 2026-03-02T10:00:00Z",
    _is_wall_clock,
    {"type": "string", "format": "date-time"},
)

TOP_RULES: Final = {
    "name": TEXT,
    "summary": printable(120),
    "based_on": one_of("implanted", "factory"),
    "pump": one_of(*PUMPS),
    "wall_clock": WALL_CLOCK,
    "vendor_messages": Rule(
        "a list of names of installed messages",
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
        {"type": "array", "items": {"type": "string"}},
    ),
    "card_key": KEY,
    "model": table("model"),
    "implant": table("implant"),
    "patient": table("patient"),
    "catheter": table("catheter"),
    "drug": table("drug"),
    "policies": table("policies"),
    "components": table("components"),
    "keys": Rule(
        f"1 to {KEYS_MAX} tables, [[keys]]",
        lambda value: (
            isinstance(value, list)
            and 1 <= len(value) <= KEYS_MAX
            and all(isinstance(entry, dict) for entry in value)
        ),
        {"type": "array", "minItems": 1, "maxItems": KEYS_MAX},
    ),
}

_VOLUME: Final = whole(1, 1_000 * NL_PER_ML)
_SECONDS: Final = whole(1, 366 * 86_400)
_MILLIVOLTS: Final = whole(1, U16_MAX)
_MILLIAMPERES: Final = whole(0, 1_000)

MODEL_RULES: Final = {
    "reservoir_size_nl": _VOLUME,
    "residual_nl": whole(0, 1_000 * NL_PER_ML),
    "stroke_nl": whole(1, 100_000),
    "accuracy_ppm": whole(1, 10_000_000),
    "accuracy_per_kelvin_ppm": whole(-1_000_000, 1_000_000),
    "accuracy_per_atmosphere_ppm": whole(-1_000_000, 1_000_000),
    "accuracy_per_fill_ppm": whole(-1_000_000, 1_000_000),
    "tubing_nl": whole(0, 10 * NL_PER_ML),
    "catheter_nl": whole(0, 10 * NL_PER_ML),
    "tubing_told_excess_nl": whole(-10 * NL_PER_ML, 10 * NL_PER_ML),
    "catheter_told_excess_nl": whole(-10 * NL_PER_ML, 10 * NL_PER_ML),
    "catheter_dispersion_ppm": whole(0, 1_000_000),
    "rate_min_nl_per_day": _VOLUME,
    "rate_max_nl_per_day": _VOLUME,
    "safe_rate_nl_per_day": _VOLUME,
    "bolus_max_nl": _VOLUME,
    "hour_max_nl": _VOLUME,
    "day_max_nl": _VOLUME,
    "program_day_max_nl": _VOLUME,
    "min_bolus_gap_s": whole(0, 366 * 86_400),
    "bolus_max_duration_s": whole(1, 49 * 86_400),
    "max_stop_s": _SECONDS,
    "low_reservoir_alarm_nl": _VOLUME,
    "critical_interval_s": _SECONDS,
    "noncritical_interval_s": _SECONDS,
    "stall_detect_s": _SECONDS,
    "stall_recovery_edges": whole(1, 1_000),
    "log_capacity": whole(64, 65_536),
    "empty_policy": one_of(*EmptyPolicy),
    "commit_mode": one_of(*CommitMode),
    "watchdog_s": whole(1, 90),  # [DOMAIN SR-64]
    "ram_test_s": whole(1, 86_400),
    "code_test_s": whole(1, 86_400),
    "telemetry_timeout_s": whole(1, 86_400),
    "telemetry_exit": one_of(*TelemetryExit),
    "recovery_log": one_of(*RecoveryLog),
    "service_life_months": whole(1, 1_200),
    "eri_to_eos_days": whole(1, 3_660),
    "battery_capacity_mah": whole(1, 100_000),
    "battery_full_mv": _MILLIVOLTS,
    "battery_eri_mv": _MILLIVOLTS,
    "battery_eos_mv": _MILLIVOLTS,
    "battery_reset_mv": _MILLIVOLTS,
    "stroke_ma": _MILLIAMPERES,
    "tone_ma": _MILLIAMPERES,
    "telemetry_ma": _MILLIAMPERES,
    "memory_write_ma": _MILLIAMPERES,
    "processor_ma": _MILLIAMPERES,
    "tone_nc_per_ms": whole(0, 1_000_000),
    "telemetry_nc_per_byte": whole(0, 1_000_000),
    "reset_policy": one_of(*ResetPolicy),
    "crystal_ppm": whole(-100_000, 100_000),
    "hello_per_min": whole(1, U16_MAX),
    "hello_per_day": whole(1, U16_MAX),
    "gap_ms": whole(1, 60_000),
    "secured": YES_OR_NO,
    "model_number": whole(0, U16_MAX),
    "hardware_revision": whole(0, U16_MAX),
    "firmware_version": whole(0, U32_MAX),
    "serial": SERIAL,
}

IMPLANT_RULES: Final = {
    "drug_id": whole(1, U16_MAX),
    "concentration_ng_per_ml": whole(1, U32_MAX),
    "dose_ng_per_day": whole(1, U32_MAX),
    "filled_nl": _VOLUME,
    "implant_days_ago": whole(0, 36_600),
}

PATIENT_RULES: Final = {"id": STORED_TEXT, "notes": STORED_TEXT}

CATHETER_RULES: Final = {
    "model": STORED_TEXT,
    "length_mm": whole(1, 10_000),
    "trimmed_mm": whole(0, 10_000),
    "volume_nl_per_cm": whole(1, 1_000_000),
}
CATHETER_NL_PER_CM: Final = 2_200  # 0.53 mm bore [DOMAIN 1.4]

DRUG_RULES: Final = {
    "number": IMPLANT_RULES["drug_id"],
    "name": STORED_TEXT,
    "concentration_ng_per_ml": IMPLANT_RULES["concentration_ng_per_ml"],
}
DRUG_FIELDS: Final = {"number": "drug_id", "concentration_ng_per_ml": "concentration_ng_per_ml"}
"""What of a drug is a field of `Implant`; its name is a text of the pump."""

POLICY_RULES: Final = {
    name: MODEL_RULES[name]
    for name in (
        "empty_policy",
        "commit_mode",
        "reset_policy",
        "low_reservoir_alarm_nl",
        "bolus_max_nl",
        "hour_max_nl",
        "day_max_nl",
        "program_day_max_nl",
        "min_bolus_gap_s",
        "max_stop_s",
        "critical_interval_s",
        "noncritical_interval_s",
    )
}
"""What a clinic decides of a pump, all of it fields of `PumpModel`."""

COMPONENT_RULES: Final = dict.fromkeys(
    PARTS, Rule("the name of a kind", lambda value: isinstance(value, str), {"type": "string"})
)

KEY_RULES: Final = {
    "key_id": whole(1, U16_MAX - 1),  # 65535 means one's own
    "role": one_of(*(role.name.lower() for role in Role)),
    "key": KEY,
}

NOT_ABOVE: Final = (
    ("rate_min_nl_per_day", "rate_max_nl_per_day"),
    ("safe_rate_nl_per_day", "rate_max_nl_per_day"),
    ("stroke_nl", "bolus_max_nl"),
    ("bolus_max_nl", "hour_max_nl"),
    ("hour_max_nl", "day_max_nl"),
    ("bolus_max_nl", "reservoir_size_nl"),
    ("rate_min_nl_per_day", "program_day_max_nl"),
    ("hello_per_min", "hello_per_day"),
)
BELOW: Final = (
    ("residual_nl", "reservoir_size_nl"),
    ("low_reservoir_alarm_nl", "reservoir_size_nl"),
    ("battery_eos_mv", "battery_eri_mv"),
    ("battery_eri_mv", "battery_full_mv"),
    ("battery_reset_mv", "battery_eos_mv"),
)


def told_volume_nl(model: PumpModel, name: str) -> int:
    """What the pump is told that its tubing or its catheter holds."""
    return int(getattr(model, f"{name}_nl") + getattr(model, f"{name}_told_excess_nl"))


def contradiction(model: PumpModel, implant: Implant | None) -> str | None:
    """The first thing that two settings cannot both be, as "KEY must ..., is ..."; None if all agree."""
    for pairs, must, is_wrong in (
        (NOT_ABOVE, "not be above", operator.gt),
        (BELOW, "be below", operator.ge),
    ):
        for lower, upper in pairs:
            value, bound = getattr(model, lower), getattr(model, upper)
            if is_wrong(value, bound):
                return f"model.{lower} must {must} model.{upper} = {bound}, is {value}"
    for name in ("tubing", "catheter"):
        told_nl, most_nl = told_volume_nl(model, name), 10 * NL_PER_ML
        if not 0 <= told_nl <= most_nl:
            return (
                f"model.{name}_told_excess_nl must with model.{name}_nl be from 0 to {most_nl} nL, is "
                f"{told_nl} nL"
            )
    if implant is None:
        return None
    if implant.filled_nl > model.reservoir_size_nl:
        bound = model.reservoir_size_nl
        return (
            f"implant.filled_nl must not be above model.reservoir_size_nl = {bound}, is {implant.filled_nl}"
        )
    rate = implant.dose_ng_per_day * NL_PER_ML // implant.concentration_ng_per_ml
    least = model.rate_min_nl_per_day
    most = min(model.rate_max_nl_per_day, model.program_day_max_nl)
    if not least <= rate <= most:
        concentration = implant.concentration_ng_per_ml
        return (
            f"implant.dose_ng_per_day must give a rate from {least} to {most} nL/day at {concentration} ng/mL, "
            f"is {implant.dose_ng_per_day}, which gives {rate}"
        )
    return None


TABLES: Final = {
    "model": MODEL_RULES,
    "implant": IMPLANT_RULES,
    "patient": PATIENT_RULES,
    "catheter": CATHETER_RULES,
    "drug": DRUG_RULES,
    "policies": POLICY_RULES,
    "components": COMPONENT_RULES,
}
"""The tables of a profile file, each with its settings."""


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a profile file, for editors; it knows no rule that binds two settings."""
    properties = {
        name: {"description": f"must be {rule.expected}", **rule.schema} for name, rule in TOP_RULES.items()
    }
    for name, rules in TABLES.items():
        properties[name] |= _object(rules)
    properties["keys"]["items"] = {**_object(KEY_RULES), "required": list(KEY_RULES)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:pumpbench:profile:1",
        "title": "pumpbench profile",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def _object(rules: dict[str, Rule]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: {"description": f"must be {rule.expected}", **rule.schema} for name, rule in rules.items()
        },
        "additionalProperties": False,
    }
