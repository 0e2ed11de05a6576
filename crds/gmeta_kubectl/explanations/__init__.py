"""What each state and reason of a job means and what to do about it, as data; docs/states/ is made of it."""

from collections.abc import Mapping

from gmeta_kubectl.explanations.conditions import CONDITIONS
from gmeta_kubectl.explanations.entry import STATUS, Explanation, State
from gmeta_kubectl.explanations.states import EXPLANATIONS, FALLBACK_COMMAND, STATES
from gmeta_kubectl.explanations.waiting import NOT_SEEN

__all__ = ["CONDITIONS", "EXPLANATIONS", "STATES", "Explanation", "State", "explanation", "page_of"]

PAGES = "docs/states"


def explanation(state: str | None, reason: str | None) -> Explanation:
    """The explanation of a state and its reason; for a reason that is not in the table, what is known of the state."""
    if state is None:
        return NOT_SEEN
    anywhere: Mapping[str | None, Explanation] = {why: entry for (_, why), entry in EXPLANATIONS.items()}
    known = EXPLANATIONS.get((state, reason or "")) or anywhere.get(reason)
    return known or _of_state(state)


def page_of(state: str | None) -> str:
    """The docs page of a state."""
    name = state if state in STATES and state is not None else "Pending"
    return f"{PAGES}/{name.lower()}.md"


def _of_state(state: str) -> Explanation:
    general = STATES.get(state)
    command = FALLBACK_COMMAND.get(state, STATUS)
    if general is None:
        return Explanation(
            "This version of the plugin does not know that state.", "Use the operator's version.", command
        )
    return Explanation(general.meaning, general.advice, command)
