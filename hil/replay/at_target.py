"""A recording at a target: the player for it, with the keys, the pace and the state files that this target wants."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hil.capabilities import TargetCapability
from hil.errors import BadConfiguration
from hil.outcome_store import OutcomeStore, default_path
from hil.programmer.entropy import SystemEntropy
from hil.replay.filing import Filing
from hil.replay.pace import NS_PER_MS, LinePace, PumpPace
from hil.replay.programmer import Player
from protocol.identifiers import Role
from protocol.link.development_keys import development_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from hil.channel import Channel
    from hil.comparison.rules import Rules
    from hil.replay.conversation import Conversation, Greeting
    from hil.replay.timing import Timing
    from hil.targets.target import Target
    from protocol.link.development_keys import DeviceKey


def player_at(
    target: Target,
    channel: Channel,
    conversation: Conversation,
    *,
    timing: Timing,
    keys: Sequence[DeviceKey] = (),
    lives_on: bool,
    closing: ExitStack,
    rules: Rules | None = None,
) -> Player:
    """A player of this conversation at a target that is started, on its channel.

    A clock that can be turned is turned to the recorded times; else the line waits for them. `keys` go before those of
    development. Where the device `lives_on` after this run, commands are filed as of `pumpbench program`; `closing`
    closes those files. `rules` say which answers are the same.
    """
    pace = (
        PumpPace(timing, target.rig)
        if TargetCapability.TIME in target.capabilities
        else LinePace(timing, conversation.first_ns)
    )
    player = Player(
        conversation,
        channel,
        key_of=_key_of(keys),
        entropy=SystemEntropy(),
        pace=pace,
        now_ns=_clock_of(target, channel),
        filing=Filing(_store_of, closing) if lives_on else None,
        rules=rules,
    )
    player.expected_pump = getattr(target, "expected_pump", None)
    return player


def _key_of(keys: Sequence[DeviceKey]) -> Callable[[Greeting | None], DeviceKey]:
    """The key for a recorded session: of `keys` the one with its id, else the one of its role, else development's.

    BadConfiguration where there are several of the role and none with the id.
    """

    def key_of(greeting: Greeting | None) -> DeviceKey:
        role = Role.CLINICIAN if greeting is None or greeting.role is None else greeting.role
        of_role = [key for key in keys if key.role is role]
        same = [key for key in of_role if greeting is not None and key.key_id == greeting.hello.key_id]
        if len(of_role) > 1 and not same:
            raise BadConfiguration(
                f"there are {len(of_role)} keys of the role {role.name.lower()}, and the recording has another",
                advice="put the one that is meant into a file of its own, and name that",
            )
        return next(iter([*same, *of_role]), development_key(role))

    return key_of


def _store_of(key: DeviceKey) -> OutcomeStore:
    return OutcomeStore(default_path(key.key_id, key.key), key=key.key)


def _clock_of(target: Target, channel: Channel) -> Callable[[], int]:
    """The time of what passes, in ns: the pump's where it lives in this process, else the host's."""
    if getattr(target, "has_virtual_time", False):
        return lambda: channel.now_ms() * NS_PER_MS
    return time.monotonic_ns
