"""A `kubectl` on PATH that answers as it was told and records what it was asked."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# In bash, for tests run it some hundred times.
PROGRAM = """#!/bin/bash
cd "${BASH_SOURCE[0]%/*}"
{ printf '%s\\037' "$@"; echo; } >> asked
for ((number = $(< told); number > 0; number--)); do
    answer=answer-$number
    [[ "$* " == "$(< $answer/to) "* ]] || continue
    turn=$(< $answer/turn)
    [ ! -e $answer/out-$((turn + 1)) ] || echo $((turn + 1)) > $answer/turn
    cat $answer/out-$turn
    cat $answer/err >&2
    [ ! -s $answer/err ]
    exit
done
echo "fake kubectl: nobody has told an answer to $*" >&2
exit 1
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
        self._write("told", "0")

    def answer(self, *command: str, out: Any = "", err: str = "") -> None:
        """What it says to a command that begins so; the last answer to a beginning counts."""
        self.answers(*command, outs=[out], err=err)

    def answers(self, *command: str, outs: list[Any], err: str = "") -> None:
        """What it says one time after the other; the last answer stays."""
        self.told += 1
        place = f"answer-{self.told}"
        (self.folder / place).mkdir()
        for turn, out in enumerate(outs):
            self._write(f"{place}/out-{turn}", out if isinstance(out, str) else json.dumps(out))
        for name, text in (("to", " ".join(command)), ("turn", "0"), ("err", err)):
            self._write(f"{place}/{name}", text)
        self._write("told", str(self.told))

    def asked(self) -> list[list[str]]:
        """The commands that it was given."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split("\x1f")[:-1] for line in lines]

    def path(self) -> str:
        """PATH with the fake first."""
        return f"{self.folder}{os.pathsep}{os.environ['PATH']}"

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
