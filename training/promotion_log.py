"""Which release was served when, and why: a line per promotion, and its tags in MLflow.

The lines stand in mlruns/releases/promotions.jsonl.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.core.errors import BadSetting, StoreFailed
from serving.release import release as releases

LONGEST_REASON = 500


def log_path() -> Path:
    return releases.releases_folder() / "promotions.jsonl"


def validate_reason(reason: str) -> str:
    """The reason as it is recorded; BadSetting where it is empty or not one short line."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadSetting(
            where="--force",
            got=f"a reason of {len(reason)} characters" if reason else "no reason",
            rule=f"A forced promotion needs a reason: one line, up to {LONGEST_REASON} characters.",
            fix='Type the reason: --force "the old one was trained on wrong data".',
        )
    return reason


def append_promotion(
    release: str, *, previous: str | None, forced: bool, reason: str | None, verdict: str
) -> dict[str, Any]:
    """Append and return a line: time, release, previous, forced, reason, verdict.

    StoreFailed where it cannot be written.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release,
        "previous": previous,
        "forced": forced,
        "reason": reason,
        "verdict": verdict,
    }
    try:
        with log_path().open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/promotions.jsonl",
            got=error.strerror or "a write that failed",
            rule="Every promotion is recorded before it happens.",
            fix="Free disk space or grant write access, then promote again.",
        ) from error
    return line


def find_promotion(release: str) -> dict[str, Any] | None:
    """The newest line of a release; None where there is none or the log cannot be read."""
    try:
        lines = [json.loads(line) for line in log_path().read_text(encoding="utf-8").splitlines()]
        return next((line for line in reversed(lines) if line["release"] == release), None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def promotion_tags(release: str) -> dict[str, str]:
    """The newest line of a release as tags: promoted, promoted.verdict, .forced and .reason."""
    line = find_promotion(release)
    if line is None:
        return {}
    tags = {
        "promoted": line["time"],
        "promoted.verdict": line["verdict"],
        "promoted.forced": str(line["forced"]).lower(),
    }
    return tags | ({"promoted.reason": line["reason"]} if line["reason"] else {})
