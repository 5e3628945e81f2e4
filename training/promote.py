"""Promotion: verify a release, then write its id to CURRENT. CURRENT alone decides what is served.

A manual promotion is refused where the scores are rates (status not ok) or the gate refused the
release, unless it is forced with a reason. The alias `champion` of the registered models follows.
While MLflow's store cannot be reached the alias is late; the next promotion, the next training,
`repair` or `lifecycle runs` moves it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.core.errors import PromotionRefused, ReleaseRefused, StoreFailed
from features.core.progress import print_status, stop_if_interrupted
from features.core.staged_files import staged_file
from serving.release import release as releases
from training import promotion_log
from training.evaluation import gate
from training.tracking import tracking
from training.tracking.tracking import lagging_models, repair

__all__ = [
    "check_promotion",
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

    PromotionRefused where the check has objections and `force` gives no reason.
    """
    reason = None if force is None else promotion_log.validate_reason(force)
    release = releases.load_release(find_release_folder(name))
    check = check_promotion(release)
    if check.note:
        print_status(f"warning: {check.note}")
    if check.objections and reason is None:
        raise refusal_error(release, check)
    return serve_release(release, check, reason=reason, forced=reason is not None)


def refusal_error(release: releases.Release, check: PromotionCheck) -> PromotionRefused:
    return PromotionRefused(
        where=f"release {release.id}",
        got="; ".join(check.objections),
        rule="A release is served where it has skill and is no worse than the served one.",
        fix="Train again, or promote it manually and give the reason: "
        f'lifecycle promote {release.id} --force "reason".',
    )


def check_promotion(release: releases.Release) -> PromotionCheck:
    """The objections to serving this release.

    The gate's verdict counts only where it was reached against the release that is served now.
    """
    status, served = release.scorer.status, served_release_id()
    objections = [] if status == "ok" else [f"its status is {status}: its scores are rates"]
    if served in (None, release.id):
        return PromotionCheck(tuple(objections), None)
    judged = release.evaluation.get("gate")
    if judged is None or judged["champion"] != served:
        return PromotionCheck(tuple(objections), _not_judged_note(judged, served))
    if judged["verdict"] == gate.NOT_JUDGED:
        note = f"the gate did not judge it: {'; '.join(judged['why'])}"
        return PromotionCheck(tuple(objections), note)
    if judged["verdict"] == gate.REFUSED:
        objections += judged["why"]
    return PromotionCheck(tuple(objections), None)


def _not_judged_note(judged: dict[str, Any] | None, served: str | None) -> str:
    champion = judged["champion"] if judged else None
    other = f"release {champion}, which is not the served one" if champion else "no release"
    return f"the gate compared this release with {other}, and not with the served release {served}"


def serve_release(
    release: releases.Release,
    check: PromotionCheck,
    *,
    reason: str | None = None,
    forced: bool = False,
) -> releases.Release:
    """Record the promotion, then replace CURRENT atomically, whatever the objections.

    The alias `champion` follows if MLflow's store can be reached; a promotion never fails for it.
    """
    stop_if_interrupted()
    promotion_log.append_promotion(
        release.id,
        previous=served_release_id(),
        forced=forced,
        reason=reason,
        verdict=check.verdict,
    )
    try:
        with staged_file(releases.releases_folder() / "CURRENT") as staged:
            staged.write_text(release.id + "\n")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/CURRENT",
            got=error.strerror or "a write that failed",
            rule="The release store must be writable.",
            fix="Free disk space or grant write access, then promote again.",
        ) from error
    try:
        tracking.repair()
    except StoreFailed as error:
        print_status(f"served; the alias champion in MLflow follows later ({error.got})")
    return release


def served_release_id() -> str | None:
    """The id in CURRENT; None where nothing was promoted yet."""
    try:
        return releases.current_release_folder().name
    except ReleaseRefused:
        return None


def find_release_folder(name: str | None) -> Path:
    """The folder of a release (default: the newest)."""
    folder = releases.releases_folder() / name if name else newest_release_folder()
    if not (folder / "manifest.json").is_file():
        raise ReleaseRefused(
            where="promote",
            got="no such release",
            rule="ID names a folder under mlruns/releases.",
            fix="Leave ID out for the newest, or choose one of: ls mlruns/releases.",
            values=[] if name is None else [name],
        )
    return folder


def newest_release_folder() -> Path:
    """The folder of the release that was written last. ReleaseRefused where there is none."""
    manifests = releases.releases_folder().glob("*/manifest.json")
    folders = [path.parent for path in manifests]
    if not folders:
        raise ReleaseRefused(
            where="promote",
            got="no release",
            rule="`lifecycle train` writes releases.",
            fix="Type: lifecycle train",
        )
    return max(
        folders, key=lambda path: json.loads((path / "manifest.json").read_text())["made_at"]
    )
