"""The rig's client against a server that answers as rig control does, and as it should not."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hil.errors import BadConfiguration, BenchLost, UsageError
from hil.rig import RigClock, RigEvent, RigTone, RigTrace
from hil.rig_client import LeaseState, RigClient

TOKEN = "open sesame"  # noqa: S105 - of this test alone


class Server(ThreadingHTTPServer):
    """An HTTP server that ends without waiting for who is still connected."""

    daemon_threads = True
    block_on_close = False


class Bench:
    """What the server was asked, and what it shall answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answer: Any = {"now_ms": 5}
        self.status = 200
        self.echoes = False
        """Whether it answers with the body that it was sent."""


@pytest.fixture
def served() -> Iterator[tuple[Bench, RigClient]]:
    bench = Bench()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = json.loads(body) if body else None
            bench.asked.append((self.command, self.path, asked))
            right = self.headers["Authorization"] == f"Bearer {TOKEN}"
            told = asked if bench.echoes else bench.answer
            answer = told if right else {"error": "no token"}
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(bench.status if right else 401)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    # A thread a connection: one that a failed test left open holds up neither the others nor the end.
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with closing(RigClient(f"http://127.0.0.1:{server.server_port}", TOKEN, timeout_s=10)) as client:
            yield bench, client
        server.shutdown()
    thread.join(10)
    assert not thread.is_alive()


def test_each_verb_asks_for_its_own_path(served: tuple[Bench, RigClient]) -> None:
    bench, rig = served
    bench.answer = {
        "now_ms": 5, "mode": "manual", "speed": 0, "nl": 7, "was_off": True, "reached": True, "powered": True,
        "value": None,
        "truth": {"edges": 1}, "belief": None, "trace_hash": "ff", "seed": None,
        "events": [{"kind": "K", "now_ms": 3, "line_ms": 2, "fields": {"alarm_id": "EMPTY"}, "text": "words"}],
        "tones": [{"at_ms": 2, "critical": True, "duration_ms": 3_000}],
    }  # fmt: skip
    assert rig.state().truth == {"edges": 1}
    assert rig.clock() == RigClock("manual", 0, 5)
    rig.set_speed(10)
    rig.set_mode("real")
    assert rig.advance(100) == 5
    rig.advance(100, after_received=33)
    assert rig.run_until("alarm", 1_000).events == (RigEvent("K", 3, 2, {"alarm_id": "EMPTY"}, "words"),)
    rig.power_cut()
    rig.power_cut(after_writes=3, torn_after_bytes=1)
    assert rig.power_restore(50)
    assert rig.aspirate() == 7
    assert rig.aspirate(9) == 7
    assert rig.fill(20, 500) == 7
    rig.stall(on=True)
    rig.inject("accuracy", accuracy_ppm=9)
    rig.clear("a/b")
    assert rig.tones() == (RigTone(2, critical=True, duration_ms=3_000),)
    rig.run_until("alarm", 1_000, name="EMPTY", cleared=True)
    bench.answer = {"now_ms": 5, "mark": 7, "lost": 3, "next": 7, "entries": []}
    assert rig.mark() == 7
    assert rig.trace(4) == RigTrace((), 3, 7)
    bench.answer = {"now_ms": 5, "who": "rig A", "left_ms": 4, "lease": "ab"}
    assert rig.take_lease("rig A", 60) == "ab"
    assert rig.lease() == LeaseState("rig A", 4)
    rig.shutdown()
    assert rig.last_now_ms == 5
    assert bench.asked == [
        ("GET", "/v1/state", None),
        ("GET", "/v1/clock", None),
        ("PUT", "/v1/clock", {"speed": 10}),
        ("PUT", "/v1/clock", {"mode": "real"}),
        ("POST", "/v1/clock/advance", {"ms": 100}),
        ("POST", "/v1/clock/advance", {"ms": 100, "after_received": 33}),
        ("POST", "/v1/clock/run-until", {"what": "alarm", "limit_ms": 1_000}),
        ("POST", "/v1/power/cut", {}),
        ("POST", "/v1/power/cut", {"after_writes": 3, "torn_after_bytes": 1}),
        ("POST", "/v1/power/restore", {"off_ms": 50}),
        ("POST", "/v1/syringe/aspirate", {}),
        ("POST", "/v1/syringe/aspirate", {"nl": 9}),
        ("POST", "/v1/syringe/fill", {"nl": 20, "concentration_ng_per_ml": 500}),
        ("PUT", "/v1/faults/motor-stall", {"on": True, "parameters": {}}),
        ("PUT", "/v1/faults/accuracy", {"on": True, "parameters": {"accuracy_ppm": 9}}),
        ("PUT", "/v1/faults/a%2Fb", {"on": False}),
        ("GET", "/v1/tones", None),
        (
            "POST",
            "/v1/clock/run-until",
            {"what": "alarm", "limit_ms": 1_000, "name": "EMPTY", "cleared": True},
        ),
        ("GET", "/v1/trace", None),
        ("GET", "/v1/trace/4", None),
        ("PUT", "/v1/lease", {"who": "rig A", "seconds": 60}),
        ("GET", "/v1/lease", None),
        ("POST", "/v1/shutdown", {}),
    ]


@pytest.mark.parametrize(
    ("status", "error"), [(409, UsageError), (422, UsageError), (403, BadConfiguration), (500, BenchLost)]
)
def test_a_refusal_accuses_the_right_party_in_its_own_words(
    served: tuple[Bench, RigClient], status: int, error: type[Exception]
) -> None:
    bench, rig = served
    bench.status, bench.answer = status, {"error": "time runs real"}
    with pytest.raises(error, match="time runs real"):
        rig.advance(1)
    bench.status, bench.answer = 200, {"now_ms": 5}
    assert rig.advance(1) == 5


def test_a_wrong_token_is_a_configuration_error(served: tuple[Bench, RigClient]) -> None:
    _, rig = served
    with (
        closing(RigClient(rig._url, "wrong", timeout_s=10)) as wrong,
        pytest.raises(BadConfiguration, match="token"),
    ):
        wrong.clock()


def test_a_connection_that_is_left_open_does_not_hold_up_the_next_one(
    served: tuple[Bench, RigClient],
) -> None:
    bench, rig = served
    with closing(RigClient(rig._url, TOKEN, timeout_s=10)) as left_open:
        assert left_open.advance(1) == rig.advance(1) == 5
    assert len(bench.asked) == 2


def test_a_client_that_was_closed_asks_for_nothing_and_may_be_closed_again(
    served: tuple[Bench, RigClient],
) -> None:
    bench, rig = served
    rig.advance(1)
    rig.close()
    rig.close()
    with pytest.raises(UsageError, match="POST /v1/clock/advance cannot be asked of a rig that was closed"):
        rig.advance(1)
    assert len(bench.asked) == 1


def test_threads_that_share_a_client_each_get_their_own_answers(served: tuple[Bench, RigClient]) -> None:
    bench, rig = served
    bench.echoes = True
    threads = 4
    with ThreadPoolExecutor(threads) as pool:
        rows = pool.map(lambda first: [rig.fill(nl) for nl in range(first, 40, threads)], range(threads))
        assert [list(row) for row in rows] == [list(range(first, 40, threads)) for first in range(threads)]


def test_an_answer_that_is_no_json_is_not_believed(served: tuple[Bench, RigClient]) -> None:
    bench, rig = served
    bench.status, bench.answer = 500, b"<html>"
    with pytest.raises(BenchLost, match="status 500"):
        rig.clock()


def test_nobody_there_is_a_lost_bench() -> None:
    rig = RigClient("127.0.0.1:9", TOKEN)
    with pytest.raises(BenchLost, match="does not answer"):
        rig.clock()


def test_an_address_without_a_port_is_a_configuration_error() -> None:
    with pytest.raises(BadConfiguration):
        RigClient("http://localhost", TOKEN)


ANSWERS = [
    b"not json",
    b"[]",
    b"{}",
    b'{"now_ms": "soon"}',
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"faults": [1], "tones": 5}',
]
ASKING = {
    "state": lambda rig: rig.state(),
    "clock": lambda rig: rig.clock(),
    "faults": lambda rig: rig.faults(),
    "tones": lambda rig: rig.tones(),
    "advance": lambda rig: rig.advance(5),
    "run_until": lambda rig: rig.run_until("event", 5),
    "mark": lambda rig: rig.mark(),
    "trace": lambda rig: rig.trace(),
    "profile": lambda rig: rig.profile(),
    "events": lambda rig: next(rig.events()),
    "power_restore": lambda rig: rig.power_restore(),
    "aspirate": lambda rig: rig.aspirate(),
}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("verb", ASKING)
def test_an_answer_that_is_none_to_the_request_is_a_lost_bench_in_one_sentence(
    served: tuple[Bench, RigClient], verb: str
) -> None:
    bench, rig = served
    for bench.answer in ANSWERS:
        with pytest.raises(BenchLost, match="something else than a rig control does") as caught:
            ASKING[verb](rig)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 7


@pytest.mark.one_in(6)
@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("answer", [b"", b"Internal Server Error", b"[" * 100_000, {"error": "it broke"}])
def test_a_rig_that_breaks_is_a_lost_bench_whatever_it_says(
    served: tuple[Bench, RigClient], status: int, answer: Any
) -> None:
    bench, rig = served
    bench.status, bench.answer = status, answer
    with pytest.raises(BenchLost, match="rig control failed at GET /v1/state") as caught:
        rig.state()
    assert caught.value.exit_code == 7


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "http://[::1",
        "ftp://127.0.0.1:5",
        "https://127.0.0.1:5",
        "http://a b:80",
        "http://127.0.0.1:80\n",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_when_the_client_is_made(url: str) -> None:
    with pytest.raises(BadConfiguration, match="is no address of a rig control"):
        RigClient(url, TOKEN)


@pytest.mark.parametrize("token", ["a\nb", "\u20ac"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(BadConfiguration, match="not shown") as caught:
        RigClient("127.0.0.1:9", token)
    assert token not in str(caught.value)


def test_a_host_that_no_resolver_takes_is_a_lost_bench() -> None:
    with pytest.raises(BenchLost, match="does not answer"):
        RigClient("http://\u00fc..:80", TOKEN).clock()
