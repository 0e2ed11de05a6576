"""The worker's side of the coordinator's interface."""

import secrets
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Annotated, Self, TypeVar

import httpx
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from gmeta_api.errors import CheckpointError, CoordinationError
from gmeta_worker.coordination.messages import (
    API_VERSION,
    Accepted,
    Beat,
    Committed,
    Ended,
    Evaluation,
    Export,
    Finish,
    Join,
    Leave,
    Orders,
    Progress,
    Refusal,
    Round,
    ShardWritten,
    Wait,
)
from gmeta_worker.coordination.status import Status

ReplyT = TypeVar("ReplyT")

ACCEPTED = TypeAdapter(Accepted)
HANDED_IN: TypeAdapter[Committed | Accepted] = TypeAdapter(Committed | Accepted)
JOIN_REPLY: TypeAdapter[Round | Wait | Ended] = TypeAdapter(
    Annotated[Round | Wait | Ended, Field(discriminator="kind")]
)
ORDERS = TypeAdapter(Orders)
STATUS = TypeAdapter(Status)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
LONGEST_COMMIT_PAUSE_SECONDS = 0.5
PATIENCE_SECONDS = 60.0
REPLY_SECONDS = 300.0
QUICK = httpx.Timeout(2.0)
THOROUGH = httpx.Timeout(REPLY_SECONDS, connect=5.0)


class FencedError(CoordinationError):
    """The coordinator has refused this process because another one has taken over; the process must stop."""


class AttemptEndedError(CoordinationError):
    """The coordinator takes nothing more, since the attempt has ended."""


class CoordinatorClient:
    """Talks to one coordinator. Every message may be sent twice without harm, so lost ones are sent again.

    Args:
        url: the coordinator's address, like `http://127.0.0.1:7070`.
        patience: seconds for which a message that matters is sent again while the coordinator cannot be reached.
        transport: carries the requests; HTTP over TCP where none is given.
        monotonic: seconds on a clock that never goes back.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        url: str,
        patience: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._patience = patience
        self._monotonic = monotonic
        self._sleep = sleep
        self._http = httpx.Client(base_url=f"{self._url}/{API_VERSION}/", trust_env=False, transport=transport)

    def join(self, message: Join) -> Round | Wait | Ended:
        """Ask to take part in the next round; while the reply is Wait, ask again.

        Raises:
            FencedError: the attempt is not current, or a newer process of this worker has come.
            CoordinationError: the coordinator cannot be reached or refuses the worker.
        """
        return self._deliver("join", message, JOIN_REPLY)

    def beat(self, message: Beat) -> Orders | None:
        """Tell that this process is alive; what it has to do, or None while the coordinator cannot be reached.

        Raises:
            FencedError: another process has taken over.
        """
        try:
            return self._post("beat", message, ORDERS, QUICK)
        except httpx.TransportError:
            return None

    def leave(self, message: Leave) -> bool:
        """Say goodbye; return False if the coordinator could not take it, which it notices by the silence."""
        try:
            self._post("leave", message, ACCEPTED, QUICK)
        except (httpx.TransportError, CoordinationError):
            return False
        return True

    def progress(self, progress: Progress) -> bool:
        """Tell where this rank stands; return False if the coordinator could not take it, which stops nothing.

        Raises:
            FencedError: another process has taken over.
        """
        try:
            self._post("progress", progress, ACCEPTED, QUICK)
        except (httpx.TransportError, CheckpointError):
            return False
        return True

    def evaluation(self, evaluation: Evaluation) -> None:
        """Tell the quality on a split.

        Raises:
            FencedError: another process has taken over.
            CoordinationError: the coordinator cannot be reached.
        """
        self._deliver("evaluation", evaluation, ACCEPTED)

    def shard_written(self, shard: ShardWritten) -> Committed:
        """Hand in this rank's files of a commit; on return the step is committed, with the files of all ranks.

        Raises:
            FencedError: another process has taken over.
            CheckpointError: the coordinator cannot make the commit.
            CoordinationError: the coordinator cannot be reached or refuses the step.
        """
        pauses = _pauses(LONGEST_COMMIT_PAUSE_SECONDS)
        while not isinstance(reply := self._deliver("shard-written", shard, HANDED_IN), Committed):
            self._sleep(next(pauses))
        return reply

    def export(self, export: Export) -> None:
        """Tell of an export.

        Raises:
            FencedError: another process has taken over.
            CoordinationError: the coordinator cannot be reached.
        """
        self._deliver("export", export, ACCEPTED)

    def finish(self, finish: Finish) -> None:
        """Tell how the attempt has ended.

        Raises:
            FencedError: another process has taken over.
            CoordinationError: the coordinator cannot be reached.
        """
        self._deliver("finish", finish, ACCEPTED)

    def status(self) -> Status:
        """Return the status document.

        Raises:
            CoordinationError: the coordinator cannot be reached.
        """
        try:
            return self._read(self._http.get("status", timeout=QUICK), STATUS)
        except httpx.TransportError as error:
            raise self._unreachable(error, 0.0) from error

    def try_status(self) -> Status | None:
        """Return the status document, or None while the coordinator cannot be reached."""
        try:
            return self.status()
        except CoordinationError:
            return None

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _deliver(self, path: str, message: BaseModel, reply: TypeAdapter[ReplyT]) -> ReplyT:
        """Send until there is a reply."""
        started, pauses = self._monotonic(), _pauses(LONGEST_PAUSE_SECONDS)
        while True:
            try:
                return self._post(path, message, reply, THOROUGH)
            except httpx.TransportError as error:
                waited = self._monotonic() - started
                if waited >= self._patience:
                    raise self._unreachable(error, waited) from error
            self._sleep(next(pauses))

    def _post(self, path: str, message: BaseModel, reply: TypeAdapter[ReplyT], timeout: httpx.Timeout) -> ReplyT:
        headers = {"Content-Type": "application/json"}
        response = self._http.post(path, content=message.model_dump_json(), headers=headers, timeout=timeout)
        return self._read(response, reply)

    def _read(self, response: httpx.Response, reply: TypeAdapter[ReplyT]) -> ReplyT:
        try:
            if response.is_success:
                return reply.validate_json(response.content)
            refusal = Refusal.model_validate_json(response.content)
        except ValidationError as error:
            raise CoordinationError(
                f"{self._url}: answered {response.status_code} with something that is not a coordinator's reply; "
                "check GMETA_COORDINATOR, and that worker and coordinator run the same version"
            ) from error
        raise _refused(refusal, self._url)

    def _unreachable(self, error: httpx.TransportError, waited: float) -> CoordinationError:
        return CoordinationError(
            f"{self._url}: the coordinator cannot be reached ({error or type(error).__name__}) after {waited:.0f} s; "
            "check that it is running and that GMETA_COORDINATOR is its address"
        )


def _pauses(longest: float) -> Iterator[float]:
    """Pauses that double up to `longest` seconds, with full jitter, so that members do not come back at once."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield secrets.SystemRandom().uniform(0.0, pause)
        pause = min(2 * pause, longest)


def _refused(refusal: Refusal, url: str) -> CoordinationError | CheckpointError:
    if refusal.reason == "checkpoint":
        return CheckpointError(refusal.message)
    kinds = {"fenced": FencedError, "finished": AttemptEndedError}
    return kinds.get(refusal.reason, CoordinationError)(f"{url}: refused: {refusal.message}")
