"""What the service answers from: a release, its prepared features, the latest run.

They are loaded together and replaced together, so an answer never mixes old and new. A thread
notices a new run or promotion by their pointers and loads it; what cannot be loaded changes nothing
and is reported by `GET /v1/model`.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from features.core.errors import LifecycleError, ReleaseRefused
from features.core.instants import DAY_US
from features.core.settings import Settings, settings_from_mapping
from features.engine.build import build
from features.engine.columns import FeatureColumn
from features.engine.prepared import PreparedFeatures
from features.recipes.population_stats import PopulationStats
from features.tables.terms import TermRules
from serving.api import lookup
from serving.api.answers import answer, answer_each, further_columns
from serving.api.by_events import read_rows, score_rows
from serving.api.by_id import entries_by_id, known_entry, require_run, with_decisions
from serving.api.explain import explain
from serving.api.lookup import Lookup
from serving.api.questions import Question
from serving.api.schemas import RequestedId, ScoreRequest, rfc3339
from serving.api.served import ServedRelease
from serving.api.strict import malformed_error
from serving.campaigns.decided import Decided, decisions_mark, read_decided
from serving.release import golden
from serving.release import release as releases
from serving.release.release import Release
from serving.release.sandbox import load_in_subprocess
from serving.release.score_table import score_types
from serving.release.seen_future import refuse_backfill_release

POLL_SECONDS, RETRY_SECONDS = 2, 30
log = logging.getLogger("lifecycle.service")


@dataclass(eq=False)
class ServingState:
    """What is `served`, and the `problem` with a newer run or release ('' for none).

    `marks`: where the workers of one service note which releases were verified.
    """

    served: ServedRelease
    problem: str = ""
    marks: Path | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def load(cls, marks: Path | None = None) -> ServingState:
        """Load what CURRENT and LATEST name.

        ReleaseRefused where nothing was promoted or a file was altered.
        """
        return cls(_load_served(None, marks), marks=marks)

    def watch(self) -> None:
        """Look for a newer run or release every two seconds, until `close`."""
        threading.Thread(target=self._watch, name="lifecycle-watch", daemon=True).start()

    def close(self) -> None:
        """End `watch`."""
        self._stop.set()

    def refresh(self) -> None:
        """Load what the pointers name now; on a problem everything stays as it is."""
        try:
            if _read_pointers() == self.served.pointers:
                self.problem = ""
                return
            self.served, self.problem = _load_served(self.served, self.marks), ""
            log.info("loaded release %s", self.served.release.id)
        except LifecycleError as error:
            # Once per problem: it is tried again every RETRY_SECONDS.
            if self.problem != error.rule:
                log.error("still serving the former: %s: %s", type(error).__name__, error.rule)
            self.problem = error.rule

    def _watch(self) -> None:
        # After a problem it tries more seldom: every trial of a release costs a child process.
        while not self._stop.wait(RETRY_SECONDS if self.problem else POLL_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # the thread must survive any error of the file system
                log.error("the watch failed once: %s", type(error).__name__)

    def score_by_id(self, requested: list[RequestedId], *, as_of: int | None) -> dict[str, Any]:
        """The latest run's entries in the requested order.

        Malformed for another as_of, ReleaseRefused where nothing was scored.
        """
        # Read once: a refresh may replace it while this request is answered.
        served = self.served
        run = require_run(served.run)
        if as_of not in (None, run.as_of):
            rule = "By id, as_of is that of the latest run: leave it out, or send raw events."
            raise malformed_error("as_of", "another instant than the run's", rule)
        scores = entries_by_id(run, requested, release=served.release.id)
        scores = with_decisions(scores, requested, served.decided, as_of=run.as_of)
        return answer(run.release, run.as_of, scores)

    def customer_entry(self, requested: RequestedId) -> dict[str, Any]:
        """One customer's entry and feature values; NotFound for an unknown customer."""
        served = self.served
        run = require_run(served.run)
        entry = known_entry(run, requested, release=served.release.id)
        [entry] = with_decisions([entry], [requested], served.decided, as_of=run.as_of)
        features = _feature_values(run.features_of(requested.normalized))
        return {**answer(run.release, run.as_of, [entry]), "features": features}

    def score_by_events(self, request: ScoreRequest, *, now: int) -> dict[str, Any]:
        """The scores of raw events in the requested order; `now` in µs UTC. See `by_events`."""
        return score_rows(self.served, read_rows(self.served, request, now=now))

    def answer_question(self, question: Question, *, now: int) -> dict[str, Any]:
        """The scores of a question, by id or by raw events; `now` in µs UTC.

        Where each entry is answered by itself, those with errors stand at their places.
        """
        served, request = self.served, question.request
        if request.customer_ids is not None:
            result = self.score_by_id(request.customer_ids, as_of=request.as_of)
            further = require_run(served.run).further_columns
        else:
            errors, places = question.errors, question.places
            read = read_rows(served, request, now=now, places=places, errors=errors)
            result = score_rows(served, read)
            further = further_columns(score_types(served.release))
        if question.errors.each:
            scores = answer_each(result["scores"], question.sent, question.errors, further)
            result = {**result, "scores": scores}
        return result

    def explanation(self, question: ScoreRequest, *, now: int) -> dict[str, Any]:
        """Why a customer has this score; `now` in µs UTC. See `serving.api.explain.explain`."""
        return explain(self.served, question, now=now)

    def model_info(self) -> dict[str, Any]:
        """What is served, what it was trained on, how good it is (aggregates only), its age."""
        served = self.served
        release, definitions = served.release, served.release.scorer.definitions
        return {
            "release_id": release.id,
            "status": release.scorer.status,
            "horizon_days": definitions.horizon_days,
            "contractual": definitions.contractual,
            "eligible_days": definitions.eligible_days,
            "tables": list(release.tables),
            "without": [list(each.lacks) for each in release.sub_releases],
            "silent_tables": list(release.silent),
            "earliest_as_of": rfc3339(release.seen.earliest_as_of),
            "features": len(release.scorer.columns),
            "targets": {target.name: target.status for target in release.targets},
            "stage_multiples": list(definitions.multiples),
            "population_mean_gap_days": definitions.population_mean_gap_us / DAY_US,
            "currency": served.settings.business.currency,
            "population_as_of": [rfc3339(each.population.as_of) for each in served.prepared],
            "run": _run_info(served.run),
            "evaluation": release.evaluation,
            "problem": self.problem,
        }


def _run_info(run: Lookup | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "run": run.run,
        "as_of": rfc3339(run.as_of),
        "rows": len(run.ids),
        "release_id": run.release,
    }


def _feature_values(row: dict[str, Any]) -> dict[str, float | None]:
    """The float64 values and the nulls of a feature row."""
    return {name: value for name, value in row.items() if value is None or isinstance(value, float)}


def _read_pointers() -> tuple[str, str, str, str]:
    run = lookup.latest_run_folder()
    return (
        str(releases.current_release_folder()),
        str(run) if run else "",
        lookup.run_mark(run) if run else "",
        decisions_mark(),
    )


def _load_served(before: ServedRelease | None, marks: Path | None) -> ServedRelease:
    """The state that the pointers name; an unchanged release is not loaded again."""
    pointers = _read_pointers()
    if before is not None and before.pointers[:3] == pointers[:3]:
        decided = _read_decided(before.run, before.settings)
        return replace(before, decided=decided, pointers=pointers)
    if before is not None and before.pointers[0] == pointers[0]:
        release = before.release
    else:
        release = load_in_subprocess(Path(pointers[0]), marks)
        refuse_backfill_release(release.seen, release.id)
        _check_prepared(release)
    settings = settings_from_mapping(release.config, folder=Path(), where="features.json")
    run = lookup.load_lookup(Path(pointers[1])) if pointers[1] else None
    populations = [PopulationStats.read(release.folder / "population.parquet")]
    if run is not None:
        populations.append(run.population)
    # Without a newer run, both are the same population.
    by_instant = {population.as_of: population for population in populations}
    terms = TermRules.from_settings(settings)
    prepared = tuple(_prepare(release, terms, each) for each in by_instant.values())
    return ServedRelease(release, settings, run, prepared, _read_decided(run, settings), pointers)


def _read_decided(run: Lookup | None, settings: Settings) -> Decided:
    """What campaigns decided, without who has taken back the consent to lists meanwhile."""
    decided = read_decided()
    if run is not None and settings.consent.list:
        decided = decided.without(run.refusing_customers())
    if decided.unreadable:
        log.error("%d campaigns cannot be read: every entry says so", decided.unreadable)
    return decided


def _prepare(release: Release, terms: TermRules, population: PopulationStats) -> PreparedFeatures:
    return PreparedFeatures(
        definitions=release.scorer.definitions,
        population=population,
        terms=terms,
        tables=release.tables,
        columns=_model_columns(release),
        activity_kinds=release.activity_kinds,
    )


def _model_columns(release: Release) -> list[FeatureColumn]:
    names = set(release.scorer.columns).union(*(target.columns for target in release.targets))
    return [column for column in release.columns if column.name in names]


def _check_prepared(release: Release) -> None:
    """ReleaseRefused unless this process answers the golden events as the batch job does.

    Prepared features build the golden rows with its bits, and they get the golden scores.
    """
    definitions = release.scorer.definitions
    as_of = definitions.learned_as_of
    population = golden.golden_population(as_of)
    folder = release.folder / "golden"
    events = {name: pq.read_table(folder / f"{name}.parquet") for name in release.tables}
    history = golden.golden_history(
        events, definitions=definitions, activity_kinds=release.activity_kinds, as_of=as_of
    )
    rows = build(
        history.as_of(as_of),
        population=population,
        definitions=definitions,
        columns=_model_columns(release),
    )
    prepared = _prepare(release, history.terms, population)
    online = prepared.build(events, as_of=as_of)
    if not online.equals(rows):
        raise _golden_error(release, "golden rows that prepared features build differently")
    # In this process, beside the child that did it: its libraries answer the requests.
    stored = pq.read_table(folder / "scores.parquet").sort_by("customer_id")
    p = release.scorer.p_churn(online)
    if not np.allclose(p, stored["p_churn"].to_numpy(), rtol=0, atol=releases.TOLERANCE):
        raise _golden_error(release, "golden scores that this process computes differently")


def _golden_error(release: Release, got: str) -> ReleaseRefused:
    return ReleaseRefused(
        where=f"release {release.id}",
        got=got,
        rule="The service computes the same bits as the batch job.",
        fix=releases.OTHER_VERSIONS,
    )
