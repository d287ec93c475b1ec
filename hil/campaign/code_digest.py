"""Which code plays: a hash of our own files, so that lives of two codes are never taken for one result."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any, Final

CODE: Final = ("protocol", "firmware_emu", "hil")
"""What a life depends on."""


def code_digest() -> str:
    """SHA-256, in hex, of our Python files: nobody lists well which of them decide how a life goes."""
    digest = hashlib.sha256()
    for package in CODE:
        _hash_files(resources.files(package), digest)
    return digest.hexdigest()


def _hash_files(place: Any, digest: Any) -> None:
    for each in sorted(place.iterdir(), key=lambda found: str(found.name)):
        if each.is_dir():
            _hash_files(each, digest)
        elif each.name.endswith(".py"):
            digest.update(each.name.encode() + b"\0" + each.read_bytes())
