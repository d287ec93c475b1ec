"""Splits the name of a field into words and a unit, which is the last part of the name."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (
    ("_nl_per_day", "nL/day"),
    ("_ng_per_day", "ng/day"),
    ("_ng_per_ml", "ng/mL"),
    ("_ppm_per_day", "ppm/day"),
    ("_milliohm_per_day", "milliohm/day"),
    ("_milliohm", "milliohm"),
    ("_millicelsius", "thousandths of a degree Celsius"),
    ("_minutes", "min"),
    ("_strokes", "strokes"),
    ("_bytes", "bytes"),
    ("_mohm", "mOhm"),
    ("_ppm", "ppm"),
    ("_nl", "nL"),
    ("_mv", "mV"),
    ("_ms", "ms"),
    ("_ua", "microampere"),
    ("_pa", "Pa"),
    ("_s", "s"),
)
"""Endings, a longer one before what it ends with: fields of the wire, of documents, and numbers that faults take."""


def bare_name_and_unit(field_name: str) -> tuple[str, str]:
    """`volume_nl` as ("volume", "nL"); the unit is "" where the name has none."""
    for suffix, unit in _UNITS:
        if field_name.endswith(suffix):
            return field_name.removesuffix(suffix).replace("_", " "), unit
    return field_name.replace("_", " "), ""
