"""Requirements and the tests that claim them: what `@verifies("ALM-012")` is read against.

The mark itself is `plugin`'s, since pytest is touched there alone.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Requirement:
    """One sentence that a pump or this harness has to keep, and where it comes from."""

    id: str
    sentence: str
    source: str


def read_requirements(path: Path) -> Mapping[str, Requirement]:
    """Requirements by id. The file has a table `[ID]` each, with `sentence` and `source`."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadConfiguration(f"the requirements {path} cannot be read ({error})") from error
    requirements = {}
    for name, entry in document.items():
        try:
            requirements[name] = Requirement(name, str(entry["sentence"]), str(entry["source"]))
        except (KeyError, TypeError) as error:
            raise BadConfiguration(f"requirement {name} in {path} needs a sentence and a source") from error
    return requirements


def unknown_claims(claims: Iterable[str], requirements: Mapping[str, Requirement]) -> tuple[str, ...]:
    """Claimed ids that no requirement has, in order."""
    return tuple(sorted({claim for claim in claims if claim not in requirements}))


def unclaimed(claims: Iterable[str], requirements: Mapping[str, Requirement]) -> tuple[str, ...]:
    """Requirements that no test claims, in order."""
    return tuple(sorted(set(requirements) - set(claims)))
