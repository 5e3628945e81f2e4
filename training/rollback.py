"""Rollback: serve the release again that was served before the present one.

What was served before stands in the promotion log. A rollback takes the present release off that
order, so a second one goes one further back, and none flips to and fro. It is verified as a
promotion is. The gate's objections are said and recorded, but stop nothing: the release was served
before. `promote` is the way forward; without a name it does not serve what was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.core.errors import LifecycleError, PromotionRefused, ReleaseRefused
from features.core.language import say
from features.core.progress import print_status
from serving.release.release import Release
from serving.release.release_store import PROMOTE_FIRST, served_release_id
from serving.release.sandbox import load_in_subprocess
from training import promotion_log
from training.promote import (
    check_promotion,
    find_release_folder,
    newest_ids,
    refuse_backfill,
    serve_release,
)

RULE = "A rollback serves the release that the promotion log names before the present one."


@dataclass(frozen=True)
class Rollback:
    """The `release` that is served now, the one `left`, and what a further rollback would serve."""

    release: Release
    left: str
    next: str | None


def rollback(*, reason: str | None = None) -> Rollback:
    """Verify the release that was served before the present one, and serve it.

    `reason` is recorded. ReleaseRefused where nothing was served before, or where that release is
    gone or damaged: the error names the next older one that loads. Errors change nothing.
    """
    reason = None if reason is None else promotion_log.validate_reason(reason, "--reason")
    order = promotion_log.serving_order(served_release_id())
    if len(order) < 2:
        raise _nothing_before(order)
    *older, name, left = order
    try:
        release = _load(name)
    except (PromotionRefused, ReleaseRefused) as error:
        raise _not_usable(name, error, older=[each for each in older if each != left]) from error
    check = check_promotion(release)
    for objection in check.objections:
        print_status(say("warning: {text}", text=objection))
    serve_release(release, check, reason=reason, forced=bool(check.objections), rolled_back=left)
    return Rollback(release, left, older[-1] if older else None)


def _load(name: str) -> Release:
    """The release, after a child process could load it. ReleaseRefused, PromotionRefused."""
    release = load_in_subprocess(find_release_folder(name))
    refuse_backfill(release)
    return release


def _nothing_before(order: list[str]) -> ReleaseRefused:
    got = f"no release before {order[0]}" if order else "no promotion"
    others = newest_ids(without=order[0] if order else None)
    fix = f"Type: lifecycle promote ID, with one of: {others}" if others else PROMOTE_FIRST
    return ReleaseRefused(
        where="mlruns/releases/promotions.jsonl", got=f"{got} in the log", rule=RULE, fix=fix
    )


def _not_usable(name: str, error: LifecycleError, *, older: list[str]) -> ReleaseRefused:
    """The refusal of the release before, with the newest of the `older` ones that loads."""
    fix = "No older release of the log loads. Train one: lifecycle train, then lifecycle promote."
    for each in dict.fromkeys(reversed(older)):
        print_status(say("looking at release {name}", name=each))
        try:
            check = check_promotion(_load(each))
        except (PromotionRefused, ReleaseRefused):
            continue
        force = ' --force "reason"' if check.objections else ""
        fix = f"The next older one that loads is {each}. Type: lifecycle promote {each}{force}"
        break
    return ReleaseRefused(
        where=f"release {name}, which was served before",
        got=error.got,
        rule=f"{RULE} It skips none.",
        fix=fix,
    )
