"""What the rules of all files of a release share: strict types, finite numbers, no unknown key."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from features.core.contract import EARLIEST_US, LATEST_US
from features.core.errors import ReleaseRefused
from features.recipes.stages import STAGES
from serving.release.json_files import NEVER_EDIT

LONGEST_NAME = 40  # of a key that an error shows


class Rules(BaseModel):
    """The keys of a JSON object, each with its type and range. Nothing is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


R = TypeVar("R", bound=Rules)


def _check_stage(stage: str) -> str:
    if stage not in STAGES:
        raise ValueError("not one of the stages")
    return stage


Stage = Annotated[str, AfterValidator(_check_stage)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Instant = Annotated[int, Field(ge=EARLIEST_US, le=LATEST_US)]  # µs UTC
Numbers = list[float]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]  # of a release
Text = Annotated[str, Field(min_length=1)]


def optional_key(alias: str | None = None) -> Any:
    """A key that may be left out, but where it is there it is not null. `alias`: as in the file."""
    return Field(default=None, alias=alias)


def check_unique(values: Sequence[object]) -> None:
    """ValueError where a value is there twice."""
    if len(set(values)) < len(values):
        raise ValueError("a value twice")


def check_rising(values: Sequence[float], *, by: float = 0.0) -> None:
    """ValueError where a value is less than `by` above the one before."""
    if any(after - before < by for before, after in pairwise(values)):
        raise ValueError("values that do not rise")


def check_rules(rules: type[R], value: object, *, file: str, name: str) -> R:
    """The value as an object of these rules; ReleaseRefused for the first rule that it breaks.

    The error names the key and the rule, and never shows a value.
    """
    try:
        return rules.model_validate(value)
    except ValidationError as error:
        got = f"{file}: {_rule_text(error.errors(include_url=False, include_input=False)[0])}"
        raise broken_file(name, got) from error


def broken_file(name: str, got: str) -> ReleaseRefused:
    """The error for a file of the release `name` that breaks a rule."""
    return ReleaseRefused(
        where=f"release {name}",
        got=got,
        rule="Every file of a release has the keys, types and ranges that training writes.",
        fix=NEVER_EDIT,
    )


def _rule_text(first: ErrorDetails) -> str:
    # Of several kinds of an entry, the place names the class of the kind as well.
    place = [part for part in first["loc"] if part != "[key]" and not str(part).endswith("Rules")]
    if first["type"] == "extra_forbidden":
        # The key itself is part of the unknown content.
        return f"{_place_text(place[:-1])}an unknown key"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "union_tag_invalid":  # its message shows the value
        message = f"kind is not one of {first['ctx']['expected_tags']}"
    return f"{_place_text(place)}{message[:1].lower()}{message[1:]}"


def _place_text(place: Sequence[str | int]) -> str:
    """`churn.0.mean: `, with … for what is no usual key."""
    parts = [str(part) for part in place]
    usual = [part.replace("_", "").replace("-", "").isalnum() for part in parts]
    shown = [
        part if is_usual and len(part) <= LONGEST_NAME else "…"
        for part, is_usual in zip(parts, usual, strict=True)
    ]
    return f"{'.'.join(shown)}: " if shown else ""
