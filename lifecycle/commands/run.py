"""`lifecycle run`: check → train → promote → score."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.core.errors import LifecycleError, NotEnoughData, ReleaseRefused
from features.core.instants import (
    DAY_US,
    day_text,
    end_text,
    instant,
    last_midnight,
    midnight_after,
)
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings, load_settings
from features.tables.freshness import stale_tables
from features.tables.history import History, load_history, newest_as_of, refuse_too_late
from lifecycle.commands import answer, check, check_text
from lifecycle.commands.report import NOT_DRAWN, Wish, make_page, page_command
from serving.batch import run_folders
from serving.release import release as releases
from training import job, past, promote, rates_job
from training.tracking.run_labels import UNLABELLED, RunLabels
from training.trained import Trained

# `stale_warning` says what this finding of check says, of the as_of that is scored.
DATA_END = "data_end_long_ago"


@dataclass(frozen=True)
class RunResult:
    """The result of the main job as data and as text for a terminal, and the batch run it wrote."""

    value: dict[str, Any]
    text: str
    batch: run_folders.BatchRun


@dataclass(frozen=True)
class Choice:
    """The release to score with; `kept_because`: why it is not the new one (None where it is).

    `note`: what else is to be known about the promotion.
    """

    release: releases.Release
    kept_because: list[str] | None
    note: str | None = None


def run(
    config: Path,
    *,
    changes: Mapping[str, Any] | None = None,
    as_of: str | None = None,
    verbose: bool = False,
    simulated: bool = False,
    labels: RunLabels = UNLABELLED,
    page: bool = True,
) -> RunResult:
    """Check, train, promote and score one configuration, with the settings `changes`.

    `verbose` adds the tables to the text. `simulated`: the data end in the past on purpose, so
    their age is no warning. `labels`: what the runs in MLflow are called. `page`: draw the page
    too, into the folder of the run.

    Without skill or with too few data it still ends with stages and marked rates. The served
    release stays where it is ok and the new one must not replace it; the scores are then of the
    served one. Errors: InputRefused for the data; PromotionRefused where no release can be served.
    """
    began = time.monotonic()
    settings = load_settings(config, changes)
    run_folders.refuse_archetype(settings)
    history, counts = load_history(settings)
    report = check.build_report(history, counts, settings)
    print_status(
        say(
            "check: {rows}; `lifecycle check` prints the whole report",
            rows=check_text.rows_text(report),
        )
    )
    zone = settings.zone
    at = instant(as_of, zone=zone) if as_of else newest_as_of(history, settings, however_old=True)
    refuse_too_late(history, settings, at)
    # A training takes minutes: what the score would refuse is refused before it.
    stale_tables(history, settings, at)
    past.refuse_learned_window(history, settings, at)
    trained = _train(history, settings, labels)
    choice = choose_release(trained, history, settings)
    print_status(say("scoring"))
    batch = run_folders.score_batch(history, settings, choice.release, as_of=at)
    value = _value(trained, choice, batch, report, at, settings)
    stale = None if simulated else stale_warning(history, settings, at)
    value["warnings"] = [
        *check_text.finding_sentences(report, but=DATA_END),
        *batch.warnings,
        *answer.collect_warnings(value, note=choice.note, stale=stale),
    ]
    if page:
        wish = Wish(
            batch.folder / "report" / "report.html",
            lambda at: page_command(config, changes, at, zone),
            drawn_on=None if simulated else day_text(last_midnight(zone), zone=zone),
            without=NOT_DRAWN,
        )
        try:
            value["report"] = str(make_page(history, counts, settings, at, wish).path)
        except LifecycleError as error:  # the scores are there, and are not lost with the page
            value["warnings"].append(f"the page was not drawn: {error.where}: {error.got}")
    value["seconds"] = round(time.monotonic() - began, 1)
    text = answer.answer_text(value, batch.folder, config=config, consent=settings.consent.list)
    if verbose:
        text = f"{text}\n\n{answer.tables_text(value)}"
    return RunResult(value, text, batch)


def _train(history: History, settings: Settings, labels: RunLabels) -> Trained:
    """A trained release; a release of rates where the data are too few to train."""
    try:
        return job.train(history, settings, labels=labels)
    except NotEnoughData as error:
        return rates_job.train_rates(history, settings, error, labels=labels)


def _value(
    trained: Trained,
    choice: Choice,
    batch: run_folders.BatchRun,
    report: dict[str, Any],
    at: int,
    settings: Settings,
) -> dict[str, Any]:
    """What `--json` prints, without warnings and seconds."""
    return {
        "check": report,
        "release": choice.release.id,
        "release_folder": str(choice.release.folder),
        "trained": trained.folder.name,
        "kept_because": choice.kept_because,
        "status": trained.status,
        "scored_status": choice.release.scorer.status,
        "evaluation": trained.evaluation,
        "mlflow_runs": trained.runs,
        "as_of": day_text(at, zone=settings.zone),
        "rows": batch.rows,
        "scores": str(batch.folder),
    }


def choose_release(trained: Trained, history: History, settings: Settings) -> Choice:
    """Serve the new release where it may be served, and choose the release to score with.

    The new one is served where nothing objects to it. It is also served where it has no skill or
    too few data while no release with status ok is served for this configuration: its scores are
    marked. Errors: PromotionRefused where the gate refused a release with skill and the served one
    cannot score; it needs manual promotion.
    """
    release = releases.load_release(trained.folder)
    promotion, champion = promote.check_successor(release), _load_served()
    if champion and champion.id == release.id:
        return Choice(champion, None)
    if not promotion.objections:
        return Choice(promote.serve_release(release, promotion), None, promotion.note)
    usable = champion is not None and can_score(champion, history, settings)
    if champion and usable and "ok" in (champion.scorer.status, release.scorer.status):
        return Choice(champion, list(promotion.objections), promotion.note)
    if release.scorer.status == "ok":
        raise promote.refusal_error(release, promotion)
    # Rates are better than no scores at all.
    why = (
        "nothing better is served"
        if usable or champion is None
        else "the release served is for another configuration"
    )
    served = promote.serve_release(release, promotion, reason=f"lifecycle run: {why}")
    return Choice(served, None, promotion.note)


def can_score(release: releases.Release, history: History, settings: Settings) -> bool:
    """Whether a release can score under this configuration and with these tables."""
    same = release.config == settings.definitions()
    return same and set(release.tables) <= set(history.names)


def _load_served() -> releases.Release | None:
    try:
        return releases.load_release(releases.current_release_folder())
    except ReleaseRefused:
        return None


def stale_warning(history: History, settings: Settings, at: int) -> str | None:
    """A warning where the data end before `at`, or where `at` is earlier because they are old."""
    zone = settings.zone
    end, as_of = end_text(history.data_until, zone=zone), day_text(at, zone=zone)
    if at > midnight_after(history.data_until, zone):
        return f"the data end at {end}, before as_of {as_of}: later activity is not known"
    days = (last_midnight(zone) - history.data_until) // DAY_US
    if at < last_midnight(zone) and at == midnight_after(history.data_until, zone):
        return f"the data end at {end}, {days:,} days ago: scores are as of {as_of}, not of today"
    return None
