"""What the configuration of a run has other than that of the champion, by its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.core.settings import Settings

# A run that recorded its whole configuration has this parameter.
WHOLE = "churn.horizon_days"
SHA = ".sha256"
SHOWN, LONGEST = 5, 40
ABSENT = "–"


def changed_settings(
    champion: Mapping[str, str], run: Mapping[str, str]
) -> dict[str, dict[str, str | None]] | None:
    """{key: {"champion": …, "run": …}} of the settings that differ; None: not recorded in one.

    A value is None where that run has no such setting. SELECTs and paths are there as hashes.

    >>> changed_settings({"churn.horizon_days": "30"}, {"churn.horizon_days": "60"})
    {'churn.horizon_days': {'champion': '30', 'run': '60'}}
    """
    if WHOLE not in champion or WHOLE not in run:
        return None
    keys = sorted(name for name in {*champion, *run} if _is_setting(name))
    return {
        name: {"champion": champion.get(name), "run": run.get(name)}
        for name in keys
        if champion.get(name) != run.get(name)
    }


def _is_setting(name: str) -> bool:
    """Of a section of the configuration, and not what a training chose or counted."""
    section, dot, _ = name.partition(".")
    return bool(dot) and section in Settings.model_fields


def changes_text(changes: Mapping[str, Mapping[str, Any]] | None) -> str:
    """`differs from the champion: churn.horizon_days 30 → 60`; empty where nothing differs."""
    if not changes:
        return ""
    texts = [_change_text(name, change) for name, change in changes.items()]
    more = len(texts) - SHOWN
    rest = f"; and {more} more settings (--json has all)" if more > 0 else ""
    return f"differs from the champion: {', '.join(texts[:SHOWN])}{rest}"


def _change_text(name: str, change: Mapping[str, Any]) -> str:
    if name.endswith(SHA):
        return f"{name.removesuffix(SHA)} is another"  # a hash says nothing to a reader
    return f"{name} {_short(change['champion'])} → {_short(change['run'])}"


def _short(value: str | None) -> str:
    if value is None:
        return ABSENT
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
