"""A `kubectl` on PATH that answers as it was told and records what it was asked."""

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAM = f"""#!{sys.executable} -IS
import json, pathlib, sys

folder = pathlib.Path(__file__).parent
given = sys.argv[1:]
with (folder / "asked.jsonl").open("a") as asked:
    asked.write(json.dumps(given) + "\\n")
for path in sorted(folder.glob("answer-*.json"), reverse=True):
    answer = json.loads(path.read_text())
    if given[: len(answer["to"])] == answer["to"]:
        break
else:
    sys.exit(f"fake kubectl: nobody has told an answer to {{given}}")
first, *rest = answer["replies"]
if rest:
    path.write_text(json.dumps(answer | {{"replies": rest}}))
sys.stdout.write(first["out"])
sys.stderr.write(first["err"])
sys.exit(1 if first["err"] else 0)
"""


@dataclass
class FakeKubectl:
    """The fake.

    Attributes:
        folder: where it is, to be put on PATH.
        told: answers so far.
    """

    folder: Path
    told: int = 0

    def __post_init__(self) -> None:
        program = self.folder / "kubectl"
        program.write_text(PROGRAM)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def answer(self, *command: str, out: Any = "", err: str = "") -> None:
        """What it says to a command that begins so; the last answer to a beginning counts."""
        self.answers(*command, outs=[out], err=err)

    def answers(self, *command: str, outs: list[Any], err: str = "") -> None:
        """What it says one time after the other; the last answer stays."""
        replies = [{"out": out if isinstance(out, str) else json.dumps(out), "err": err} for out in outs]
        self.told += 1
        (self.folder / f"answer-{self.told:03}.json").write_text(json.dumps({"to": list(command), "replies": replies}))

    def asked(self) -> list[list[str]]:
        """The commands that it was given."""
        path = self.folder / "asked.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def path(self) -> str:
        """PATH with the fake first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"
