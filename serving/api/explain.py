"""Why a customer has this score: every reason, the curve, and the newest events behind them.

The reasons come from the feature row that was scored, by the scorer that scored it. By id that is
the row of the latest run: it is scored again, and refused where that gives another score.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from features.core.errors import ReleaseRefused
from serving.api.answers import Entry, entries
from serving.api.by_events import read_rows, score_rows
from serving.api.by_id import known_entry, require_run, with_decisions
from serving.api.event_rows import known_rows, newest_events
from serving.api.history_rows import read_feature_row
from serving.api.history_rows import read_rows as read_history
from serving.api.lookup import Lookup, refuse_file
from serving.api.schemas import REQUEST_TABLES, RequestedId, ScoreRequest, rfc3339
from serving.api.served import ServedRelease
from serving.api.strict import malformed_error
from serving.release.release import Release
from serving.release.score_table import REFUSED_ARCHETYPES, score_table, scorer_without
from serving.scoring.curve_columns import EXPECTED
from serving.scoring.reasons import explain_reasons

_CURVE = re.compile(r"(?:p_active|p_lost|p_return)_(\d+)d")


def explain(served: ServedRelease, question: ScoreRequest, *, now: int) -> dict[str, Any]:
    """The explanation of one customer, by id or by raw events; `now` in µs UTC.

    Malformed for several customers. By id: NotFound for an unknown one, ReleaseRefused where the
    latest run is of another release, RunRefused where the run's row gives another score.
    """
    requested = question.customer_ids or question.customers or ()
    if len(requested) > 1:
        field = "customers" if question.customer_ids is None else "customer_ids"
        raise malformed_error(field, "several customers", "One customer is explained at a time.")
    if question.errors == "each":
        rule = "An explanation is of one customer: leave errors out."
        raise malformed_error("errors", "errors of each entry", rule)
    if question.customer_ids is None:
        return _explain_events(served, question, now=now)
    return _explain_id(served, question.customer_ids[0], as_of=question.as_of)


def _explain_id(
    served: ServedRelease, requested: RequestedId, *, as_of: int | None
) -> dict[str, Any]:
    run, name = require_run(served.run), requested.normalized
    if as_of not in (None, run.as_of):
        rule = "By id, as_of is that of the latest run: leave it out, or send raw events."
        raise malformed_error("as_of", "another instant than the run's", rule)
    entry = known_entry(run, requested, release=served.release.id)
    if run.release != served.release.id:
        raise ReleaseRefused(
            where="the latest run",
            got="a run of another release than the one that is served",
            rule="An explanation comes from the release that scored.",
            fix="Run `lifecycle score -c …` with the release that is served, or send raw events.",
        )
    row = read_feature_row(run, name)
    _refuse_other_score(run, served.release, row, entry)
    [entry] = with_decisions([entry], [requested], served.decided, as_of=run.as_of)
    attributes = served.release.scorer.definitions.attributes
    tables = {
        table: read_history(run, table, name, attributes=attributes) for table in REQUEST_TABLES
    }
    known = {table: rows for table, rows in tables.items() if rows is not None}
    return _explanation(served, entry, row, known, as_of=run.as_of, missing=run.without)


def _refuse_other_score(run: Lookup, release: Release, row: pa.Table, entry: Entry) -> None:
    """RunRefused where the run's feature row does not give the run's score, to the bit."""
    if not row.num_rows:
        return
    scored = score_table(
        row, release, prospects=[], as_of=run.as_of, stale=False, missing=run.without
    )
    [again] = entries(scored)
    # The warnings also say what is true of the answer, and the id is written as it was sent.
    ours = {name: value for name, value in again.items() if name not in ("customer_id", "warnings")}
    if any(entry[name] != value for name, value in ours.items()):
        raise refuse_file("features.parquet", "a row that gives another score than the run's")


def _explain_events(served: ServedRelease, question: ScoreRequest, *, now: int) -> dict[str, Any]:
    read = read_rows(served, question, now=now)
    [entry] = score_rows(served, read)["scores"]
    [missing] = read.missing.values()
    known = known_rows(read.events.tables, served.settings, as_of=read.as_of)
    row = read.rows if entry["error"] is None else read.rows.slice(0, 0)
    return _explanation(served, entry, row, known, as_of=read.as_of, missing=missing)


def _explanation(
    served: ServedRelease,
    entry: Entry,
    row: pa.Table,
    known: Mapping[str, pa.Table],
    *,
    as_of: int,
    missing: Collection[str],
) -> dict[str, Any]:
    """The body of the answer; `row`: the feature row, none for a customer without a score."""
    definitions = served.release.scorer.definitions
    events, total = newest_events(known, served.settings, definitions.attributes)
    return {
        "release_id": served.release.id,
        "as_of": rfc3339(as_of),
        "score": entry,
        "reasons": _reasons(served.release, row, missing, against=False),
        "reasons_against": _reasons(served.release, row, missing, against=True),
        "curve": _curve(entry),
        EXPECTED: entry.get(EXPECTED),
        "events": events,
        "events_total": total,
    }


def _reasons(
    release: Release, row: pa.Table, missing: Collection[str], *, against: bool
) -> list[dict[str, Any]]:
    refused = release.config["business"]["archetype"] in REFUSED_ARCHETYPES
    if refused or not row.num_rows:
        return []
    scorer = scorer_without(release, missing).scorer
    listed = explain_reasons(scorer, row, release.columns, against=against)
    return [asdict(reason) for reason in listed]


def _curve(entry: Entry) -> list[dict[str, Any]]:
    """The curve's points that have an answer, as the entry has them."""
    points = []
    for column, value in entry.items():
        matched = _CURVE.fullmatch(column)
        if matched is not None and value is not None:
            points.append({"column": column, "days": int(matched[1]), "p": value})
    return points
