"""`lifecycle monitor`: has anything moved since the training, and did earlier scores come true.

Everything about a run is read from its own folder, which holds what was known at its as_of; only
what became of earlier runs is read from the tables. docs/monitoring.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from features.core.errors import ReleaseRefused
from features.core.instants import day_text
from features.core.language import say
from features.core.progress import print_status, track_steps
from features.core.settings import Settings, home
from features.engine.consent import with_consent
from features.tables.history import History
from serving.release.manifest import TRAIN_AGAIN
from serving.release.reference_file import Reference
from serving.release.release import Release, load_release, releases_folder
from training.drift.bins import eligible_rows
from training.drift.fit_reference import SCORE
from training.monitor import realised, realised_file
from training.monitor.ages import read_ages
from training.monitor.distributions import judge_distributions
from training.monitor.kinds import CALM, CANNOT_TELL, MOVED, KindResult
from training.monitor.record import record_monitor
from training.monitor.scored_run import ScoredRun, open_run, published_runs
from training.monitor.windows import judge_feeds, judge_preferences, judge_values

OUTCOMES, SILENCE = "outcomes", "silence"
# What a verdict rests on: where these cannot tell, nobody can say that nothing moved.
HEADLINE = ("features", "scores", "stages")


@dataclass(frozen=True)
class Monitored:
    """What a monitor saw of one run: the report as data, and the history of realised figures."""

    value: dict[str, Any]

    @property
    def has_moved(self) -> bool:
        return self.value["verdict"] == MOVED


def monitor(
    history: History, settings: Settings, *, today: int, as_of: int | None = None
) -> Monitored:
    """Judge the newest published run (or that of `as_of`, µs UTC) and every run that has matured.

    `today`: the local midnight at which ages count. Judging the same run again gives the same, and
    adds no line. NotEnoughData without a run; RunRefused for a damaged one; ReleaseRefused where
    its release is gone or from before the reference; StoreFailed for a damaged history.
    """
    run = open_run(settings, as_of)
    release = _load(run.release)
    reference = _reference(release)
    print_status(say("comparing the run of {day} with training", day=_day(run, settings)))
    kinds = judge_run(run, release, reference)
    lines, added = _judge_matured(history, settings, release, today=today)
    newest = _newest_line(lines, run)
    ages = read_ages(run, release, history, settings, today=today)
    value = _report(run, settings, kinds, newest, ages) | {
        "realised": added,
        "history": str(realised_file.history_path()),
    }
    picture = record_monitor(value, kinds, lines, settings, folder=home() / realised_file.FOLDER)
    return Monitored(value | {"picture": None if picture is None else str(picture)})


def judge_run(run: ScoredRun, release: Release, reference: Reference) -> dict[str, KindResult]:
    """Every kind that one run alone tells of, by name."""
    scores = run.read("scores.parquet").select(["customer_id", SCORE])
    rows = run.read("features.parquet")
    rows = rows.drop_columns([SCORE] if SCORE in rows.column_names else [])
    rows = eligible_rows(rows).join(scores, "customer_id", join_type="left outer")
    missing = {
        column.name for column in release.columns if set(column.feature.tables) & set(run.without)
    }
    results = judge_distributions(
        rows.sort_by("customer_id"), reference, as_of=run.as_of, skip=missing
    )
    tables = {name: run.read(f"history/{name}.parquet") for name in run.tables()}
    results["preferences"] = judge_preferences(tables, reference.dates, run.as_of)
    results["values"] = judge_values(tables, reference.dates, run.as_of)
    results["feeds"] = judge_feeds(tables, reference.dates, run.as_of)
    return results


def _judge_matured(
    history: History, settings: Settings, release: Release, *, today: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(all lines of the history, those that are new), after every matured run was judged once."""
    history = with_consent(history, settings, "score", at=history.data_until)
    with realised_file.lock_history():
        known = {line["run"] for line in realised_file.read_lines()}
        runs = realised.matured_runs(published_runs(settings), history, settings)
        waiting = [run for run in runs if run.id not in known]
        new = [
            realised.realise(
                run,
                history,
                settings,
                release.scorer.definitions,
                _past_outcomes(run, release),
                judged_on=day_text(today, zone=settings.zone),
            )
            for run in track_steps(waiting, label=say("runs whose outcomes are complete"))
        ]
        return realised_file.add_lines(new), new


def _past_outcomes(run: ScoredRun, release: Release) -> Any:
    """The training dates of the run's release; () where that release is gone or has none."""
    try:
        of_run = release if run.release == release.id else _load(run.release)
    except ReleaseRefused:
        return ()
    return of_run.reference.outcomes if of_run.reference else ()


def _newest_line(lines: list[dict[str, Any]], run: ScoredRun) -> dict[str, Any]:
    """What is known of the newest judged run before this one."""
    before = [line for line in lines if line["as_of"] <= run.as_of]
    return max(before, key=lambda line: line["as_of"]) if before else realised.nothing_matured()


def _report(
    run: ScoredRun,
    settings: Settings,
    kinds: dict[str, KindResult],
    newest: dict[str, Any],
    ages: dict[str, Any],
) -> dict[str, Any]:
    moved = [name for name, each in kinds.items() if each.verdict == MOVED]
    moved += [OUTCOMES] if newest["verdict"] == MOVED else []
    moved += [SILENCE] if any(each["stale"] for each in ages["tables"].values()) else []
    unknown = [name for name in HEADLINE if kinds[name].verdict == CANNOT_TELL]
    return {
        "run": run.id,
        "as_of": _day(run, settings),
        "release": run.release,
        "verdict": MOVED if moved else CANNOT_TELL if unknown else CALM,
        "moved": moved,
        "kinds": {name: each.report() for name, each in kinds.items()},
        "outcomes": newest,
        "ages": ages,
    }


def _load(name: str) -> Release:
    return load_release(releases_folder() / name)


def _reference(release: Release) -> Reference:
    if release.reference is None:
        raise ReleaseRefused(
            where=f"release {release.id}",
            got="no distributions of its training dates: it is from before `lifecycle monitor`",
            rule="A run is compared with the training dates of its release.",
            fix=TRAIN_AGAIN,
        )
    return release.reference


def _day(run: ScoredRun, settings: Settings) -> str:
    return day_text(run.as_of, zone=settings.zone)
