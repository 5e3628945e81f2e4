"""JSON as strictly as the contract: what Python's reader would let pass quietly is refused here."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from features.core.errors import Malformed

MOST_KEYS = 100  # far above any table's columns: a million unknown names are refused before each becomes an error


def read(body: bytes) -> Any:
    """The value of a JSON body; Malformed for bad UTF-8, bad JSON, NaN, Infinity, repeated keys, numbers without end."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise refused("body", "bytes that are no UTF-8", "A body is JSON in UTF-8.") from error
    except RecursionError as error:
        raise refused(
            "body", "values nested too deep", "A request is three levels deep."
        ) from error
    except ValueError as error:  # JSONDecodeError, and integers with thousands of digits
        raise refused("body", "text that is no JSON", "A body is one JSON object.") from error


def refused(where: str, got: str, rule: str) -> Malformed:
    return Malformed(
        where=where,
        got=got,
        rule=rule,
        fix="See the reference at /, mend the field named, send it again.",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:
        raise refused(
            "body", "an object with too many keys", f"An object has at most {MOST_KEYS} keys."
        )
    made = dict(pairs)
    if len(made) != len(pairs):
        raise refused("body", "an object that names a key twice", "A key stands once in an object.")
    return made


def _constant(_: str) -> NoReturn:
    raise refused("body", "NaN or an infinity", "Numbers are finite.")
