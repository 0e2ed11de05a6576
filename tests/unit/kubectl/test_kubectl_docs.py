"""docs/kubectl.md names every command and shows pages that the other tests of this folder assert."""

import re
from pathlib import Path

from gmeta_kubectl.main import COMMANDS, FLAGS

FOLDER = Path(__file__).parent
PAGE = (FOLDER.parents[2] / "docs/kubectl.md").read_text()


def test_every_command_and_flag_is_documented() -> None:
    assert [name for name in COMMANDS if f"`kubectl gmeta {name} " not in PAGE and f"`{name} " not in PAGE] == []
    assert [flag for flag in FLAGS if f"`--{flag}`" not in PAGE] == []


def test_the_examples_are_asserted_by_tests() -> None:
    tests = "".join(path.read_text() for path in FOLDER.glob("test_*.py"))
    golden = re.findall(r'= """\\\n(.*?)"""', tests, re.DOTALL)
    examples = re.findall(r"```\n\$ kubectl gmeta [^\n]*\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 3
    assert [example for example in examples if example not in golden] == []
