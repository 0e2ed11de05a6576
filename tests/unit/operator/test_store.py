"""The mirror of the API server is late at times, but never goes back."""

from typing import Any

from gmeta_api.objects import JOB_LABEL
from gmeta_operator.store import Store

KEY = ("team", "movies")


def job(uid: str, version: int) -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": "movies", "uid": uid, "resourceVersion": str(version)}}


def pod(uid: str, version: int, name: str = "movies-w0-0", owner: str = "j-1") -> dict[str, Any]:
    metadata = {
        **job(uid, version)["metadata"],
        "name": name,
        "labels": {JOB_LABEL: "movies"},
        "ownerReferences": [{"uid": "other"}, {"uid": owner, "controller": True}],
    }
    return {"metadata": metadata}


def versions(store: Store, owner: str = "j-1") -> list[tuple[str, str]]:
    return [(each["metadata"]["uid"], each["metadata"]["resourceVersion"]) for each in store.pods(KEY, owner)]


def test_an_older_version_is_passed_over() -> None:
    store = Store()
    for version in (5, 3):
        assert store.hear_job("MODIFIED", job("j-1", version)) == KEY
        assert store.hear_pod("MODIFIED", pod("p-1", version)) == KEY
    known = store.job(KEY)
    assert known is not None
    assert (known["metadata"]["resourceVersion"], versions(store)) == ("5", [("p-1", "5")])


def test_what_is_gone_does_not_come_back() -> None:
    store = Store()
    store.hear_job("DELETED", job("j-1", 5))
    store.hear_pod("DELETED", pod("p-1", 5))
    store.hear_job("MODIFIED", job("j-1", 9))
    store.hear_pod("MODIFIED", pod("p-1", 9))
    assert (store.job(KEY), versions(store)) == (None, [])


def test_the_end_of_a_namesake_is_not_ones_own() -> None:
    store = Store()
    store.hear_job(None, job("j-2", 7))
    store.hear_pod(None, pod("p-2", 8))
    store.hear_job("DELETED", job("j-1", 6))
    store.hear_pod("DELETED", pod("p-1", 6))
    store.hear_job("MODIFIED", job("j-0", 3))
    store.hear_pod("MODIFIED", pod("p-0", 3))
    known = store.job(KEY)
    assert known is not None
    assert (known["metadata"]["uid"], versions(store)) == ("j-2", [("p-2", "8")])


def test_a_list_ends_what_it_does_not_have_and_not_what_is_newer() -> None:
    store = Store()
    store.put_pod(pod("p-1", 3, "movies-w0-0"))
    store.put_pod(pod("p-2", 12, "movies-w1-0"))
    store.put_pod(pod("p-3", 13, "movies-w2-0"))
    store.hear_pod("DELETED", pod("p-4", 14, "movies-w3-0"))
    late = [pod("p-2", 8, "movies-w1-0"), pod("p-4", 9, "movies-w3-0"), pod("p-5", 10, "movies-w4-0")]
    store.take_list(KEY, late, 11)
    assert versions(store) == [("p-2", "12"), ("p-3", "13"), ("p-5", "10")]
    store.put_pod(pod("p-1", 15, "movies-w0-0"))
    assert len(versions(store)) == 3, "a pod that the list did not have is gone"


def test_pods_of_a_former_job_are_not_this_ones() -> None:
    store = Store()
    store.put_pod(pod("p-1", 1, "movies-w0-0", owner="j-0"))
    store.put_pod(pod("p-2", 2, "movies-w1-0"))
    assert (versions(store), versions(store, "j-0")) == ([("p-2", "2")], [("p-1", "1")])
