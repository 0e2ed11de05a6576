"""What happens when processes, pods or nodes fail."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gmeta_api.spec import patterns
from gmeta_api.spec.base import ListMap, Rule, SpecModel
from gmeta_api.spec.scalars import DnsLabel, PositiveSeconds, Seconds

PodReason = Annotated[str, Field(min_length=1, max_length=128, pattern=patterns.POD_REASON)]
PodCondition = Annotated[str, Field(min_length=1, max_length=253, pattern=patterns.LABEL_KEY)]

REGULAR_EXPRESSION = Rule("''.matches(self) in [true, false]", "must be a regular expression in RE2 syntax")
"""It cannot be evaluated for anything else, and so does not hold."""

SELECTORS = ("exitCodes", "reasons", "conditions", "message")


class FailureRuleSpec(SpecModel):
    """What is done about failures of one kind."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            " || ".join(f"has(self.{name})" for name in SELECTORS),
            "name the failures by exitCodes, reasons, conditions, message or several of them",
        ),
    )

    name: DnsLabel = Field(description="Name of the rule, shown in the status.")
    exit_codes: (
        Annotated[tuple[Annotated[int, Field(ge=1, le=255)], ...], Field(min_length=1, max_length=64)] | None
    ) = Field(default=None, description="Exit codes that the rule is for.")
    reasons: Annotated[tuple[PodReason, ...], Field(min_length=1, max_length=32)] | None = Field(
        default=None, description="Reasons of a pod's end that the rule is for, such as Evicted or OOMKilled."
    )
    conditions: Annotated[tuple[PodCondition, ...], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="Conditions of a pod of which one is true, such as DisruptionTarget."
    )
    message: Annotated[str, Field(min_length=1, max_length=256), REGULAR_EXPRESSION] | None = Field(
        default=None, description="Regular expression (RE2) that is found in the last words of the process."
    )
    action: Literal["Restart", "RestartUncounted", "Fail"] = Field(
        description="Restart counts against backoffLimit, RestartUncounted does not, Fail ends the job at once."
    )


class FaultToleranceSpec(SpecModel):
    """What happens when processes, pods or nodes fail."""

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.restartBackoffSeconds <= self.maxBackoffSeconds",
            "must not be above maxBackoffSeconds",
            "restartBackoffSeconds",
        ),
    )

    backoff_limit: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=6, description="Counted restarts without a new commit between them after which the job fails."
    )
    restart_backoff_seconds: PositiveSeconds = Field(
        default=10,
        description="Wait before a counted restart; it doubles with every further one without a new commit.",
    )
    max_backoff_seconds: PositiveSeconds = Field(default=360, description="Longest wait before a restart.")
    heartbeat_seconds: PositiveSeconds = Field(
        default=30, description="Silence after which the coordinator takes a process for dead."
    )
    avoid_nodes_seconds: Seconds = Field(
        default=3600,
        description="Time for which the pods of all jobs rather go elsewhere after a node has failed; 0: they do not.",
    )
    rules: Annotated[tuple[FailureRuleSpec, ...], Field(max_length=32), ListMap("name")] = Field(
        default=(), description="What is done about failures; the first rule that matches counts."
    )
