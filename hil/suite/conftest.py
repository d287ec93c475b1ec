"""Fixtures of the conformance suite alone; the others are the plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.capabilities import TargetCapability
from hil.programmer import SeededEntropy, SystemEntropy
from hil.suite.raw_client import RawClient
from protocol.commands import GetLinkStats
from protocol.development_keys import DeviceKey, development_key
from protocol.identifiers import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_session import TestBench
    from hil.programmer import Programmer


@pytest.fixture
def make_raw(test_bench: TestBench, request: pytest.FixtureRequest) -> Callable[..., RawClient]:
    """Clients that frame by hand: `make_raw(role=..., key=..., connect=...)`, all on the test's line."""
    virtual = TargetCapability.RESET in test_bench.target.capabilities
    made = 0

    def make(role: Role = Role.CLINICIAN, *, key: DeviceKey | None = None, connect: bool = True) -> RawClient:
        nonlocal made
        made += 1
        entropy = SeededEntropy(f"{request.node.nodeid} raw {made}") if virtual else SystemEntropy()
        client = RawClient(test_bench.channel, key or development_key(role), entropy)
        if connect:
            client.connect()
        return client

    return make


@pytest.fixture
def raw(make_raw: Callable[..., RawClient]) -> RawClient:
    """A clinician that frames by hand, its session open, and the pump's link counters at 0."""
    client = make_raw()
    client.say(GetLinkStats(clear=True))
    return client


@pytest.fixture
def running(pump: Programmer) -> Programmer:
    """A clinician's programmer of a pump that runs without a bolus; skipped where it does not."""
    status = pump.status()
    if status.state is not State.RUN or status.bolus_cmd_id:
        pytest.skip(f"needs a pump that runs, without a bolus; this one is in {status.state.name}")
    return pump
