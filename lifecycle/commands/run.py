"""check → train → promote → score, in one go."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.core import settings
from features.core.errors import NotEnoughData, ReleaseRefused
from features.core.instants import DAY_US, day_text, instant, last_midnight, midnight_before
from features.core.progress import say
from features.tables import history
from lifecycle.commands import check
from serving.batch import run_folders
from serving.release import release as releases
from training import job, promote
from training.reports import summary


@dataclass(frozen=True)
class Finished:
    """What the job found, as data and as text."""

    value: dict[str, Any]
    text: str
    run: run_folders.Run


def run(config: Path, *, as_of: str | None = None) -> Finished:
    """The main job for one configuration. Without skill or data it still ends with stages and marked rates.

    The release that is served stays where it is ok and something speaks against the new one; scores are its then.
    """
    began, stated = time.monotonic(), settings.load(config)
    run_folders.refuse_archetype(stated)
    found, counts = history.load(stated)
    account = check.account(found, counts, stated)
    say(check.text(account))
    at = instant(as_of, zone=stated.zone) if as_of else newest_instant(found, stated)
    history.refuse_too_late(found, stated, at)
    try:
        made = job.train(found, stated)
    except NotEnoughData as error:
        made = job.fall_back(found, stated, error)
    release, kept = chosen(made, found, stated)
    scored = run_folders.score(found, stated, release, as_of=at)
    value = {
        "check": account,
        "release": release.id,
        "trained": made.folder.name,
        "kept_because": kept,
        "status": made.status,
        "scored_status": release.scorer.status,
        "evaluation": made.evaluation,
        "mlflow_runs": made.runs,
        "as_of": day_text(at, zone=stated.zone),
        "rows": scored.rows,
        "scores": str(scored.folder),
        "seconds": round(time.monotonic() - began, 1),
    }
    return Finished(value, _text(value, made, scored), scored)


def chosen(
    made: job.Trained, found: history.History, stated: settings.Settings
) -> tuple[releases.Release, list[str] | None]:
    """The release to score with, and why it is not the new one (None where it is). PromotionRefused as said below.

    The new one is served where nothing speaks against it. It also is where it has no skill or too few data, and
    nothing ok is served for this configuration: its scores are marked. One that the gate refused waits for a hand.
    """
    release = releases.load(made.folder)
    against, champion = promote.standing(release), _served()
    if champion and champion.id == release.id:
        return champion, None
    able = champion is not None and fits(champion, found, stated)
    if against.note:
        say(f"warning: {against.note}")
    if not against.against:
        return promote.serve(release, against), None
    if able and (champion.scorer.status == "ok" or release.scorer.status == "ok"):
        say(f"release {release.id} is not served: {'; '.join(against.against)}")
        return champion, list(against.against)
    if release.scorer.status == "ok":
        raise promote.refusal(release, against)
    why = (
        "nothing better is served"
        if able or champion is None
        else "the release served is for another configuration"
    )
    return promote.serve(release, against, reason=f"lifecycle run: {why}"), None


def fits(champion: releases.Release, found: history.History, stated: settings.Settings) -> bool:
    """Whether a release can score under this configuration and with these tables."""
    return champion.made_for == stated.definitions() and set(champion.tables) <= set(found.names)


def _served() -> releases.Release | None:
    try:
        return releases.load(releases.current())
    except ReleaseRefused:
        return None


def newest_instant(found: history.History, stated: settings.Settings) -> int:
    """The last local midnight; where the data ended longer ago than the stated staleness, the data's last midnight."""
    now = last_midnight(stated.zone)
    if now <= found.data_until + stated.contract.max_staleness_days * DAY_US:
        return now
    return midnight_before(found.data_until, stated.zone)


def _text(value: dict[str, Any], made: job.Trained, scored: run_folders.Run) -> str:
    missing = [name for name, run_id in made.runs.items() if run_id is None]
    parts = [
        check.text(value["check"]),
        "",
        summary.trained(made.evaluation),
        "",
        summary.scored(scored.folder),
        "",
    ]
    parts += [
        f"  as of      {value['as_of']}",
        f"  status     {value['status']}",
        f"  scores     {scored.folder}/scores.parquet",
        f"  release    {made.folder}{_kept(value)}",
        f"  seconds    {value['seconds']}",
    ]
    if missing:
        parts.append(
            f"  warning    not recorded in MLflow now: {', '.join(missing)}; it waits under mlruns/pending"
        )
    return "\n".join(parts)


def _kept(value: dict[str, Any]) -> str:
    if value["kept_because"] is None:
        return ""
    return f", not served: {'; '.join(value['kept_because'])}\n  scored by  {value['release']}, served as before"
