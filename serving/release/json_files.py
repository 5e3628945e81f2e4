"""The JSON files of a release: written the same way every time, and read strictly."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

from features.core.errors import ReleaseRefused

NEVER_EDIT = "Train again, or promote another release; never edit a release."
MOST_LEVELS = 32  # of lists and objects inside each other; an evaluation has about eight
LARGEST_INTEGER = 2**63


def write_json(path: Path, value: Any) -> None:
    """JSON whose bytes depend on the value alone; ValueError for NaN and infinity."""
    # Sorted keys: equal content must give equal hashes.
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of the release `name`; ReleaseRefused for any other content."""
    try:
        return parse_object(path.read_bytes())
    except (OSError, ValueError) as error:
        rule = f"It is a JSON object, at most {MOST_LEVELS} levels deep, with finite numbers and "
        raise ReleaseRefused(
            where=f"release {name}",
            got=f"{path.name}: no readable JSON",
            rule=rule + "no key twice.",
            fix=NEVER_EDIT,
        ) from error


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in UTF-8 bytes.

    ValueError for anything else, and for what JSON readers disagree about: NaN, infinity, whole
    numbers beyond 64 bits, a key twice, half of a surrogate pair, very deep nesting.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_float=_finite_float,
            parse_int=_short_integer,
            parse_constant=_finite_float,
        )
    except RecursionError as error:
        raise ValueError("too many levels") from error
    _check_values(value, MOST_LEVELS)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key twice")
    return result


def _finite_float(text: str) -> float:
    if not isfinite(number := float(text)):
        raise ValueError("a number that is not finite")
    return number


def _short_integer(text: str) -> int:
    if abs(number := int(text)) >= LARGEST_INTEGER:
        raise ValueError("a whole number beyond 64 bits")
    return number


def _check_values(value: Any, levels: int) -> None:
    """ValueError for more levels than `levels`, and for texts that have no UTF-8 form."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict | list):
        if not levels:
            raise ValueError("too many levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_values(inner, levels - 1)
        if isinstance(value, dict):
            "".join(value).encode()
