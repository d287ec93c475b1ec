"""Which pump an emulator target makes: a profile, a seed, an image. Targets that are already there ignore it."""

from __future__ import annotations

import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SEED_MAX = (1 << 63) - 1  # as of `pumpbench emulate --seed`


@dataclass(frozen=True, slots=True)
class PumpChoice:
    """The pump that is wanted.

    `profile` is a name or the path of a profile file; `model` and `implant` are fields of it that differ;
    `image` is a file that outlives the emulator; `memory_id` is the identity of a new memory, without which the
    emulator in this process takes the seed's, and any other one by chance; `baud` is of device paths alone.
    """

    profile: str = "implanted"
    seed: int | None = None
    image: str | None = None
    baud: int | None = None
    memory_id: int | None = None
    time_mode: str = "manual"
    model: Mapping[str, int | str | bool] = field(default_factory=dict)
    implant: Mapping[str, int | str | bool] = field(default_factory=dict)


def whole_number(text: str) -> int:
    """The number that ASCII digits name, with a minus before them where it has one; ValueError says what to write."""
    if not re.fullmatch("-?[0-9]{1,40}", text):
        raise ValueError(f"{text[:40]!r} is no whole number: write digits, as 25")
    return int(text)


def check_seed(choice: PumpChoice) -> None:
    """BadConfiguration where no pump takes the seed."""
    if choice.seed is not None and not 0 <= choice.seed <= SEED_MAX:
        raise BadConfiguration(f"a seed must be a whole number from 0 to {SEED_MAX}, is {choice.seed}")


@contextmanager
def profile_argument(choice: PumpChoice) -> Iterator[str]:
    """What names the profile to an emulator: its name, or a profile file that lives as long as this context."""
    if not choice.model and not choice.implant:
        yield choice.profile
        return
    with tempfile.TemporaryDirectory(prefix="pumpbench-") as directory:
        path = Path(directory) / "profile.toml"
        path.write_text(profile_text(choice), "utf-8")
        yield str(path)


def profile_text(choice: PumpChoice) -> str:
    """A profile file that says only what differs."""
    lines = [f"based_on = {json.dumps(choice.profile)}"]
    for title, fields in (("model", choice.model), ("implant", choice.implant)):
        if fields:
            lines += ["", f"[{title}]", *(f"{name} = {json.dumps(value)}" for name, value in fields.items())]
    return "\n".join(lines) + "\n"
