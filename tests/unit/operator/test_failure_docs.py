"""docs/operator.md shows the table of failures as it is."""

from pathlib import Path

from gmeta_api.failures import BY_EXIT_CODE, BY_REASON, KILLED, UNKNOWN, End, classify

PAGE = (Path(__file__).parents[3] / "docs/operator.md").read_text()


def test_every_class_and_reason_is_documented() -> None:
    words = [*(each.name for each in (*BY_EXIT_CODE.values(), KILLED, UNKNOWN)), *BY_REASON]
    assert [word for word in words if f"`{word}`" not in PAGE] == []
    section = PAGE.split("## Failures")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    shown = {int(word) for row in rows for word in row.replace(",", " ").split() if word.isdecimal()} - {128}
    assert shown == set(BY_EXIT_CODE)


def test_codes_without_a_row_are_told_apart_by_signal() -> None:
    assert [classify(End(code)).name for code in (137, 139, 42)] == ["Killed", "Killed", "Unknown"]
    assert classify(End(None)).name == "Infrastructure"
    assert classify(End(137, "OOMKilled")).name == "OutOfMemory"
