"""Promotion: a release is verified whole, then CURRENT names it. This alone decides what is served.

By hand it is refused where the scores are rates (status not ok) or the gate refused it, unless forced with a reason.
The registered models' alias `champion` follows. Where the store is away it lags, and the next promotion, the next
training, `repair` or `lifecycle runs` moves it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import PromotionRefused, ReleaseRefused, StoreFailed
from features.core.progress import say
from serving.release import release as releases
from training import promotion_log
from training.evaluation import gate
from training.tracking import tracking
from training.tracking.tracking import lagging, repair

__all__ = ["lagging", "newest", "promote", "repair", "serve", "served", "standing"]


@dataclass(frozen=True)
class Standing:
    """What speaks against a release, in words, and what is to be known beside it; `verdict` in one line."""

    against: tuple[str, ...]
    note: str | None

    @property
    def verdict(self) -> str:
        if self.against:
            return f"{gate.REFUSED}: {'; '.join(self.against)}"
        return f"{gate.NOT_JUDGED}: {self.note}" if self.note else gate.PASSES


def promote(name: str | None = None, *, force: str | None = None) -> releases.Release:
    """Promotion by hand of release `name` (default: the newest): verified, judged, then served.

    PromotionRefused where something speaks against it and `force` gives no reason.
    """
    reason = None if force is None else promotion_log.stated(force)
    release = releases.load(folder_of(name))
    found = standing(release)
    if found.note:
        say(f"warning: {found.note}")
    if found.against and reason is None:
        raise refusal(release, found)
    return serve(release, found, reason=reason, forced=reason is not None)


def refusal(release: releases.Release, found: Standing) -> PromotionRefused:
    return PromotionRefused(
        where=f"release {release.id}",
        got="; ".join(found.against),
        rule="A release is served where it has skill and is no worse than the one that is served.",
        fix='Train again, or say why all the same: lifecycle promote ID --force "the reason".',
    )


def standing(release: releases.Release) -> Standing:
    """What speaks against serving this release. The gate counts as far as it judged against what is served."""
    status, judged, now = release.scorer.status, release.evaluation.get("gate"), served()
    against = [] if status == "ok" else [f"its status is {status}: its scores are rates"]
    if now in (None, release.id):
        return Standing(tuple(against), None)
    if judged is None or judged["champion"] != now:
        there = (
            f"release {judged['champion']}, which is not the one served"
            if judged and judged["champion"]
            else "nothing"
        )
        return Standing(
            tuple(against),
            f"the gate judged this release against {there}; against release {now} nobody did",
        )
    if judged["verdict"] == gate.NOT_JUDGED:
        return Standing(tuple(against), f"the gate did not judge it: {'; '.join(judged['why'])}")
    return Standing((*against, *(judged["why"] if judged["verdict"] == gate.REFUSED else ())), None)


def serve(
    release: releases.Release, found: Standing, *, reason: str | None = None, forced: bool = False
) -> releases.Release:
    """Record the promotion, then replace CURRENT atomically, whatever speaks against it.

    `champion` follows as far as the store can be reached; a promotion never fails for it.
    """
    promotion_log.append(
        release.id, previous=served(), forced=forced, reason=reason, verdict=found.verdict
    )
    staged = releases.releases() / f".CURRENT-{os.getpid()}"
    try:
        staged.write_text(release.id + "\n")
        os.replace(staged, releases.releases() / "CURRENT")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/releases/CURRENT",
            got=error.strerror or "a write that failed",
            rule="The release store must be writable.",
            fix="Free space or rights; promote again.",
        ) from error
    try:
        tracking.repair()
    except StoreFailed as error:
        say(f"served; the alias champion in MLflow follows later ({error.got})")
    return release


def served() -> str | None:
    """The id CURRENT names, None when nothing was promoted yet."""
    try:
        return releases.current().name
    except ReleaseRefused:
        return None


def folder_of(name: str | None) -> Path:
    """The folder of a release (default: the newest)."""
    folder = releases.releases() / name if name else newest()
    if not (folder / "manifest.json").is_file():
        raise ReleaseRefused(
            where="promote",
            got="no such release",
            rule="ID names a folder under mlruns/releases.",
            fix="Leave ID out for the newest, or look at what is there.",
        )
    return folder


def newest() -> Path:
    """The release that was made last."""
    folders = [path for path in releases.releases().glob("*") if (path / "manifest.json").is_file()]
    if not folders:
        raise ReleaseRefused(
            where="promote",
            got="no release at all",
            rule="A release is made by `lifecycle train`.",
            fix="Run `lifecycle train -c …` first.",
        )
    return max(
        folders, key=lambda path: json.loads((path / "manifest.json").read_text())["made_at"]
    )
