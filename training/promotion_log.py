"""Which release was served when, and why: a line per promotion, and its tags in MLflow.

The lines stand in mlruns/releases/promotions.jsonl.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
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


@contextlib.contextmanager
def recorded_promotion(
    release: str, *, previous: str | None, forced: bool, reason: str | None, verdict: str
) -> Iterator[dict[str, Any]]:
    """Append and yield a line: time, release, previous, forced, reason, verdict.

    The block does the promotion. After an error in it the line is taken off again. StoreFailed
    where the line cannot be written, and then the block does not run.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release,
        "previous": previous,
        "forced": forced,
        "reason": reason,
        "verdict": verdict,
    }
    raw = (json.dumps(line, ensure_ascii=False) + "\n").encode()
    before = _append(raw)
    try:
        yield line
    except BaseException:
        _take_off(raw, before)
        raise


def _append(raw: bytes) -> int:
    """Append the bytes of a line and return the size before. StoreFailed, and no part of the line,
    where that fails.
    """
    before = 0
    try:
        with log_path().open("ab") as file:
            before = file.tell()
            file.write(raw)
    except OSError as error:
        _take_off(raw, before)
        raise StoreFailed(
            where="mlruns/releases/promotions.jsonl",
            got=error.strerror or "a write that failed",
            rule="A promotion and its record are written together.",
            fix="Free disk space or grant write access, then promote again.",
        ) from error
    return before


def _take_off(raw: bytes, before: int) -> None:
    """Cut a line, or a part of it, off again, unless another promotion was recorded after it."""
    # The error of the promotion is the one to report.
    with contextlib.suppress(OSError), log_path().open("rb+") as file:
        file.seek(before)
        if raw.startswith(file.read()):
            file.truncate(before)


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
