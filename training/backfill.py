"""`lifecycle backfill`: honest past runs, each scored by a release that knew nothing later.

A release is trained at the first date and whenever `retrain` has passed since, on the tables as
they were then (`training.past`); it scores its own date and those until the next training. The run
folders are those of `lifecycle score`. Releases carry the purpose `backfill`: they are never
promoted. A backfill that was killed continues: a release is known by a digest of everything that
decides it, and a run that is there and whole is not computed again.
"""

from __future__ import annotations

import calendar
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from features.core.errors import (
    BadSetting,
    ImmatureWindow,
    NotEnoughData,
    ReleaseRefused,
    StoreFailed,
)
from features.core.instants import day_text, instant, local_date
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings, home
from features.core.staged_files import staged_file
from features.tables.history import History, refuse_too_late
from serving.batch import run_folders
from serving.release.release import Release, releases_folder
from serving.release.release_store import is_release_id
from serving.release.sandbox import load_in_subprocess
from training import job
from training.backtest import predictions_store
from training.past import open_past

MONTHS = {"month": 1, "quarter": 3, "year": 12}
DAYS = {"day": 1, "week": 7}
STEPS = (*DAYS, *MONTHS)


@dataclass(frozen=True)
class PastRun:
    """One date of a backfill (µs UTC): its run and the release that scored it.

    `run` and `release` are None where the date was skipped; `why` says the reason then.
    """

    as_of: int
    run: run_folders.BatchRun | None = None
    release: str | None = None
    why: str = ""


def backfill(
    history: History,
    settings: Settings,
    *,
    start: int,
    end: int,
    every: str = "month",
    retrain: str | None = None,
) -> list[PastRun]:
    """Write the past runs of the dates from `start` to `end` (µs UTC, both included).

    `every` and `retrain` (default: as `every`) are one of STEPS. A date without enough data before
    it to train on is skipped, and its `why` says so. BadSetting for another step or an end before
    the start, AsOfTooLate for a date beyond the data, NotEnoughData where every date is skipped.
    """
    run_folders.refuse_archetype(settings)
    dates = step_dates(start, end, every, zone=settings.zone)
    refuse_too_late(history, settings, dates[-1])
    trainings = step_dates(start, end, retrain or every, zone=settings.zone)
    runs: list[PastRun] = []
    release: Release | None = None
    trained_at, why = None, ""
    for number, at in enumerate(dates, 1):
        due = max(day for day in trainings if day <= at)
        if due != trained_at:
            trained_at = due
            try:
                release, why = _release_of(history, settings, due), ""
            except (NotEnoughData, ImmatureWindow) as error:
                release, why = None, error.got
        runs.append(_score(history, settings, release, at, why))
        day = day_text(at, zone=settings.zone)
        named = {"day": day, "number": number, "dates": len(dates)}
        if runs[-1].run:
            print_status(say("backfill: {day} is done, {number} of {dates}", **named))
        else:
            print_status(
                say("backfill: {day} is skipped: {why}, {number} of {dates}", why=why, **named)
            )
    if all(each.run is None for each in runs):
        raise NotEnoughData(
            where="backfill",
            got=runs[-1].why,
            rule="A past run needs a training on what was known at its date: three horizons of "
            f"{settings.churn.horizon_days} days before it.",
            fix="Give a later --from and --to, or add older rows.",
        )
    return runs


def step_dates(start: int, end: int, every: str, *, zone: str) -> tuple[int, ...]:
    """The instants from `start` to `end` (µs UTC), one step apart, local midnights after the first.

    Months keep the day of the first where they have it; else their last day.

    >>> days = step_dates(0, 40 * 86_400_000_000, "month", zone="UTC")
    >>> [day // 86_400_000_000 for day in days]
    [0, 31]
    """
    if every not in STEPS:
        raise BadSetting(
            where="backfill",
            got="an unknown step",
            rule=f"A step is {', '.join(STEPS)}.",
            fix="Give one of these to --every and --retrain.",
            values=[every],
        )
    if end < start:
        raise BadSetting(
            where="backfill",
            got=f"--to {day_text(end, zone=zone)} before --from {day_text(start, zone=zone)}",
            rule="--from is the first date, --to the last.",
            fix="Exchange the two.",
        )
    first, dates, number = local_date(start, zone), [start], 1
    while (at := instant(_step(first, every, number), zone=zone)) <= end:
        dates.append(at)
        number += 1
    return tuple(dates)


def _step(first: date, every: str, number: int) -> date:
    if every in DAYS:
        return first + timedelta(days=number * DAYS[every])
    years, month = divmod(first.month - 1 + number * MONTHS[every], 12)
    year = first.year + years
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(first.day, last))


def _score(
    history: History, settings: Settings, release: Release | None, at: int, why: str
) -> PastRun:
    if release is None:
        return PastRun(at, why=why)
    run = run_folders.score_batch(history, settings, release, as_of=at, backfill=True)
    return PastRun(at, run, release.id)


def _release_of(history: History, settings: Settings, at: int) -> Release:
    """The release of the instant `at`: the one that was trained before, or a new one."""
    pointer = _pointer(history, settings, at)
    if (known := _known_release(pointer)) is not None:
        return known
    print_status(say("backfill: training as of {day}", day=day_text(at, zone=settings.zone)))
    cut, past_settings, past = open_past(history, settings, at, purpose="backfill")
    folder = job.train(cut, past_settings, past=past).folder
    try:
        pointer.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(pointer) as staged:
            staged.write_text(json.dumps({"release": folder.name}) + "\n")
    except OSError as error:
        raise StoreFailed(
            where="mlruns/backfills",
            got=error.strerror or "a write that failed",
            rule="mlruns/ under LIFECYCLE_HOME must be writable, with free space.",
            fix="Free disk space or correct the folder's rights; run again: what is done stays.",
        ) from error
    return load_in_subprocess(folder)


def _pointer(history: History, settings: Settings, at: int) -> Path:
    """The file that names the release of an instant, by all that decides that release."""
    name = predictions_store.backtest_id(history, settings, [at], until=at)
    return home() / "mlruns" / "backfills" / f"{name}.json"


def _known_release(pointer: Path) -> Release | None:
    """The release that the file names; None without a file, or where it cannot be used any more."""
    try:
        name = json.loads(pointer.read_text())["release"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(name, str) or not is_release_id(name):
        return None
    try:
        return load_in_subprocess(releases_folder() / name)
    except ReleaseRefused as error:
        print_status(
            say(
                "release {name} cannot be used ({why}); it is trained again",
                name=name,
                why=error.got,
            )
        )
        return None


def report_text(runs: Sequence[PastRun], *, zone: str) -> str:
    """One line a date, then how many were skipped."""
    lines = []
    for each in runs:
        day = day_text(each.as_of, zone=zone)
        if each.run is None:
            lines.append(say("  {day}  skipped: {why}", day=day, why=each.why))
        else:
            state = "" if each.run.fresh else say(" (already there)")
            text = say(
                "  {day}  {rows:,} customers, release {release} → {folder}",
                day=day,
                rows=each.run.rows,
                release=each.release,
                folder=each.run.folder,
            )
            lines.append(text + state)
    skipped = sum(each.run is None for each in runs)
    done = len(runs) - skipped
    last = say(
        "{done:,} past runs, {skipped:,} dates skipped; none is LATEST", done=done, skipped=skipped
    )
    return "\n".join([*lines, last])
