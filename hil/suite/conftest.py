"""Fixtures of the conformance suite alone; the others are the plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.capabilities import TargetCapability
from hil.programmer import SeededEntropy, SystemEntropy
from hil.suite.raw_client import RawClient
from hil.suite.stranger_budget import StrangerBudget
from protocol.commands import GetLinkStats
from protocol.development_keys import DEVELOPMENT_KEYS, DeviceKey, development_key
from protocol.identifiers import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hil.bench_session import TestBench
    from hil.programmer import Programmer


@pytest.fixture(scope="session")
def stranger_budget() -> StrangerBudget:
    """What the tests of this run have used up of the pump's patience with strangers."""
    return StrangerBudget()


@pytest.fixture
def make_raw(
    test_bench: TestBench, request: pytest.FixtureRequest, stranger_budget: StrangerBudget
) -> Iterator[Callable[..., RawClient]]:
    """Clients that frame by hand: `make_raw(role=..., key=..., connect=...)`, all on the test's line."""
    anew = TargetCapability.RESET in test_bench.target.capabilities
    budget = StrangerBudget() if anew else stranger_budget
    made = 0

    def make(role: Role = Role.CLINICIAN, *, key: DeviceKey | None = None, connect: bool = True) -> RawClient:
        nonlocal made
        made += 1
        entropy = SeededEntropy(f"{request.node.nodeid} raw {made}") if anew else SystemEntropy()
        client = RawClient(test_bench.channel, key or development_key(role), entropy, budget)
        if connect:
            client.connect()
        return client

    if not anew and budget.per_minute is None:
        with test_bench.open_programmer() as pump:
            budget.per_minute = pump.limits().hello_per_min
    yield make
    if not anew:
        for key in DEVELOPMENT_KEYS:
            if key.key_id in budget.failed_key_ids:  # a good proof ends its back-off
                test_bench.open_programmer(key.role).end_session()
                budget.failed_key_ids.discard(key.key_id)
        test_bench.open_programmer(Role.CLINICIAN).end_session()  # the highest rank ends whatever is open


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
