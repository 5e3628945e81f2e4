"""Settings other than in the file: `--set churn.horizon_days=60`, validated like the file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from typing import Any

from features.core.errors import BadSetting

OPTION = "--set"


def read_changes(texts: Iterable[str]) -> dict[str, Any]:
    """The value of each key from `key=value` texts; a later one wins.

    A value is read as in the file; what is no TOML value is text, so quotes are not needed.
    BadSetting for a text without a key or without =.

    >>> read_changes(["churn.horizon_days=60", "business.zone=Europe/Berlin", "features.off=['a']"])
    {'churn.horizon_days': 60, 'business.zone': 'Europe/Berlin', 'features.off': ['a']}
    """
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not all(name.strip() for name in key.split(".")):
            raise BadSetting(
                where=OPTION,
                got="no KEY=VALUE",
                rule="A change is a key with its section, =, and the value.",
                fix=f"For example: {OPTION} churn.horizon_days=60.",
                values=[text],
            )
        changes[key.strip()] = _read_value(value)
    return changes


def change_mapping(mapping: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a parsed TOML with the value of each dotted key set; sections are made.

    Whether a key is known, and its value allowed, is for the settings to say. BadSetting for a key
    below a value.

    >>> change_mapping({"churn": {"grace_days": 3}}, {"churn.horizon_days": 60})
    {'churn': {'grace_days': 3, 'horizon_days': 60}}
    """
    changed = dict(mapping)
    for key, value in changes.items():
        section, names = changed, [name.strip() for name in key.split(".")]
        for name in names[:-1]:
            inner = section.get(name, {})
            if not isinstance(inner, Mapping):
                raise BadSetting(
                    where=f"{OPTION} {key}",
                    got=f"a key below {name}, which is a value",
                    rule="Only a section has keys.",
                    fix=f"{OPTION} {name}=… changes the value itself.",
                )
            section[name] = dict(inner)
            section = section[name]
        section[names[-1]] = value
    return changed


def change_text(key: str, value: Any) -> str:
    """The inverse of `read_changes` for one change.

    >>> change_text("business.name", "A shop"), change_text("features.off", ["a", "b"])
    ('business.name=A shop', 'features.off=["a", "b"]')
    """
    plain = isinstance(value, str) and _read_value(value) == value
    return f"{key}={value if plain else _toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(value[key])}" for key in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    # A number, inf and nan too, true or false, or a day.
    return value.isoformat() if isinstance(value, date | time) else str(value).lower()


def _read_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()
    # A line break in the text would make further keys. A day is text in the settings.
    is_value = len(parsed) == 1 and not isinstance(parsed["value"], date | time)
    return parsed["value"] if is_value else text.strip()
