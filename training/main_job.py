"""check → train → promote → score, in one go."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features import check, history, settings
from features.errors import NotEnoughData
from features.progress import say
from features.settings import DAY_US, day_text, instant
from serving import batch
from serving.files import last_midnight
from training import job, summary
from training.plan import midnight_before
from training.promote import promote


@dataclass(frozen=True)
class Finished:
    """What the job found, as data and as text."""

    value: dict[str, Any]
    text: str
    run: batch.Run


def run(config: Path, *, as_of: str | None = None) -> Finished:
    """The main job for one configuration. Without skill or data it still ends with stages and marked base rates."""
    began, stated = time.monotonic(), settings.load(config)
    batch.refuse_archetype(stated)
    found, counts = history.load(stated)
    account = check.account(found, counts, stated)
    say(check.text(account))
    at = instant(as_of, zone=stated.zone) if as_of else newest_instant(found, stated)
    history.refuse_too_late(found, stated, at)
    try:
        made = job.train(found, stated)
    except NotEnoughData as error:
        made = job.fall_back(found, stated, error)
    release = promote(made.folder.name)
    scored = batch.score(found, stated, release, as_of=at)
    value = {
        "check": account, "release": release.id, "status": made.status, "evaluation": made.evaluation,
        "mlflow_runs": made.runs, "as_of": day_text(at, zone=stated.zone), "rows": scored.rows, "scores": str(scored.folder),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip
    return Finished(value, _text(value, made, scored), scored)


def newest_instant(found: history.History, stated: settings.Settings) -> int:
    """The last local midnight; where the data ended longer ago than the stated staleness, the data's last midnight."""
    now = last_midnight(stated.zone)
    if now <= found.data_until + stated.contract.max_staleness_days * DAY_US:
        return now
    return midnight_before(found.data_until, stated.zone)


def _text(value: dict[str, Any], made: job.Trained, scored: batch.Run) -> str:
    missing = [name for name, run_id in made.runs.items() if run_id is None]
    parts = [check.text(value["check"]), "", summary.trained(made.evaluation), "", summary.scored(scored.folder), ""]
    parts += [f"  as of      {value['as_of']}", f"  status     {value['status']}", f"  scores     {scored.folder}/scores.parquet",
              f"  release    {made.folder}", f"  seconds    {value['seconds']}"]  # fmt: skip
    if missing:
        parts.append(f"  warning    not recorded in MLflow now: {', '.join(missing)}; it waits under mlruns/pending")
    return "\n".join(parts)
