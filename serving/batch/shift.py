"""A run that looks wrong is not published: how far it lies from former runs of the configuration.

A release knows the largest movement between its neighbouring training dates (mean p, stage shares,
eligible customers). A run is compared with the last published run, and with the last one that is as
many days older as those dates lie apart, so that a change that creeps in is seen too. Beyond
ALLOWED times the largest movement it waits in `scores/not-published/` until somebody accepts it
(docs/decisions/028).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.core.contract import ALL_TABLES
from features.core.errors import BadSetting, RunNotPublished
from features.core.instants import DAY_US, day_text
from features.core.language import mark, say
from features.core.progress import print_status
from features.core.settings import Settings
from features.engine.build import build
from features.recipes.population_stats import population_stats
from serving.batch import run_manifest
from serving.release.golden import golden_history
from serving.release.release import Release
from serving.release.score_table import score_table
from serving.scoring.movement import NAMES, Summary, describe_rows, moved

FOLDER = "not-published"
ALLOWED = 1.5
# Smaller movements never look wrong: training dates may happen to lie very close together.
SMALL = {"mean_p": 0.02, "stage_shares": 0.05, "eligible": 0.05}
WORDS = {"mean_p": "mean p", "stage_shares": "stage shares", "eligible": "eligible customers"}
COMPARED_COLUMNS = ("stage", "eligible", "p_churn")  # of the scores, by which runs are compared
LONGEST_REASON = 500
NOT_PUBLISHED: dict[str, Any] = {"compared_with": [], "why": "a run in sample or of a backfill"}


@dataclass(frozen=True)
class FormerRun:
    """A published run: folder, id, as_of (µs UTC), release id, the tables it was scored without."""

    folder: Path
    id: str
    as_of: int
    release: str
    without: tuple[str, ...]


@dataclass(frozen=True)
class Judgement:
    """What the manifest says of the comparison, and the movements that are too large.

    A first run has nothing to be compared with but the newest training date. It is published all
    the same; what is far from that date stands in the section as `warnings`.
    """

    section: dict[str, Any]
    problems: tuple[str, ...] = ()


def configuration_digest(settings: Settings) -> str:
    """16 hex digits of the configuration that runs must share to be compared."""
    text = json.dumps(settings.definitions(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_reason(reason: str | None) -> str | None:
    """The reason to publish all the same, without spaces around it; BadSetting for an empty one."""
    if reason is None:
        return None
    reason = " ".join(reason.split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise BadSetting(
            where="--accept-shift",
            got="no reason" if not reason else f"a reason of {len(reason)} characters",
            rule=f"The reason is recorded with the run: 1 to {LONGEST_REASON} characters.",
            fix='Write why the change is real: --accept-shift "prices were raised on Monday".',
        )
    return reason


def published_runs(root: Path, *, configuration: str, before: int) -> list[FormerRun]:
    """The published runs of this configuration with an as_of before `before` (µs), newest first."""
    runs = []
    for path in sorted(root.glob(f"as_of=*/run=*/{run_manifest.FILE}")):
        about = run_manifest.read_about(path.parent)
        if about is None or not run_manifest.may_be_latest(path.parent):
            continue
        if about.get("configuration") != configuration or about["as_of"] >= before:
            continue
        run = FormerRun(
            path.parent,
            str(about["run"]),
            about["as_of"],
            str(about["release"]),
            tuple(about.get("without", ())),
        )
        runs.append((run.as_of, path.stat().st_mtime_ns, run))
    return [run for *_, run in sorted(runs, key=lambda each: each[:2], reverse=True)]


def judge_run(
    root: Path, scores: pa.Table, release: Release, settings: Settings, *, as_of: int
) -> Judgement:
    """Compare a run's scores with the former runs under `root`; nothing to compare with is said."""
    movement = release.evaluation.get("movement")
    if not movement or movement["days"] is None:
        return _not_compared(mark("the release holds no two training dates to compare with"))
    former = published_runs(root, configuration=configuration_digest(settings), before=as_of)
    if not former:
        return _judge_first_run(scores, movement, settings, as_of=as_of)
    step = movement["days"] * DAY_US
    chosen = [former[0], *(run for run in former[1:] if run.as_of <= as_of - step)][:2]
    now, compared, problems = summarise(scores), [], []
    for run in chosen:
        try:
            before = _summary_of(run, release, settings)
        except (OSError, ValueError, LookupError, pa.ArrowException):
            print_status(
                say("run {run} cannot be read, so this one is not compared with it", run=run.id)
            )
            continue
        limits = movement_limits(movement, days=(as_of - run.as_of) / DAY_US)
        distances = moved(before, now)
        day = day_text(run.as_of, zone=settings.zone)
        compared.append({"run": run.id, "as_of": day, "moved": distances, "allowed": limits})
        problems += [
            f"{_figure_text(name, before, now)} since {day}: {_value(distances, name)}, at most "
            f"{limits[name]:.4f}"
            for name in NAMES
            if _is_beyond(distances[name], limits[name])
        ]
    if not compared:
        return _not_compared(mark("no former run of this configuration can be read"))
    return Judgement({"compared_with": compared}, tuple(problems))


def _judge_first_run(
    scores: pa.Table, movement: dict[str, Any], settings: Settings, *, as_of: int
) -> Judgement:
    judgement = _not_compared(mark("there is no former run of this configuration"))
    newest = movement.get("newest")
    if newest is None:  # a release of an earlier version
        return judgement
    before = Summary(newest["mean_p"], tuple(newest["shares"]), newest["eligible"])
    now, days = summarise(scores), abs(as_of - newest["as_of"]) / DAY_US
    distances, limits = moved(before, now), movement_limits(movement, days=days)
    far = [
        f"{_figure_text(name, before, now)} since the newest training date, "
        f"{day_text(newest['as_of'], zone=settings.zone)}: {_value(distances, name)}, at most "
        f"{limits[name]:.4f} looks right"
        for name in NAMES
        if _is_beyond(distances[name], limits[name])
    ]
    return Judgement({**judgement.section, "warnings": far})


def movement_limits(movement: dict[str, Any], *, days: float) -> dict[str, float | None]:
    """The largest movement that looks right, by name: ALLOWED times the largest ever seen.

    Runs that lie further apart than the training dates may move in proportion. None where nothing
    was seen.

    >>> seen = {"days": 30.0, "largest": {"mean_p": 0.1, "stage_shares": 0.0, "eligible": None}}
    >>> limits = movement_limits(seen, days=60)
    >>> round(limits["mean_p"], 6), limits["stage_shares"], limits["eligible"]
    (0.3, 0.05, None)
    """
    longer = max(1.0, days / movement["days"])
    largest = movement["largest"]
    return {
        name: None if largest[name] is None else max(ALLOWED * largest[name] * longer, SMALL[name])
        for name in NAMES
    }


def summarise(scores: pa.Table) -> Summary:
    """The summary of a score table, without prospects, who have no score."""
    rows = scores.filter(pc.not_equal(scores["stage"], "prospect"))
    p = rows["p_churn"].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return describe_rows(rows, np.asarray(p, dtype=np.float64))


def not_published_error(
    judgement: Judgement, folder: Path, settings: Settings, *, as_of: int
) -> RunNotPublished:
    """The error for a run that waits beside: the numbers, where it is, and the ways out."""
    day = day_text(as_of, zone=settings.zone)
    return RunNotPublished(
        where=f"the run of {day}",
        got="; ".join(judgement.problems),
        rule=f"A run moves at most {ALLOWED} times as far as neighbouring training dates ever did.",
        fix=f"Look at it in {folder}, and whether every table arrived: lifecycle check. Then score "
        f"again, or where the change is real: lifecycle score --as-of {day} "
        '--accept-shift "reason".',
    )


def _not_compared(why: str) -> Judgement:
    print_status(say("the run is not compared with a former one: {why}", why=say(why)))
    return Judgement({"compared_with": [], "why": why})


def _summary_of(run: FormerRun, release: Release, settings: Settings) -> Summary:
    """The former run as this release scores it, so that only the data are compared."""
    if run.release == release.id:
        return summarise(pq.read_table(run.folder / "scores.parquet"))
    print_status(
        say(
            "scoring run {run} again with release {release} to compare with it",
            run=run.id,
            release=release.id,
        )
    )
    tables = {
        name: pq.read_table(run.folder / "history" / f"{name}.parquet")
        for name in release.tables
        if name in ALL_TABLES
    }
    definitions = release.scorer.definitions
    history = golden_history(
        tables, definitions=definitions, activity_kinds=release.activity_kinds, as_of=run.as_of
    )
    known = history.as_of(run.as_of)
    population = population_stats(known, definitions)
    rows = build(known, population=population, definitions=definitions, columns=release.columns)
    return summarise(
        score_table(rows, release, prospects=[], as_of=run.as_of, stale=False, missing=run.without)
    )


def _is_beyond(movement: float | None, limit: float | None) -> bool:
    return movement is not None and limit is not None and movement > limit


def _value(movement: dict[str, float | None], name: str) -> str:
    return f"moved by {movement[name]:.4f}"


def _figure_text(name: str, before: Summary, now: Summary) -> str:
    if name == "stage_shares":
        return WORDS[name]
    one, other = (getattr(each, name) for each in (before, now))
    values: Sequence[str] = [f"{x:,}" if isinstance(x, int) else f"{x:.4f}" for x in (one, other)]
    return f"{WORDS[name]} {values[0]} → {values[1]}"
