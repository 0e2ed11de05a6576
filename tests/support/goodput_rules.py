"""What `status.goodput` may say: every second is counted once, and nothing that was counted is taken back."""

from datetime import datetime

import pytest

from gmeta_api.objects import Object
from gmeta_operator.timestamps import from_text


def totals(goodput: Object) -> dict[str, float]:
    """All seconds that are counted, by what they were."""
    apart = {name: goodput[f"{name}Seconds"] for name in ("productive", "preparation", "suspended")}
    return {**apart, **goodput["lostSeconds"]}


def check_goodput(now: datetime, job: Object, status: Object) -> None:
    """No total falls or is negative; they make up the wall time, and at the end all time since the job was made."""
    goodput, before = status["goodput"], job.get("status", {}).get("goodput")
    counted, former = totals(goodput), totals(before) if before else {}
    assert all(seconds >= former.get(name, 0.0) for name, seconds in counted.items()), f"{former} becomes {counted}"
    made = from_text(job["metadata"]["creationTimestamp"])
    assert made is not None
    age = (now - made).total_seconds()
    assert sum(counted.values()) <= age + 0.05, f"{counted} of {age} s"
    assert goodput["wallSeconds"] + goodput["suspendedSeconds"] == pytest.approx(sum(counted.values()), abs=0.05)
    assert goodput["reworkSeconds"] <= goodput["lostSeconds"]["restart"]
    assert (goodput["phase"] == "ended") == ("completionTime" in status)
    if goodput["phase"] == "ended":
        assert sum(counted.values()) == pytest.approx(age, abs=0.05)
