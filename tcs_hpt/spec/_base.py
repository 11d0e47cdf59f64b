"""What every declaration is made of: plain values, names that can be spelled everywhere, and strict immutable models."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints

Scalar: TypeAlias = bool | int | float | str
"""A value of a parameter."""

Config: TypeAlias = dict[str, Scalar]
"""A configuration: the active parameters and their values."""

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=64)]
"""A parameter or metric name: what a command line, an environment variable and a model can all spell."""


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
