"""The manifest of a report: the SHA-256 of each of its files, so that one that was changed, lost or added is found."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from hil.errors import BadConfiguration
from hil.report.documents import MANIFEST_SCHEMA
from hil.report.records import MANIFEST_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from hil.report.documents import ManifestDocument

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Findings(NamedTuple):
    """How a directory differs from its manifest; `sha256` is that of the manifest, for who keeps it elsewhere."""

    changed: list[str]
    missing: list[str]
    added: list[str]
    files: list[str]
    sha256: str

    def sentences(self) -> list[str]:
        """One for each file that is not as it was written."""
        return [f"{name} was {how}" for how in ("changed", "missing", "added") for name in getattr(self, how)]


def sha256_of(name: str, directory: int | None = None) -> str:
    """The hash of a file in hex, read in pieces; OSError where it cannot be read, also where it is a link."""
    with os.fdopen(os.open(name, _OPEN, dir_fd=directory), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_of(hashes: dict[str, str], beside: list[str]) -> str:
    """The document; `beside` names what lay in the directory and is no part of the report."""
    document: ManifestDocument = {"schema": MANIFEST_SCHEMA, "files": hashes, "beside": sorted(beside)}
    return json.dumps(document, indent=2) + "\n"


def verify(directory: Path) -> Findings:
    """Compare a directory with its manifest; BadConfiguration where it has none that can be read."""
    path = directory / MANIFEST_NAME
    try:
        content = path.read_bytes()
        document: Any = json.loads(content)
        files, beside = document["files"], document["beside"]
        is_ours = document["schema"] == MANIFEST_SCHEMA and _are_names(files, beside)
        there = sorted(each.name for each in directory.iterdir())
    except FileNotFoundError as error:
        raise BadConfiguration(
            f"{directory} has no {MANIFEST_NAME}: it is no report, or INCOMPLETE: its run has not ended, was killed, "
            "or could not write all of it",
            advice="name the directory of a run that has ended",
        ) from error
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise BadConfiguration(f"{path} is no manifest of a report: it has no {error}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadConfiguration(f"{path} is no manifest of a report ({error})") from error
    if not is_ours:
        raise BadConfiguration(f"{path} is no manifest of a report that this version knows")
    changed = [name for name in files if name in there and not _is_same(directory / name, files[name])]
    return Findings(
        changed,
        [name for name in files if name not in there],
        [name for name in there if name not in {*files, *beside, MANIFEST_NAME}],
        list(files),
        hashlib.sha256(content).hexdigest(),
    )


def _are_names(files: object, beside: object) -> bool:
    """True of the types that a manifest has, and of names that lead nowhere else."""
    if not (isinstance(files, dict) and files and isinstance(beside, list)):
        return False
    texts = [*files, *files.values(), *beside]
    return all(isinstance(each, str) for each in texts) and not any("/" in each for each in files)


def _is_same(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(str(path)) == sha256
    except (OSError, ValueError):
        return False
