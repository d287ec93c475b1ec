"""A golden session: a recording that shall come out the same again, with its rules and where it comes from [README.md].

Three files side by side: NAME.session.toml, NAME.pcapng and NAME.rules.toml.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.capture.messages import FrameState, RecordedMessage, read_messages
from hil.capture.recording_file import open_new
from hil.comparison.rules_file import read_rules, read_text, toml_of
from hil.errors import BadConfiguration
from protocol.capture.line_time import VirtualTime
from protocol.capture.pcapng import Damage
from protocol.capture.recording import Beginning
from protocol.identifiers import Kind
from protocol.wire.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hil.comparison.rules import Rules
    from protocol.link.development_keys import DeviceKey

SESSION_SUFFIX: Final = ".session.toml"
RECORDING_SUFFIX: Final = ".pcapng"
RULES_SUFFIX: Final = ".rules.toml"
FORMAT: Final = 1
LONGEST_FILE: Final = 100_000  # bytes, of NAME.session.toml
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHUNK: Final = 1 << 20
NO_RULES: Final = """\
# Rules of this session, beside those of the declarations. `pumpbench hil adopt FILE --learn OTHER` proposes some.
"""


class GoldenSession(NamedTuple):
    """A golden session on file, whole: its recording is the one that was adopted."""

    name: str
    recording: Path
    rules: Rules


class Contents(NamedTuple):
    """What was found in a recording that is to be adopted."""

    requests: int
    messages: int
    first_ns: int | None
    beginnings: list[Beginning]


def read_golden(path: Path) -> GoldenSession:
    """The golden session of a file NAME.session.toml. BadConfiguration where one of its files is not as it was."""
    document = toml_of(read_text(path, LONGEST_FILE), str(path))
    if document.get("format") != FORMAT:
        raise BadConfiguration(f"{path} has format {document.get('format')!r}, and {FORMAT} is read here")
    files = {key: _beside(path, document, key) for key in ("recording", "rules")}
    expected = document.get("sha256")
    found = _sha256(files["recording"])
    if found != expected:
        raise BadConfiguration(
            f"{files['recording']} is not the recording that was adopted: its SHA-256 is {found}, and {path} says "
            f"{expected!r}",
            advice="take it out of version control anew, or adopt the recording that is meant",
        )
    return GoldenSession(
        path.name.removesuffix(SESSION_SUFFIX), files["recording"], read_rules(files["rules"])
    )


def _beside(path: Path, document: dict[str, Any], key: str) -> Path:
    name = document.get(key)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadConfiguration(f"{path} has {name!r} as its {key}", advice="name a file beside it")
    return path.with_name(name)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror})", advice="look for it") from error
    return digest.hexdigest()


def adopt(
    recording: Path,
    directory: Path,
    *,
    name: str | None = None,
    rules_path: Path | None = None,
    keys: Iterable[DeviceKey] = (),
    version: str,
    now_s: int,
) -> Path:
    """Make a golden session of a recording; returns the path of its NAME.session.toml.

    `name` is that of the recording where it is None; `now_s` is seconds since 1970 UTC. BadConfiguration where the
    recording is damaged, has frames that no key opens, or nothing that could be asked again, and where a file is there.
    """
    name = recording.name.removesuffix(RECORDING_SUFFIX) if name is None else name
    if not _NAME.fullmatch(name):
        raise BadConfiguration(f"{name!r} is no name for a session", advice="use letters, digits, . _ and -")
    if rules_path is not None:
        read_rules(rules_path)
    contents = contents_of(recording, keys)
    try:
        rules = NO_RULES if rules_path is None else rules_path.read_text("utf-8")
        directory.mkdir(parents=True, exist_ok=True)
        content = recording.read_bytes()
        told = _session_text(name, recording, contents, hashlib.sha256(content).hexdigest(), version, now_s)
        session = directory / f"{name}{SESSION_SUFFIX}"
        files = {
            directory / f"{name}{RECORDING_SUFFIX}": content,
            directory / f"{name}{RULES_SUFFIX}": rules.encode(),
            session: told.encode(),
        }
        _write_all(files)
    except OSError as error:
        raise BadConfiguration(
            f"the session {name} cannot be written to {directory} ({error.strerror})",
            advice="name another place",
        ) from error
    return session


def _write_all(files: dict[Path, bytes]) -> None:
    """Write new files, the last of which makes a session of them; none is left where one is there already."""
    made: list[Path] = []
    try:
        for path, content in files.items():
            kept = open_new(path)
            made.append(path)
            kept.close()
            path.write_bytes(content)
    except OSError:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def contents_of(recording: Path, keys: Iterable[DeviceKey]) -> Contents:
    """What a recording holds; BadConfiguration where it could not be held against another one in whole."""
    requests, messages, first_ns = 0, 0, None
    beginnings: list[Beginning] = []
    for entry in read_messages(recording, keys):
        if isinstance(entry, Damage):
            raise BadConfiguration(f"{recording} is damaged: {entry.what}", advice="adopt one that is whole")
        if isinstance(entry, Beginning):
            beginnings.append(entry)
        elif isinstance(entry, RecordedMessage):
            if entry.state is FrameState.SEALED:
                raise BadConfiguration(
                    f"packet {entry.number} of {recording} is sealed, and no key opens it",
                    advice="record with the keys of its sessions, or give the device's by --key",
                )
            first_ns = entry.passed.time_ns if first_ns is None else first_ns
            messages += isinstance(entry.frame, Frame)
            requests += isinstance(entry.frame, Frame) and entry.frame.kind is Kind.REQUEST
    if not requests:
        raise BadConfiguration(f"{recording} has no request that could be asked again")
    return Contents(requests, messages, first_ns, beginnings)


def _session_text(
    name: str, recording: Path, contents: Contents, sha256: str, version: str, now_s: int
) -> str:
    provenance: dict[str, str | int] = {
        "adopted_from": os.fspath(recording),
        "adopted_at": _utc(now_s),
        "adopted_by": f"pumpbench {version}",
        "requests": contents.requests,
        "messages": contents.messages,
    }
    is_virtual = any(each.told.get("time") == VirtualTime.told["time"] for each in contents.beginnings)
    if contents.first_ns is not None and not is_virtual:  # whose time begins in 1970
        provenance["recorded_at"] = _utc(contents.first_ns // 10**9)
    lines = [
        "# A golden session of pumpbench: pytest plays its requests at a target and compares what is answered.",
        f"format = {FORMAT}",
        f"recording = {_quoted(name + RECORDING_SUFFIX)}",
        f"sha256 = {_quoted(sha256)}",
        f"rules = {_quoted(name + RULES_SUFFIX)}",
        *("", "[provenance]"),
        *(
            f"{key} = {value if isinstance(value, int) else _quoted(value)}"
            for key, value in provenance.items()
        ),
    ]
    for each in contents.beginnings:
        lines += ["", "[[provenance.recorder]]", f"application = {_quoted(each.application)}"]
        if each.told:
            told = ", ".join(f"{_quoted(key)} = {_quoted(value)}" for key, value in each.told.items())
            lines.append(f"told = {{ {told} }}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A text as a basic string of TOML, where a file may be named in bytes that are no characters."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007F")


def _utc(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
