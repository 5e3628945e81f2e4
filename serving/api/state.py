"""What the service stands on: a release, its kept plans, the latest run. Read whole, exchanged whole, never half new.

A nightly run or a promotion is noticed by their pointers and loaded aside; what cannot be loaded changes nothing and
is told by `GET /v1/model`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.errors import LifecycleError, NotHere, ReleaseRefused
from features.core.instants import DAY_US
from features.core.settings import Settings, from_mapping
from features.engine.build import build
from features.engine.columns import ColumnOf
from features.engine.prepared import PreparedFeatures
from features.recipes.population_stats import PopulationStats
from serving.api import lookup, request_events
from serving.api.answers import answer, entries, entries_at, unknown
from serving.api.lookup import Lookup
from serving.api.schemas import Asked, ScoreRequest, rfc3339
from serving.api.strict import refused
from serving.release import golden
from serving.release import release as releases
from serving.release.release import Release
from serving.release.sandbox import load_in_subprocess
from serving.release.score_table import score_table

POLL_SECONDS, RETRY_SECONDS = 2, 30
log = logging.getLogger("lifecycle.service")


@dataclass(frozen=True)
class ServedRelease:
    """One consistent state; `pointers` are CURRENT and LATEST as they stood when it was loaded."""

    release: Release
    settings: Settings
    run: Lookup | None
    plans: tuple[PreparedFeatures, ...]
    pointers: tuple[str, str]


@dataclass(eq=False)
class ServingState:
    """The state that is answered from, and what was wrong with a newer one ('' if nothing)."""

    shown: ServedRelease
    problem: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def opened(cls) -> ServingState:
        """Load what CURRENT and LATEST name; ReleaseRefused where nothing was promoted or a file is not whole."""
        return cls(_loaded(None))

    def watch(self) -> None:
        """Look for a newer run or release every two seconds, until `close`."""
        threading.Thread(target=self._watch, name="lifecycle-watch", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def refresh(self) -> None:
        """Take over what the pointers name now; on a problem everything stays as it is."""
        try:
            if _pointers() == self.shown.pointers:
                self.problem = ""
                return
            self.shown, self.problem = _loaded(self.shown), ""
            log.info("loaded release %s", self.shown.release.id)
        except LifecycleError as error:
            if self.problem != error.rule:
                log.error("kept what is served: %s: %s", type(error).__name__, error.rule)
            self.problem = error.rule

    def _watch(self) -> None:
        # What could not be loaded is tried again, but seldom: every trial of a release costs a process.
        while not self._stop.wait(RETRY_SECONDS if self.problem else POLL_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # the watch outlives whatever a file system throws at it
                log.error("the watch met %s", type(error).__name__)

    def by_id(self, asked: list[Asked], *, as_of: int | None) -> dict[str, Any]:
        """The latest run's entries in the asked order; Malformed for another as_of, NotHere where nothing was scored."""
        shown = self.shown
        run = _run_of(shown)
        if as_of not in (None, run.as_of):
            raise refused(
                "as_of",
                "another instant than the run's",
                "By id, answers stand at the latest run's as_of: leave it out, or send raw events.",
            )
        rows = [run.row_of(one.read) for one in asked]
        found = iter(entries_at(run.said, [row for row in rows if row is not None]))
        said = [
            unknown(one.sent) if row is None else {**next(found), "customer_id": one.sent}
            for one, row in zip(asked, rows, strict=True)
        ]
        if run.release != shown.release.id:
            said = [
                {**one, "warnings": [*one["warnings"], "scored_by_another_release"]} for one in said
            ]
        return answer(run.release, run.as_of, said)

    def customer(self, asked: Asked) -> dict[str, Any]:
        """One customer's entry and feature values; NotHere for an unknown one."""
        run = _run_of(self.shown)
        if run.row_of(asked.read) is None:
            raise NotHere(
                where="/v1/customers",
                got="an id that the latest run does not have",
                rule="A customer is in the latest run.",
                fix="Score again, or send raw events.",
            )
        said = self.by_id([asked], as_of=None)
        return {**said, "features": _values(run.features_of(asked.read))}

    def by_events(self, request: ScoreRequest, *, now: int) -> dict[str, Any]:
        """Scores from the raw events of the request, by the batch job's code; Malformed with the field's path."""
        shown = self.shown
        at = now if request.as_of is None else request.as_of
        if at > now + shown.settings.contract.max_staleness_days * DAY_US:
            raise refused(
                "as_of",
                "an instant ahead of the clock",
                "as_of passes the present by at most max_staleness_days.",
            )
        plan = _plan_at(shown, at)
        events = request_events.events(
            request,
            shown.settings,
            as_of=at,
            attributes=shown.release.scorer.definitions.attributes,
        )
        rows = plan.build(events.tables, as_of=at)
        asked = [customer.customer_id for customer in request.customers or []]
        active = set(rows["customer_id"].to_pylist())
        extra = [one.read for one in asked if one.read not in active]
        scores = score_table(rows, shown.release, extra=extra, as_of=at, stale=False)
        by_id = {entry["customer_id"]: entry for entry in entries(scores)}
        return answer(
            shown.release.id,
            at,
            [_sent(by_id[one.read], one, events, at - plan.base.as_of) for one in asked],
        )

    def model(self) -> dict[str, Any]:
        """What is served, what it was trained on, how good it is (aggregates only), and how old everything is."""
        shown = self.shown
        release, run, d = shown.release, shown.run, shown.release.scorer.definitions
        return {
            "release_id": release.id,
            "status": release.scorer.status,
            "horizon_days": d.horizon_days,
            "contractual": d.contractual,
            "eligible_days": d.eligible_days,
            "tables": list(release.tables),
            "features": len(release.scorer.columns),
            "stage_multiples": list(d.multiples),
            "base_gap_days": d.base_gap_us / DAY_US,
            "currency": shown.settings.business.currency,
            "bases": [rfc3339(plan.base.as_of) for plan in shown.plans],
            "run": None
            if run is None
            else {
                "run": run.run,
                "as_of": rfc3339(run.as_of),
                "rows": len(run.ids),
                "release_id": run.release,
            },
            "evaluation": release.evaluation,
            "problem": self.problem,
        }


def _sent(
    entry: dict[str, Any], asked: Asked, events: request_events.Events, age: int
) -> dict[str, Any]:
    """The entry under the id as it was sent, with what this way of asking adds to its warnings."""
    days, late = age // DAY_US, events.not_known_yet[asked.read]
    more = [f"base_is_{days}_days_old"] * (days > 0) + [f"not_known_yet:{late}_rows"] * (late > 0)
    return {**entry, "customer_id": asked.sent, "warnings": [*entry["warnings"], *more]}


def _values(row: dict[str, Any]) -> dict[str, float | None]:
    return {name: value for name, value in row.items() if value is None or isinstance(value, float)}


def _run_of(shown: ServedRelease) -> Lookup:
    if shown.run is None:
        raise ReleaseRefused(
            where="scores/LATEST",
            got="no run",
            rule="Answers by id come from a finished run.",
            fix="Run `lifecycle score -c …`, or send raw events.",
        )
    return shown.run


def _plan_at(shown: ServedRelease, at: int) -> PreparedFeatures:
    """The plan with the newest base that was known at `at`: a base measured later would know the future."""
    known = [plan for plan in shown.plans if plan.base.as_of <= at]
    if not known:
        oldest = rfc3339(min(plan.base.as_of for plan in shown.plans))
        raise refused(
            "as_of",
            "an instant before every base",
            f"as_of is not before {oldest}, when the release's base was measured.",
        )
    return max(known, key=lambda plan: plan.base.as_of)


def _pointers() -> tuple[str, str]:
    pointed = lookup.pointed()
    return str(releases.current()), str(pointed) if pointed else ""


def _loaded(before: ServedRelease | None) -> ServedRelease:
    """The state the pointers name; parts that did not change are kept."""
    pointers = _pointers()
    same_release = before is not None and before.pointers[0] == pointers[0]
    release = before.release if before and same_release else load_in_subprocess(Path(pointers[0]))
    settings = from_mapping(release.made_for, folder=Path(), where="features.json")
    run = lookup.load(Path(pointers[1])) if pointers[1] else None
    if not same_release:
        _check_plan(release)
    bases = {base.as_of: base for base in (_base_of(release), *([run.base] if run else []))}
    plans = tuple(_plan(release, settings.zone, base) for base in bases.values())
    return ServedRelease(release, settings, run, plans, pointers)


def _base_of(release: Release) -> PopulationStats:
    return PopulationStats.stored(release.folder / "base.parquet")


def _plan(release: Release, zone: str, base: PopulationStats) -> PreparedFeatures:
    return PreparedFeatures(
        definitions=release.scorer.definitions,
        base=base,
        zone=zone,
        tables=release.tables,
        columns=_used(release),
        activity_kinds=release.activity_kinds,
    )


def _used(release: Release) -> list[ColumnOf]:
    return [column for column in release.columns if column.name in set(release.scorer.columns)]


def _check_plan(release: Release) -> None:
    """The kept plan must build the golden rows as the batch job does, to the bit, or nothing is answered with it."""
    definitions = release.scorer.definitions
    at, base = definitions.learned_as_of, golden.base(definitions, definitions.learned_as_of)
    events = {
        name: pq.read_table(release.folder / "golden" / f"{name}.parquet")
        for name in release.tables
    }
    known = golden.history(
        events, definitions=definitions, activity_kinds=release.activity_kinds, as_of=at
    ).as_of(at)
    rows = build(known, base=base, definitions=definitions, columns=_used(release))
    if not _plan(release, "UTC", base).build(events, as_of=at).equals(rows):
        raise ReleaseRefused(
            where=f"release {release.id}",
            got="golden rows that the kept plan builds otherwise",
            rule="A request is answered with the batch job's bits.",
            fix="Use the library versions of the manifest, or train again here.",
        )
