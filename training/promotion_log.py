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


def validate_reason(reason: str, option: str = "--force") -> str:
    """The reason as it is recorded; BadSetting where it is empty or not one short line."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise BadSetting(
            where=option,
            got=f"a reason of {len(reason)} characters" if reason else "no reason",
            rule=f"A reason is one line of up to {LONGEST_REASON} characters.",
            fix=f'Type the reason: {option} "the other one was trained on wrong data".',
        )
    return reason


@contextlib.contextmanager
def recorded_promotion(
    release: str,
    *,
    previous: str | None,
    forced: bool,
    reason: str | None,
    verdict: str,
    rolled_back: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Append and yield a line: time, release, previous, forced, reason, verdict.

    `rolled_back`: in the line of a rollback, the release that it left. The block does the
    promotion. After an error in it the line is taken off again. StoreFailed where the line cannot
    be written, and then the block does not run.
    """
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": release,
        "previous": previous,
        "forced": forced,
        "reason": reason,
        "verdict": verdict,
    } | ({"rolled_back": rolled_back} if rolled_back else {})
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


def read_promotions() -> list[dict[str, Any]]:
    """Every line of the log that names a release, the oldest first; none without a log.

    A line that was cut short (a power failure) is left out. StoreFailed where the log cannot be
    read.
    """
    try:
        text = log_path().read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/promotions.jsonl",
            got=error.strerror or "a read that failed",
            rule="The promotion log says what was served before.",
            fix="Grant read access to it, or serve a release by its id: lifecycle promote ID",
        ) from error
    lines = []
    for raw in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(raw)
            if isinstance(line, dict) and isinstance(line.get("release"), str):
                lines.append(line)
    return lines


def serving_order(served: str | None) -> list[str]:
    """The releases as they followed each other, the oldest first; the last one is served now.

    A rollback takes off what it left. `served`: the id in CURRENT, which decides where the log
    differs from it: a killed promotion left a line without effect, or CURRENT was written by hand.
    None where CURRENT names no release; the log alone counts then.
    """
    order: list[str] = []
    for line in read_promotions():
        _follow(order, line.get("previous"))
        if line.get("rolled_back") and line["release"] in order:
            del order[len(order) - order[::-1].index(line["release"]) :]
        else:
            _follow(order, line["release"], took_effect=True)
    _follow(order, served)
    return order


def _follow(order: list[str], release: object, *, took_effect: bool = False) -> None:
    """Let `release` be the last of the order."""
    if not isinstance(release, str) or order[-1:] == [release]:
        return
    if not took_effect and order[-2:-1] == [release]:
        order.pop()  # the promotion of the last one was recorded, and killed before its effect
    else:
        order.append(release)


def find_rollback(release: str) -> dict[str, Any] | None:
    """The line of the rollback that left the release, unless it was served again since."""
    for line in reversed(read_promotions()):
        if line["release"] == release:
            return None
        if line.get("rolled_back") == release:
            return line
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
