"""A rank process: takes part in one round, and tells the coordinator of every end that concerns the whole job."""

import sys
import traceback

from gmeta_api.errors import CoordinationError, GMetaError
from gmeta_api.exit_codes import ExitCode
from gmeta_worker.coordination.client import AttemptEndedError, CoordinatorClient
from gmeta_worker.coordination.messages import Finish
from gmeta_worker.membership.rank import RankContext, join_round
from gmeta_worker.parallel import PeerLostError
from gmeta_worker.process import run_process
from gmeta_worker.runtime import Runtime
from gmeta_worker.training.components import choose_device
from gmeta_worker.training.run import TrainingRun
from gmeta_worker.training.stop_signal import StopSignal


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
            return _end_attempt(client, error, _finish(runtime, None, error))


def _take_part(runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: StopSignal) -> int:
    try:
        return _train(runtime, client, context, stop)
    except (PeerLostError, CoordinationError) as error:
        return _left_alone(error)
    except GMetaError as error:
        return _end_attempt(client, error, _finish(runtime, context.round.generation, error))


def _train(runtime: Runtime, client: CoordinatorClient, context: RankContext, stop: StopSignal) -> int:
    leads = context.group.rank == 0
    for warning in context.round.warnings if leads else ():
        print(f"gmeta: {warning}", file=sys.stderr)
    finish = TrainingRun(runtime, client, context, stop).outcome()
    if leads and finish.outcome != "interrupted":
        client.finish(finish)
    return finish.exit_code


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


def _finish(runtime: Runtime, generation: int | None, error: GMetaError) -> Finish:
    return Finish(
        attempt=runtime.document.attempt,
        generation=generation,
        outcome="failed",
        message=str(error),
        exit_code=error.exit_code,
    )
