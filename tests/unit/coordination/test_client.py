import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gmeta_api.errors import CheckpointError, CoordinationError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination import CoordinatorClient, FencedError
from gmeta_worker.coordination.client import AttemptEndedError
from gmeta_worker.coordination.messages import Accepted, Committed, Ended, Join, Orders, Refusal, Round, Wait

Answers = Callable[[str, bytes], tuple[int, str] | None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def answering(answers: Answers, port: int = 0) -> Iterator[str]:
    """A server that answers POSTs with (status, body), or hangs up where there is None."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = answers(self.path, body)
            if answer is None:
                self.close_connection = True
                return
            status, text = answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_coordinator_that_is_not_there(messages: Any) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with CoordinatorClient(url, patience=0.0) as client:
        for act in (lambda: client.join(messages.join()), lambda: client.finish(messages.finish()), client.status):
            with pytest.raises(CoordinationError) as error:
                act()
            assert str(error.value) == (
                f"{url}: the coordinator cannot be reached ([Errno 111] Connection refused) after 0 s; "
                "check that it is running and that GMETA_COORDINATOR is its address"
            )
            assert error.value.exit_code == ExitCode.COORDINATION
        assert client.progress(messages.progress()) is False
        assert client.try_status() is None


def test_a_lost_reply_is_asked_for_again_with_the_same_message(messages: Any) -> None:
    announced = Round(generation=1, members=(messages.member(),), place=0, world_size=1, commit=None, weights=(1.0,))
    seen: list[Join] = []

    def answers(path: str, body: bytes) -> tuple[int, str] | None:
        assert path == "/v1/join"
        seen.append(Join.model_validate_json(body))
        return (200, announced.model_dump_json()) if len(seen) == 3 else None

    with answering(answers) as url, CoordinatorClient(url) as client:
        assert client.join(messages.join()) == announced
    assert seen == [messages.join()] * 3


@pytest.mark.parametrize(
    "reply", [Wait(seconds=0.5, message="1 of 2 workers are here"), Ended(outcome="failed", message="m", exit_code=65)]
)
def test_joining_may_have_to_wait_or_come_too_late(reply: Any, messages: Any) -> None:
    with answering(lambda path, body: (200, reply.model_dump_json())) as url, CoordinatorClient(url) as client:
        assert client.join(messages.join()) == reply


def test_a_beat_is_sent_once_and_its_reply_are_orders(messages: Any) -> None:
    orders = Orders(rejoin=True, grace=3.0, message="rank 1 failed")
    with answering(lambda path, body: (200, orders.model_dump_json())) as url, CoordinatorClient(url) as client:
        assert client.beat(messages.beat()) == orders
    with CoordinatorClient(f"http://127.0.0.1:{free_port()}") as client:
        assert client.beat(messages.beat()) is None, "its absence stops nothing"
        assert client.leave(messages.leave()) is False


def test_a_commit_waits_for_a_coordinator_that_comes_back(messages: Any) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    replies: list[Committed] = []
    with CoordinatorClient(url) as client:
        worker = threading.Thread(target=lambda: replies.append(client.shard_written(messages.shard(5))))
        worker.start()
        time.sleep(0.3)
        assert replies == []
        with answering(lambda path, body: (200, Committed(step=5).model_dump_json()), port):
            worker.join(timeout=20)
    assert replies == [Committed(step=5)]


def test_a_rank_asks_again_until_the_other_ranks_have_handed_in_theirs(messages: Any) -> None:
    replies: list[Accepted | Committed] = [Accepted(), Accepted(), Committed(step=5)]
    asked: list[bytes] = []
    slept: list[float] = []

    def answers(path: str, body: bytes) -> tuple[int, str]:
        assert path == "/v1/shard-written"
        asked.append(body)
        return 200, replies[len(asked) - 1].model_dump_json()

    with answering(answers) as url, CoordinatorClient(url, sleep=slept.append) as client:
        assert client.shard_written(messages.shard(5)) == Committed(step=5)
    assert asked == [messages.shard(5).model_dump_json().encode()] * 3
    assert len(slept) == 2
    assert all(0 <= pause <= 0.5 for pause in slept)


@pytest.mark.parametrize(
    ("reason", "kind", "prefix"),
    [
        ("fenced", FencedError, "{url}: refused: "),
        ("finished", AttemptEndedError, "{url}: refused: "),
        ("order", CoordinationError, "{url}: refused: "),
        ("invalid", CoordinationError, "{url}: refused: "),
        ("checkpoint", CheckpointError, ""),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(reason: Any, kind: type[Exception], prefix: str, messages: Any) -> None:
    calls: list[str] = []

    def answers(path: str, body: bytes) -> tuple[int, str]:
        calls.append(path)
        return 409, Refusal(reason=reason, message="because").model_dump_json()

    with answering(answers) as url, CoordinatorClient(url) as client:
        with pytest.raises(kind, match=f"^{re.escape(prefix.format(url=url))}because$") as error:
            client.shard_written(messages.shard(5))
        assert type(error.value) is kind
    assert calls == ["/v1/shard-written"], "a refusal is final"


def test_progress_is_refused_too(messages: Any) -> None:
    refusal = Refusal(reason="fenced", message="old").model_dump_json()
    with (
        answering(lambda path, body: (409, refusal)) as url,
        CoordinatorClient(url) as client,
        pytest.raises(FencedError),
    ):
        client.progress(messages.progress())
    with answering(lambda path, body: (200, Accepted().model_dump_json())) as url, CoordinatorClient(url) as client:
        assert client.progress(messages.progress()) is True


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (502, "Bad Gateway"), (404, '{"detail": "Not Found"}')])
def test_something_else_at_the_address(status: int, body: str, messages: Any) -> None:
    with (
        answering(lambda path, _: (status, body)) as url,
        CoordinatorClient(url) as client,
        pytest.raises(CoordinationError) as error,
    ):
        client.join(messages.join())
    assert str(error.value) == (
        f"{url}: answered {status} with something that is not a coordinator's reply; "
        "check GMETA_COORDINATOR, and that worker and coordinator run the same version"
    )
