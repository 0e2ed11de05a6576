"""What the watches have not told: the operator reads it where a mistake would cost a pod."""

from simulated import KEY, Server, manifest
from simulated_operator import RETRY, Operator, run

from gmeta_operator.client import ApiError


def deaf(operator: Operator, seconds: float) -> None:
    """Time passes, and a pass takes place without that the watches tell anything."""
    operator.events.clear()
    operator.sync(seconds)


def begun() -> tuple[Server, Operator]:
    server = Server(manifest())
    operator = Operator(server)
    operator.sync()
    server.start("movies-coordinator-0")
    server.start("movies-w0-0")
    operator.sync(1)
    return server, operator


def test_a_job_that_was_deleted_unheard_is_noticed() -> None:
    server, operator = begun()
    server.withdraw()
    server.collect_garbage()
    deaf(operator, 298)
    assert operator.store.job(KEY) is not None
    deaf(operator, 1)
    assert operator.store.job(KEY) is None
    assert len(server.made) == 2


def test_a_job_that_was_replaced_unheard_is_taken_up() -> None:
    server, operator = begun()
    server.withdraw()
    server.collect_garbage()
    server.submit(manifest(workers={"replicas": 2}))
    deaf(operator, 301)
    assert operator.store.job(KEY) == server.job
    deaf(operator, 0)
    assert server.made[2:] == ["movies-coordinator-0", "movies-w0-0", "movies-w1-0"]


def test_no_pod_is_made_for_a_job_that_was_suspended_unheard() -> None:
    server, operator = begun()
    server.end("movies-w0-0", 137)
    operator.sync()
    server.edit(runPolicy={"suspend": True})
    deaf(operator, 10)
    assert len(server.made) == 2
    assert server.job is not None
    assert server.job["status"]["state"] == "Suspended"


def test_a_pod_is_never_deleted_for_a_namesake() -> None:
    server, operator = begun()
    server.edit(runPolicy={"suspend": True})

    def replace_at_the_last_moment(point: str, when: str) -> None:
        if (point, when) == ("delete Pod", "before") and len(server.made) == 2:
            server.remove("movies-coordinator-0")
            run(server.create({**coordinator, "status": {}}))

    coordinator = server.live["movies-coordinator-0"]
    server.gate = replace_at_the_last_moment
    operator.hear()
    operator.work()
    assert "deletionTimestamp" not in server.live["movies-coordinator-0"]["metadata"]


def test_no_pod_is_deleted_for_a_job_that_was_resumed_unheard() -> None:
    server, operator = begun()
    server.edit(runPolicy={"suspend": True})
    operator.hear()
    server.edit(runPolicy={"suspend": False})
    deaf(operator, 1)
    assert server.running() == ["movies-coordinator-0", "movies-w0-0"]


def test_a_status_is_never_written_over_a_newer_one() -> None:
    server, operator = begun()
    server.end("movies-w0-0", 1)
    operator.hear()
    assert server.job is not None
    before = server.job["status"]
    server.edit(workers={"replicas": 2})
    operator.events.clear()
    operator.work()
    assert (server.job["status"], operator.due) == (before, server.now + RETRY)
    operator.work()
    assert server.job["status"]["observedGeneration"] == 2


def test_an_answer_that_was_lost_makes_no_second_pod() -> None:
    server = Server(manifest())
    operator = Operator(server)

    def lose_the_first_answer(point: str, when: str) -> None:
        if (point, when) == ("create Pod", "after") and len(server.made) == 1:
            raise ApiError(0, "timed out")

    server.gate = lose_the_first_answer
    operator.hear()
    operator.work()
    operator.work()
    assert server.made == ["movies-coordinator-0", "movies-w0-0"]
