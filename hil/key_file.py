"""Reads a programmer's key from a file that only its owner can read, and never shows it.

JSON: one object {key_id, role, key} with 32 hex digits, or a list of them as a running emulator writes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import TYPE_CHECKING, Any

from hil.errors import BadConfiguration, LacksKey
from protocol.identifiers import Role
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey
from protocol.wire.limits import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

OTHERS = 0o077
KEY_ID_MAX = 0xFFFE  # FFFF means one's own [SPEC 6]
FILE_BYTES_MAX = 65_536


def read_key(path: Path, role: Role | None = None) -> DeviceKey:
    """The key in a file; of several, the one of this role (a clinician's if none is named).

    BadConfiguration where it has none, or more than one: nobody has said which.
    """
    keys = read_keys(path)
    if len(keys) == 1 and role is None:
        return keys[0]
    wanted = Role.CLINICIAN if role is None else role
    found = [key for key in keys if key.role is wanted]
    if len(found) > 1:
        ids = " and ".join(str(key.key_id) for key in found)
        raise BadConfiguration(
            f"the key file {path} has {len(found)} keys of the role {wanted.name.lower()}, with the ids {ids}",
            advice="put the one that is meant into a file of its own, and name that",
        )
    if not found:
        raise BadConfiguration(
            f"the key file {path} has no key of the role {wanted.name.lower()}", advice="name another role"
        )
    return found[0]


def key_of_bench(path: Path, role: Role) -> DeviceKey:
    """The key of a role in the key file of a bench. LacksKey where it has none, more than one, or cannot be read."""
    try:
        return read_key(path, role)
    except BadConfiguration as error:
        raise LacksKey(error.message, advice="see key_file of the bench file") from error


def read_keys(path: Path) -> list[DeviceKey]:
    """All keys in a file. BadConfiguration where it cannot be read, or is open to others."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadConfiguration(f"the key file {path} is no regular file", advice="check --key")
        if mode & OTHERS:
            raise BadConfiguration(
                f"the key file {path} can be read by others", advice=f"run chmod 600 {path}"
            )
        with path.open("rb") as stream:
            document = json.loads(stream.read(FILE_BYTES_MAX))
    except OSError as error:
        raise BadConfiguration(
            f"the key file {path} cannot be read ({error.strerror})", advice="check --key"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(f"the key file {path} is no JSON", advice="check --key") from error
    rows = document if isinstance(document, list) else [document]
    keys = [_key(row, path) for row in rows]
    by_id: dict[int, DeviceKey] = {}
    for key in keys:
        if by_id.setdefault(key.key_id, key) != key:
            raise BadConfiguration(
                f"the key file {path} has several keys with the key_id {key.key_id}, and one device has one",
                advice="keep the keys of each device in a file of its own",
            )
    return keys


def key_finder(keys: Iterable[DeviceKey]) -> Callable[[int], bytes | None]:
    """A function that has the key of a key_id, of these or else of development; None where it knows none."""
    by_id = {key.key_id: key.key for key in reversed([*keys, *DEVELOPMENT_KEYS])}
    return by_id.get


@contextlib.contextmanager
def written_key(path: Path, key: DeviceKey, *, gone_after: type[Exception]) -> Iterator[None]:
    """A new key file, on the disk before the block pairs its key, which nobody could find again otherwise.

    It goes again where the block ends with this exception, which says for certain that the key was not paired.
    BadConfiguration where there is a file already, or none can be written.
    """
    text = json.dumps({"key_id": key.key_id, "role": key.role.name.lower(), "key": key.key.hex()})
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as error:
        raise BadConfiguration(
            f"the key file {path} is there already, and would be replaced", advice="name another file"
        ) from error
    except OSError as error:
        raise BadConfiguration(
            f"the key file {path} cannot be written ({error.strerror})",
            advice="name a place where you may write",
        ) from error
    try:
        yield
    except gone_after:
        path.unlink(missing_ok=True)
        raise


def _key(row: Any, path: Path) -> DeviceKey:
    try:
        key_id, role, key = row["key_id"], Role[str(row["role"]).upper()], bytes.fromhex(row["key"])
    except (KeyError, TypeError, ValueError):
        raise BadConfiguration(
            f"the key file {path} needs objects of key_id, role and key (32 hex digits)", advice="check --key"
        ) from None  # the cause could show the key
    if len(key) != KEY_BYTES or type(key_id) is not int or not 0 <= key_id <= KEY_ID_MAX:
        raise BadConfiguration(f"the key file {path} has a key or key_id out of range", advice="check --key")
    return DeviceKey(key_id, role, key, 0, development=any(key == known.key for known in DEVELOPMENT_KEYS))
