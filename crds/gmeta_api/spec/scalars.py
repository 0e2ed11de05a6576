"""Value types that several groups of the manifest share, each with its bounds."""

from typing import Annotated

from pydantic import Field

from gmeta_api.spec import patterns
from gmeta_api.spec.base import Rule

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=patterns.DNS_LABEL)]
"""RFC 1123 label: names of volumes and of label-like things."""

DnsSubdomain = Annotated[str, Field(min_length=1, max_length=253, pattern=patterns.DNS_SUBDOMAIN)]
"""RFC 1123 subdomain: names of Kubernetes objects."""

Identifier = Annotated[str, Field(min_length=1, max_length=63, pattern=patterns.IDENTIFIER)]
"""Names that a user gives to features, labels, vocabularies and phases."""

RelativePath = Annotated[
    str,
    Field(min_length=1, max_length=512),
    Rule(
        r"!self.matches('^/|(^|/)[.][.](/|$)')",
        "must be relative to the volume: no leading '/' and no '..'",
    ),
]
"""A path below a volume."""

ColumnName = Annotated[str, Field(min_length=1, max_length=256)]
"""A column of the source, spelled as in its header."""

SqlExpression = Annotated[str, Field(min_length=1, max_length=2048)]
"""An SQL expression over the columns of the joined source (DuckDB's dialect)."""

Rate = Annotated[float, Field(gt=0, le=1000)]
"""A learning rate."""

LayerSize = Annotated[int, Field(ge=1, le=65536)]
"""Outputs of a dense layer."""

Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
"""A duration of at most a year."""

PositiveSeconds = Annotated[int, Field(ge=1, le=31_536_000)]
"""A duration of at least a second and at most a year."""

Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Start of a random sequence."""

StepCount = Annotated[int, Field(ge=1, le=1_000_000_000)]
"""A number of training steps."""

EpochCount = Annotated[int, Field(ge=1, le=100_000)]
"""A number of passes over the training tasks."""
