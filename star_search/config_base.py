"""What every section of the configuration is made of: numbers within bounds, and the frozen section that refuses unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: object) -> object:
    """Let 1.3e9 stand where an integer is asked for."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Integer = Annotated[int, BeforeValidator(_whole)]
LARGEST = 2**63 - 1  # What 64 bits hold; more would overflow where it becomes a floating-point number.
Count = Annotated[Integer, Field(ge=0, le=LARGEST)]
Positive = Annotated[Integer, Field(gt=0, le=LARGEST)]
Factor = Annotated[Integer, Field(ge=1, le=64)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0)]
Betas = Annotated[tuple[Fraction, Fraction], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
