"""A profile as the text of a file: whole, with every value that it has, so that it can be kept, changed and compared.

Device keys are never in it; which there are is said in a comment.
"""

from __future__ import annotations

import json
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

from firmware_emu.bench.profile_file import WALL_EPOCH
from firmware_emu.bench.profile_rules import IMPLANT_RULES, MODEL_RULES
from protocol.identifiers import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.profile import PairedKey, Profile

TEXT_SETTINGS: Final = {
    "patient": {"id": "patient_id", "notes": "notes"},
    "catheter": {"model": "catheter_model"},
    "drug": {"name": "drug_name"},
}
"""Tables of texts, each setting with its field of `Texts`."""


def profile_text(profile: Profile) -> str:
    """The profile as a file that means the same, but for its keys."""
    return "\n".join(_lines(profile)) + "\n"


def _lines(profile: Profile) -> Iterator[str]:
    yield f"name = {_value(profile.name)}"
    at_work = profile.implant is not None and profile.wall_at_start_s is not None
    yield f'based_on = "{"implanted" if at_work else "factory"}"'
    if profile.wall_at_start_s is not None:
        zone = timezone(timedelta(minutes=profile.tz_minutes))
        yield f"wall_clock = {(WALL_EPOCH + timedelta(seconds=profile.wall_at_start_s)).astimezone(zone).isoformat()}"
    if profile.vendor_messages:
        yield f"vendor_messages = {json.dumps(profile.vendor_messages)}"
    yield from _keys(profile.keys)
    yield from _table("model", {name: getattr(profile.model, name) for name in MODEL_RULES})
    if profile.implant is not None:
        yield from _table("implant", {name: getattr(profile.implant, name) for name in IMPLANT_RULES})
    for table, settings in TEXT_SETTINGS.items():
        said = {name: getattr(profile.texts, field) for name, field in settings.items()}
        yield from _table(table, {name: text for name, text in said.items() if text})
    yield from _table("components", dict(profile.model.components))


def _keys(keys: tuple[PairedKey, ...]) -> Iterator[str]:
    known = ", ".join(f"{key.key_id} {Role(key.role).name.lower()}" for key in keys)
    what = "the published development keys" if all(key.development for key in keys) else "keys of its own"
    yield f"# Knows {what}: {known or 'none'}; they are not shown, and a copy needs its own [[keys]]."


def _table(name: str, settings: dict[str, object]) -> Iterator[str]:
    if settings:
        yield ""
        yield f"[{name}]"
        for setting, value in settings.items():
            yield f"{setting} = {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(str(value), ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else f"{value:_}"
