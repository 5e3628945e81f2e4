"""Promotion: verify a release, then write its id to CURRENT. CURRENT alone decides what is served.

A manual promotion is refused where the scores are rates (status not ok) or the gate refused the
release, unless it is forced with a reason. The alias `champion` of the registered models follows.
While MLflow's store cannot be reached the alias is late; the next promotion, the next training,
`repair` or `lifecycle runs` moves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from features.core.errors import PromotionRefused, ReleaseRefused, StoreFailed
from features.core.instants import day_text
from features.core.language import say
from features.core.progress import print_status, stop_if_interrupted
from features.core.staged_files import staged_file
from serving.release import release as releases
from serving.release.json_files import read_json
from serving.release.manifest import creation_time
from serving.release.release_store import is_release_id, served_release_id, stored_folders
from serving.release.sandbox import load_in_subprocess
from serving.release.seen_future import FILE as SEEN_FILE
from serving.release.seen_future import is_backfill
from training import promotion_log
from training.evaluation import gate
from training.tracking import tracking
from training.tracking.tracking import lagging_models, repair

__all__ = [
    "check_promotion",
    "check_successor",
    "lagging_models",
    "newest_release_folder",
    "promote",
    "repair",
    "serve_release",
    "served_release_id",
]


@dataclass(frozen=True)
class PromotionCheck:
    """Why a release must not be served (`objections`), and what else is to be known (`note`)."""

    objections: tuple[str, ...]
    note: str | None

    @property
    def verdict(self) -> str:
        """The result on one line, for the promotion log."""
        if self.objections:
            return f"{gate.REFUSED}: {'; '.join(self.objections)}"
        return f"{gate.NOT_JUDGED}: {self.note}" if self.note else gate.PASSES


def promote(name: str | None = None, *, force: str | None = None) -> releases.Release:
    """Manual promotion of release `name` (default: the newest): verify, check, then serve it.

    A child process loads it first: a crafted release must not crash the command. PromotionRefused
    where the check has objections and `force` gives no reason.
    """
    reason = None if force is None else promotion_log.validate_reason(force)
    release = load_in_subprocess(find_release_folder(name))
    refuse_backfill(release)
    # Who names a release may want the older one, or the one that was rolled back.
    check = check_promotion(release) if name else check_successor(release)
    if name is None:
        objections = (*check.objections, *_older_than_served(release))
        check = replace(check, objections=objections)
    if check.note:
        print_status(say("warning: {text}", text=check.note))
    if check.objections and reason is None:
        raise refusal_error(release, check)
    return serve_release(release, check, reason=reason, forced=reason is not None)


def refuse_backfill(release: releases.Release) -> None:
    """PromotionRefused for a release of a backfill."""
    if release.seen.purpose != "backfill":
        return
    raise PromotionRefused(
        where=f"release {release.id}",
        got="a release of a backfill",
        rule="A backfill's releases score past dates alone; none is ever served, by force neither.",
        fix="Leave ID out for the newest release of `lifecycle train`. Type: lifecycle promote",
    )


def refusal_error(release: releases.Release, check: PromotionCheck) -> PromotionRefused:
    return PromotionRefused(
        where=f"release {release.id}",
        got="; ".join(check.objections),
        rule="A release is served where it has skill, is no worse than the served one, and has "
        "learned no less of the past.",
        fix=f"Read its card, {release.folder / 'card.md'}: equal data and settings train it again. "
        "Add history or change the configuration; or serve it all the same and give the reason: "
        f'lifecycle promote {release.id} --force "reason".',
    )


def check_promotion(release: releases.Release) -> PromotionCheck:
    """The objections to serving this release.

    The gate's verdict counts only where it was reached against the release that is served now.
    """
    status, served = release.scorer.status, served_release_id()
    judged = release.evaluation.get("gate")
    objections = [] if status == "ok" else [f"its status is {status}: its scores are rates"]
    # Some objections hold whatever is served.
    objections += judged.get("own", []) if judged else []
    if served in (None, release.id):
        return PromotionCheck(tuple(objections), None)
    if judged is None or judged["champion"] != served:
        return PromotionCheck(tuple(objections), _not_judged_note(judged, served))
    if judged["verdict"] == gate.NOT_JUDGED:
        note = f"the gate did not judge it: {'; '.join(judged['why'])}"
        return PromotionCheck(tuple(objections), note)
    if judged["verdict"] == gate.REFUSED:
        objections += [one for one in judged["why"] if one not in objections]
    return PromotionCheck(tuple(objections), None)


def check_successor(release: releases.Release) -> PromotionCheck:
    """As `check_promotion`, for a release that nobody named: one that was rolled back stays so."""
    check, line = check_promotion(release), promotion_log.find_rollback(release.id)
    if line is None or served_release_id() == release.id:
        return check
    reason = f": {line['reason']}" if line.get("reason") else ""
    objection = f"it was rolled back at {line['time']}{reason} (promote {release.id} serves it)"
    return replace(check, objections=(*check.objections, objection))


def _older_than_served(release: releases.Release) -> list[str]:
    """Why a release of an earlier day is no successor; empty for a newer one."""
    served = served_release_id()
    if served is None:
        return []
    try:
        later = read_json(releases.releases_folder() / served / SEEN_FILE, served)
        until = int(later["outcomes_until"])
    except (ReleaseRefused, KeyError, TypeError, ValueError):
        return []
    if until <= release.seen.outcomes_until:
        return []
    mine, theirs = (day_text(at, zone=release.zone) for at in (release.seen.outcomes_until, until))
    return [f"it has learned outcomes until {mine}, the served release until {theirs}"]


def _not_judged_note(judged: dict[str, Any] | None, served: str) -> str:
    if got := _other_format(served):
        return f"the served release {served} has {got} and cannot be compared with this one"
    champion = judged["champion"] if judged else None
    if not champion:
        return f"the gate has not compared this release with the served release {served}"
    return (
        f"the gate compared this release with release {champion}, and not with the served "
        f"release {served}"
    )


def _other_format(served: str) -> str:
    """The format of the served release in words; '' where this version reads it."""
    try:
        releases.verify_release(releases.releases_folder() / served)
    except ReleaseRefused as error:
        # A damaged release has another fix.
        return error.got if error.fix == releases.TRAIN_AGAIN else ""
    return ""


def serve_release(
    release: releases.Release,
    check: PromotionCheck,
    *,
    reason: str | None = None,
    forced: bool = False,
    rolled_back: str | None = None,
) -> releases.Release:
    """Record the promotion and replace CURRENT: both or neither, whatever the objections.

    `rolled_back`: the release that a rollback leaves.

    The alias `champion` follows if MLflow's store can be reached; a promotion never fails for it.
    """
    stop_if_interrupted()
    with promotion_log.recorded_promotion(
        release.id,
        previous=served_release_id(),
        forced=forced,
        reason=reason,
        verdict=check.verdict,
        rolled_back=rolled_back,
    ):
        _write_current(release.id)
    try:
        tracking.repair()
    except StoreFailed as error:
        print_status(
            say("served; the alias champion in MLflow follows later ({why})", why=error.got)
        )
    return release


def _write_current(name: str) -> None:
    """Replace CURRENT atomically. StoreFailed where it cannot be written."""
    try:
        with staged_file(releases.releases_folder() / "CURRENT") as staged:
            staged.write_text(name + "\n")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/CURRENT",
            got=error.strerror or "a write that failed",
            rule="The release store must be writable.",
            fix="Free disk space or grant write access, then promote again.",
        ) from error


def find_release_folder(name: str | None) -> Path:
    """The folder of a release in the store (default: the newest). ReleaseRefused for no id."""
    if name is None:
        return newest_release_folder()
    folder = releases.releases_folder() / name
    # A path would serve a folder that nothing else can find by the id in CURRENT.
    if not is_release_id(name) or not (folder / "manifest.json").is_file():
        raise ReleaseRefused(
            where="promote",
            got="no such release",
            rule="ID is the name of a folder under mlruns/releases: 16 hex digits.",
            fix=f"Leave ID out for the newest, or choose one of: {newest_ids() or 'none yet'}.",
            values=[name],
        )
    return folder


def newest_ids(*, without: str | None = None) -> str:
    """The ids of the three newest releases, the newest first; '' without one."""
    folders = [folder for folder in stored_folders() if folder.name != without]
    times = [(creation_time(folder), folder.name) for folder in folders]
    newest = sorted(((at, name) for at, name in times if at is not None), reverse=True)
    return ", ".join(name for _, name in newest[:3])


def newest_release_folder() -> Path:
    """The folder of the release that was written last; damaged manifests and releases of a
    backfill are skipped.

    ReleaseRefused where there is none.
    """
    folders = [folder for folder in stored_folders() if not is_backfill(folder)]
    by_folder = {folder: creation_time(folder) for folder in folders}
    readable = {folder: at for folder, at in by_folder.items() if at}
    if not readable:
        raise ReleaseRefused(
            where="promote",
            got="no release with a readable manifest" if by_folder else "no release",
            rule="`lifecycle train` writes releases.",
            fix="Type: lifecycle train",
        )
    return max(readable, key=lambda folder: readable[folder])
