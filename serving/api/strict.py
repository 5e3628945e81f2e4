"""JSON as strict as the data contract: what Python's reader would accept silently is refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from features.core.errors import Malformed

# Far above the columns of any table: an object with a million unknown names is refused before each
# name becomes an error of its own.
MAX_KEYS = 100


def read_json(body: bytes) -> Any:
    """The value of a JSON body.

    Malformed for bad UTF-8, bad JSON, NaN, Infinity, repeated keys, integers with thousands of
    digits.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise malformed_error(
            "body", "bytes that are no UTF-8", "A body is JSON in UTF-8."
        ) from error
    except RecursionError as error:
        got, rule = "values nested too deep", "A request is three levels deep."
        raise malformed_error("body", got, rule) from error
    except ValueError as error:  # JSONDecodeError, and integers with thousands of digits
        raise malformed_error(
            "body", "text that is no JSON", "A body is one JSON object."
        ) from error


def malformed_error(where: str, got: str, rule: str) -> Malformed:
    """The refusal of a field: its path, what it is, and its rule; never its value."""
    fix = "Correct the field as the page /reference describes it, and send the request again."
    return Malformed(where=where, got=got, rule=rule, fix=fix)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        rule = f"An object has at most {MAX_KEYS} keys."
        raise malformed_error("body", "an object with too many keys", rule)
    result = dict(pairs)
    if len(result) != len(pairs):
        rule = "An object has each key once."
        raise malformed_error("body", "an object with a key twice", rule)
    return result


def _constant(_: str) -> NoReturn:
    raise malformed_error("body", "NaN or an infinity", "Numbers are finite.")
