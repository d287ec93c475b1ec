"""Fixtures of the conformance suite alone; the others are the plugin's."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hil.capabilities import TargetCapability
from hil.errors import PumpbenchError
from hil.programmer.entropy import SeededEntropy, SystemEntropy
from hil.suite.raw_client import RawClient
from protocol.identifiers import Role, State
from protocol.link.development_keys import DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.messages.conversation import GetLinkStats

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_of_test import TestBench
    from hil.programmer.programmer import Programmer


# Unproven answers that these tests draw in their busiest minute; a pump that gives fewer falls silent in the middle.
STRANGERS_PER_MIN = 300


@pytest.fixture
def make_raw(pump_bench: TestBench, request: pytest.FixtureRequest) -> Iterator[Callable[..., RawClient]]:
    """Clients that frame by hand: `make_raw(role=..., key=..., connect=...)`, all on the test's line.

    They behave like strangers, to whom a pump answers only so often [SPEC 4, H5]. A pump that is not made anew for
    each test must therefore have patience; the default profile's would end in silence after a few tests.
    """
    anew = TargetCapability.RESET in pump_bench.target.capabilities
    if not anew:
        with pump_bench.aside("how patient it is"), pump_bench.open_programmer() as pump:
            patience = pump.limits().hello_per_min
        if patience < STRANGERS_PER_MIN:
            pytest.skip(
                f"{pump_bench.target.address} answers strangers {patience} times a minute: "
                f"a profile with hello_per_min of {STRANGERS_PER_MIN} or more is needed"
            )
    made = 0

    def make(role: Role = Role.CLINICIAN, *, key: DeviceKey | None = None, connect: bool = True) -> RawClient:
        nonlocal made
        made += 1
        entropy = SeededEntropy(f"{request.node.nodeid} raw {made}") if anew else SystemEntropy()
        client = RawClient(pump_bench.channel, key or development_key(role), entropy)
        if connect:
            client.connect()
        return client

    yield make
    if not anew:  # a good proof ends a key's back-off, and the highest rank ends whatever session is open
        with pump_bench.aside("its back-off and its session are ended"):
            for key in sorted(DEVELOPMENT_KEYS, key=lambda each: each.role is Role.CLINICIAN):
                if key.role is not Role.CLINICIAN:
                    pump_bench.open_programmer(Role.CLINICIAN).end_session()
                pump_bench.open_programmer(key.role).end_session()


@pytest.fixture
def raw(make_raw: Callable[..., RawClient]) -> RawClient:
    """A clinician that frames by hand, its session open, and the pump's link counters at 0."""
    client = make_raw()
    client.say(GetLinkStats(clear=True))
    return client


@pytest.fixture
def running(pump: Programmer, pump_bench: TestBench) -> Iterator[Programmer]:
    """A clinician's programmer of a pump that runs without a bolus; skipped where it does not.

    A pump that is not made anew for the next test runs again after a test that has stopped it.
    """
    status = pump.status()
    if status.state is not State.RUN:
        pytest.skip(f"needs a pump that runs; this one is in {status.state.name}")
    if status.bolus_cmd_id:
        pytest.skip(
            f"needs a pump without a bolus; in this one the bolus of command {status.bolus_cmd_id} is active"
        )
    yield pump
    if TargetCapability.RESET not in pump_bench.target.capabilities:
        with suppress(PumpbenchError):  # what ails it fails the test that needs it
            if pump.status().state is State.STOP:
                pump.resume()
