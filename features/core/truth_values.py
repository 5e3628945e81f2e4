"""Settings that are numbers: true and false are none, though pydantic takes true for 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args


def refuse_truth_as_number(values: Any, types: Mapping[str, Any]) -> Any:
    """The values of a section; ValueError for true or false where its `types` want numbers.

    `types`: the annotation of each setting, by name.
    """
    for name, value in values.items() if isinstance(values, dict) else ():
        parts = list(_types_in(types.get(name)))
        takes_numbers = int in parts or float in parts
        if takes_numbers and bool not in parts and _has_truth(value):
            raise ValueError(f"{name} takes numbers, and true or false is none")
    return values


def _types_in(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, such as str and float of dict[str, float]."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _types_in(part)


def _has_truth(value: Any) -> bool:
    """Whether a value, or one inside a list or a mapping, is true or false."""
    if isinstance(value, dict):
        value = list(value.values())
    return any(map(_has_truth, value)) if isinstance(value, list) else type(value) is bool
