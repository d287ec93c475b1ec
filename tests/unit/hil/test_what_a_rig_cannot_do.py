"""What no rig can do is refused alike by the one in this process and the one over HTTP, and moves nothing."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from hil.errors import UsageError
from hil.rig import Rig
from hil.rig_client import RigClient
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.process import ProcessTarget

WRONG: list[tuple[str, Callable[[Any], object]]] = [
    *(
        (f"advance {value!r}", lambda rig, v=value: rig.advance(v))
        for value in (1.5, True, -1, "5", Decimal(5))
    ),
    *((f"run {value!r}", lambda rig, v=value: rig.run_until("event", v)) for value in (1.5, True, -1, b"5")),
    ("run until nothing", lambda rig: rig.run_until(None, 1)),
    *(
        (f"run until {said!r}", lambda rig, s=said: rig.run_until(*s[0], **s[1]))
        for said in (
            (("event", 1), {"name": "BOOTS"}),
            (("event", 1), {"count": 0}),
            (("event", 1), {"nmae": "BOOT"}),
            (("alarm", 1), {"name": 5}),
            (("truth", 1), {"field": "edges", "operator": "<", "value": 1.5}),
            (("truth", 1), {"field": "edges", "operator": "<", "value": "5"}),
            (("belief", 1), {"field": "state", "operator": "==", "value": "RUNN"}),
        )
    ),
    *((f"trace {value!r}", lambda rig, v=value: rig.trace(v)) for value in (-1, 1.5, True, "5", 1 << 40)),
    *((f"events {value!r}", lambda rig, v=value: rig.events(v)) for value in (-1, 1.5, True, "5", 1 << 40)),
    *((f"wait {value!r}", lambda rig, v=value: rig.events(0, v)) for value in (-1, True, "5", float("nan"))),
    *((f"fill {value!r}", lambda rig, v=value: rig.fill(v)) for value in (1.5, True, -1, "5", None)),
    *((f"of {value!r}", lambda rig, v=value: rig.fill(5, v)) for value in (1.5, True, -1, Decimal(5))),
    *((f"aspirate {value!r}", lambda rig, v=value: rig.aspirate(v)) for value in (0.5, True, -1, object())),
    ("an unnamed torn write", lambda rig: rig.power_cut(torn_after_bytes=5)),
    *((f"cut {value!r}", lambda rig, v=value: rig.power_cut(v)) for value in (1.5, True, 0, "1")),
    *((f"off {value!r}", lambda rig, v=value: rig.power_restore(v)) for value in (1.5, True, -1, b"1")),
    *((f"stall {value!r}", lambda rig, v=value: rig.stall(on=v)) for value in ("no", 1, None)),
    *((f"inject {value!r}", lambda rig, v=value: rig.inject(v)) for value in ("none such", 5, None)),
    *((f"clear {value!r}", lambda rig, v=value: rig.clear(v)) for value in (5, None)),
    ("no number", lambda rig: rig.inject("accuracy", accuracy_ppm=Decimal(5))),
    ("not a number", lambda rig: rig.inject("accuracy", accuracy_ppm=float("nan"))),
    ("a huge number", lambda rig: rig.inject("accuracy", accuracy_ppm=10**5000)),
]


@pytest.fixture(scope="module")
def process_target() -> Iterator[ProcessTarget]:
    target = ProcessTarget(PumpChoice())
    target.start()
    yield target
    target.close()


@pytest.fixture(params=["in this process", "over HTTP"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    if request.param == "over HTTP":
        yield request.getfixturevalue("process_target").rig
        return
    target = EmulatedTarget(PumpChoice())
    target.start()
    yield target.rig
    target.close()


def test_what_a_rig_cannot_do_is_a_usage_error_and_nothing_has_changed(rig: Rig) -> None:
    before = rig.state()
    not_refused = []
    for name, call in WRONG:
        try:
            call(rig)
            not_refused.append(f"{name} was taken")
        except UsageError:
            continue
        except Exception as error:  # noqa: BLE001 - each is looked at
            not_refused.append(f"{name}: {error!r}")
    assert not_refused == []
    after = rig.state()
    assert (after.now_ms, after.powered) == (before.now_ms, before.powered)
    assert type(after.now_ms) is int
    assert after.truth["true_nl_ppm"] == before.truth["true_nl_ppm"]
    assert not any(fault.on for fault in rig.faults())


@pytest.mark.parametrize(
    ("url", "token"), [(5, "t"), (None, "t"), ("http://127.0.0.1:1", None), (b"x", b"y")]
)
def test_an_address_or_token_that_is_no_text_is_refused_without_being_shown(url: Any, token: Any) -> None:
    with pytest.raises(UsageError, match="text is expected"):
        RigClient(url, token)
