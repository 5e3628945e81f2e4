"""Who was served when, and why: a line a promotion in mlruns/releases/promotions.jsonl, and its tags in MLflow."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.core.errors import BadSetting, StoreFailed
from serving.release import release as releases

LONGEST_REASON = 500


def path() -> Path:
    return releases.releases() / "promotions.jsonl"


def stated(reason: str) -> str:
    """The reason as it is recorded; BadSetting for none, or one that is no line of text."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadSetting(
            where="--force",
            got="no reason" if not reason else "a reason that is no short line",
            rule=f"A forced promotion has a reason: one line, up to {LONGEST_REASON} characters.",
            fix='Say why: --force "the old one was trained on wrong data".',
        )
    return reason


def append(
    release: str, *, previous: str | None, forced: bool, reason: str | None, verdict: str
) -> dict[str, Any]:
    """Add a line: time, release, previous, forced, reason, verdict; the line. StoreFailed where it cannot be written."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release,
        "previous": previous,
        "forced": forced,
        "reason": reason,
        "verdict": verdict,
    }
    try:
        with path().open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/promotions.jsonl",
            got=error.strerror or "a write that failed",
            rule="Every promotion is recorded before it happens.",
            fix="Free space or rights; promote again.",
        ) from error
    return line


def of(release: str) -> dict[str, Any] | None:
    """The newest line of a release; None where there is none, or none that can be read."""
    try:
        lines = [json.loads(line) for line in path().read_text(encoding="utf-8").splitlines()]
        return next((line for line in reversed(lines) if line["release"] == release), None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def tags(release: str) -> dict[str, str]:
    """The newest line of a release as tags: promoted, promoted.verdict, promoted.forced, promoted.reason."""
    line = of(release)
    if line is None:
        return {}
    found = {
        "promoted": line["time"],
        "promoted.verdict": line["verdict"],
        "promoted.forced": str(line["forced"]).lower(),
    }
    return found | ({"promoted.reason": line["reason"]} if line["reason"] else {})
