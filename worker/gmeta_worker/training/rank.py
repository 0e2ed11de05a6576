"""A rank process: takes part in one round, and tells the coordinator of every end that concerns the whole job."""

import sys
import time
import traceback

from gmeta_api.errors import CoordinationError, GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_api.spec import ExportSpec
from gmeta_worker.coordination.client import AttemptEndedError, CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.membership.rank import RankContext, join_round
from gmeta_worker.parallel import PeerLostError
from gmeta_worker.process import run_process
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.components import choose_device
from gmeta_worker.training.run import TrainingRun
from gmeta_worker.training.stop_signal import StopSignal

END_POLL_SECONDS = 0.5


def rank_process() -> None:
    """A rank as its agent starts it, in a process of its own; ends that process."""
    try:
        code = run_process(run_rank)
    except Exception:  # noqa: BLE001  # torch would keep the traceback to itself
        traceback.print_exc()
        code = ExitCode.INTERNAL
    sys.exit(code)


def run_rank(runtime: Runtime) -> int:
    """Train as a rank of the round that this process's agent has joined; the exit code."""
    stop = StopSignal()
    with CoordinatorClient(runtime.coordinator) as client:
        try:
            device = choose_device(runtime.document.spec.training.device)
            with join_round(runtime, device) as context:
                return _take_part(runtime, client, context, stop)
        except CoordinationError as error:
            return _left_alone(error)
        except GMetaError as error:
            return _end_attempt(client, error, _finish(runtime, None, str(error), error.exit_code))


def _take_part(runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: StopSignal) -> int:
    try:
        return _train(runtime, client, context, stop)
    except (PeerLostError, CoordinationError) as error:
        return _left_alone(error)
    except GMetaError as error:
        return _end_attempt(client, error, _finish(runtime, context.round.generation, str(error), error.exit_code))


def _train(runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: StopSignal) -> int:
    leads = context.group.rank == 0
    for warning in context.round.warnings if leads else ():
        print(f"gmeta: {warning}", file=sys.stderr)
    training = runtime.document.spec.training
    if training.export is not None:
        return _train_and_export(runtime, client, context, stop, training.export)
    return _told(client, context, TrainingRun(runtime, client, context, stop).outcome())


def _train_and_export(
    runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: StopSignal, wanted: ExportSpec
) -> int:
    """Train, if there is anything to train, and then export on rank 0."""
    from gmeta_worker.serving.phase import check_place, export_delivered  # takes memory that other jobs need not have

    leads, words = context.group.rank == 0, []
    if leads:
        check_place(runtime, wanted)
    if runtime.document.spec.training.trains:
        finish = TrainingRun(runtime, client, context, stop).outcome()
        if finish.outcome != "succeeded":
            return _told(client, context, finish)
        words.append(finish.message)
    if not leads:
        return _await_end(client, stop)
    words.append(export_delivered(runtime, client, wanted, context.round.generation))
    client.finish(_finish(runtime, context.round.generation, "; ".join(words), ExitCode.OK))
    return ExitCode.OK


def _told(client: CoordinatorClient, context: RankContext, finish: Finish) -> int:
    if context.group.rank == 0 and finish.outcome != "interrupted":
        client.finish(finish)
    return finish.exit_code


def _await_end(client: CoordinatorClient, stop: StopSignal) -> int:
    """Stay until rank 0 has exported: the round, and rank 0 with it, would end if a rank left. It may take hours, and
    what goes wrong on rank 0 ends the round, so there is no limit."""
    while not stop():
        status = client.try_status()
        if status is not None and status.finished is not None:
            return status.finished.exit_code
        time.sleep(END_POLL_SECONDS)
    return ExitCode.INTERRUPTED


def _left_alone(error: Exception) -> int:
    """Nobody's fault but the round's: the agent joins the next one."""
    print(f"gmeta: {error}", file=sys.stderr)
    return ExitCode.COORDINATION


def _end_attempt(client: CoordinatorClient, error: GMetaError, finish: Finish) -> int:
    """An error that would come again ends the attempt; all ranks may come here, the first one is heard."""
    print(f"gmeta: {error}", file=sys.stderr)
    try:
        client.finish(finish)
    except AttemptEndedError:
        pass
    except CoordinationError as refused:
        return _left_alone(refused)
    return finish.exit_code


def _finish(runtime: Runtime, generation: int | None, message: str, exit_code: ExitCode) -> Finish:
    return Finish(
        attempt=runtime.document.attempt,
        generation=generation,
        outcome="succeeded" if exit_code == ExitCode.OK else "failed",
        message=message,
        exit_code=exit_code,
    )
