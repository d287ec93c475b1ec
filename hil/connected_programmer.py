"""A programmer on the pump of an address, with its session open: what a script and the command line begin with."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path, PurePath
from types import NoneType
from typing import TYPE_CHECKING

from hil import address as addresses
from hil.errors import UsageError
from hil.key_file import read_key
from hil.outcome_store import OutcomeStore, default_path
from hil.own_paths import path_of
from hil.programmer.programmer import Programmer
from hil.targets import make_target
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey, development_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import NoReturn

    from hil.bench_file import BenchTarget
    from hil.targets.target import Target
    from hil.wire_log import WireEntry, WireLog

CONNECTED: Counter[str] = Counter()
"""How often this process has connected to each pump that outlives a programmer."""


class NotEntered(UsageError, AttributeError):
    """A pump was asked for something before `with` had opened the connection; an AttributeError for `hasattr`."""


class Connection(AbstractContextManager["Programmer"]):
    """A connection that `with` opens and closes: `with hil.connect(...) as pump:`. It is itself no pump."""

    def __init__(self, opening: AbstractContextManager[Programmer]) -> None:
        self._opening = opening

    def __enter__(self) -> Programmer:
        """The programmer, with its session open."""
        return self._opening.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Give session, line and state file back."""
        return self._opening.__exit__(kind, error, trace)

    if not TYPE_CHECKING:  # a type checker says by itself that there is no such attribute

        def __getattr__(self, name: str) -> NoReturn:
            """NotEntered: nothing can be asked of what is no pump."""
            raise NotEntered(
                f"hil.connect(...) has no {name}: it is a connection that is opened by `with`, and no pump",
                advice=f"write `with hil.connect(...) as pump:`, and below it `pump.{name}`",
            )


def connect(
    address: str | None = None,
    *,
    key: DeviceKey | str | Path | None = None,
    role: Role | str | None = None,
    state: bool | str | Path | None = True,
    secured: bool = True,
    watch: Callable[[WireEntry], None] | None = None,
) -> Connection:
    """A `Programmer` with its session open, for `with`; session, line and state file are given back at its end.

    `address`: as of `pumpbench program --target`; else $PUMPBENCH_TARGET, else `emulator`, a new pump in this process.

    `key`: a key, or the path of a key file; else the key file of the bench file (of `bench:NAME`), else the development
    key of `role`, or of a clinician. Of a file with several keys `role` names one. A role is a `Role`, or its name as
    the command line has it.

    `state`: True keeps command ids and outcomes in the state file that `pumpbench program` has for this key, unless the
    pump ends with this programmer; a path names another file. False or None keeps them in memory alone: a script that
    ends before it knows the outcome of a bolus, and gives it again, may then give it twice. What was found out of
    earlier commands stands in `found_out` and `notices` of the programmer. Where one was received after all, the next
    command that changes therapy is refused once, with DeviceError, unless it was taken out of `found_out`.

    `secured=False` talks to a board without cryptography. `watch` is told of each frame (`hil.wire_log.line_of`); what
    it raises comes out of the call under way, as Ctrl-C would, and it is told of no more: a STOP must get through.

    UsageError for an argument of a wrong type, BadConfiguration for a wrong address, key or state file, InUse where
    another programmer has port, session or key: each from `with`. Whatever is asked of what this returns is refused.
    """
    return Connection(_connected(address, key=key, role=role, state=state, secured=secured, watch=watch))


@contextmanager
def _connected(
    address: str | None,
    *,
    key: DeviceKey | str | Path | None,
    role: Role | str | None,
    state: bool | str | Path | None,
    secured: bool,
    watch: Callable[[WireEntry], None] | None,
) -> Iterator[Programmer]:
    _check("address", address, "the address of a pump as text, or None", str, NoneType)
    _check("key", key, "a DeviceKey, the path of a key file, or None", DeviceKey, str, PurePath, NoneType)
    _check("state", state, "True, False, None or the path of a state file", bool, str, PurePath, NoneType)
    _check("secured", secured, "True or False", bool)
    if watch is not None and not callable(watch):
        raise UsageError(f"watch is {watch!r}, and a function or None is expected")
    place = addresses.choose(address, os.environ.get(addresses.ENVIRONMENT_NAME), None)
    target = make_target(place)
    own_key = _key_of(_named_key(key, target), _role_of(role))
    if isinstance(state, bool) or state is None:
        path = default_path(own_key.key_id, own_key.key) if state and place.scheme.lives_on else None
    else:
        path = path_of(state, "--state")
    store = OutcomeStore(path, key=own_key.key)
    with ExitStack() as stack:
        stack.enter_context(closing(target))
        target.start()
        CONNECTED[place.text] += place.scheme.lives_on
        channel = stack.enter_context(closing(target.open_channel()))
        expected = getattr(target, "expected_pump", None)
        programmer = Programmer(channel, key=own_key, store=store, secured=secured, expected_pump=expected)
        if hasattr(target, "tell_of_misses"):  # a replay
            target.tell_of_misses = programmer.notices.append
        if watch is not None:
            programmer.wire_log.watch = _until_it_fails(watch, programmer.wire_log)
        stack.enter_context(closing(programmer)).connect()
        opened_by = os.getpid()
        try:
            yield programmer
        finally:
            if os.getpid() != opened_by:
                stack.pop_all()  # of a fork: line, pump and state file are its parent's to close


def _check(name: str, value: object, expected: str, *kinds: type) -> None:
    if not isinstance(value, kinds):
        raise UsageError(f"{name} is {value!r}, and {expected} is expected")


def _role_of(role: Role | str | None) -> Role | None:
    if role is None or isinstance(role, Role):
        return role
    names = {each.name.lower(): each for each in Role}
    if not isinstance(role, str) or role.lower() not in names:
        raise UsageError(f"role is {role!r}, and a Role, None or one of {', '.join(names)} is expected")
    return names[role.lower()]


def _until_it_fails(watch: Callable[[WireEntry], None], log: WireLog) -> Callable[[WireEntry], None]:
    def tell(entry: WireEntry) -> None:
        try:
            watch(entry)
        except BaseException:
            log.watch = None
            raise

    return tell


def _named_key(key: DeviceKey | str | Path | None, target: Target) -> DeviceKey | str | Path | None:
    """The key that was named, else the key file of the board in the bench file; None where neither is."""
    bench: BenchTarget | None = getattr(target, "in_bench_file", None)
    return key if key is not None or bench is None else bench.key_file


def _key_of(key: DeviceKey | str | Path | None, role: Role | None) -> DeviceKey:
    if key is None:
        return development_key(Role.CLINICIAN if role is None else role)
    if not isinstance(key, DeviceKey):
        return read_key(path_of(key, "--key"), role)
    if role not in {None, key.role}:
        raise UsageError(f"the key is {key.role.name.lower()}'s, and another role is asked for")
    return key
