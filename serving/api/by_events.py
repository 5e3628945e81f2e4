"""Answers from raw events: feature rows by prepared statements, scored as in the batch job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.core.errors import LifecycleError, Malformed
from features.core.instants import DAY_US
from features.engine.consent import without_consent
from serving.api import request_events
from serving.api.answers import Entry, answer, entries, further_columns, refused_entry
from serving.api.by_id import require_run, with_decisions, with_warnings
from serving.api.entry_errors import EntryErrors
from serving.api.newer_events import RunHistory, read_run_history, refuse_other_instants
from serving.api.request_events import RequestEvents
from serving.api.schemas import RequestedId, ScoreRequest, field_path, rfc3339
from serving.api.served import ServedRelease
from serving.api.strict import malformed_error
from serving.release.release import Release
from serving.release.score_table import score_table, score_types

# The warning of a table that is as fresh as the run, whose history a request adds to.
AS_OF_RUN = "as_of_run:"


@dataclass(frozen=True)
class EventRows:
    """What a request says, read: the events as the contract reads them, and their feature rows.

    as_of, population_as_of: µs UTC, of the request and of the population statistics. `rows`: one
    for each customer with activity or cover. `missing`: by customer the tables that the score does
    without. `history_as_of`: of the run whose history they
    include, None where the request has all events.
    """

    as_of: int
    population_as_of: int
    requested: list[RequestedId]
    events: RequestEvents
    rows: pa.Table
    missing: Mapping[str, frozenset[str]]
    history_as_of: int | None = None

    def as_fresh_as_run(self, customer: str) -> list[str]:
        """The tables of which nothing newer than the run was sent, though as_of is later."""
        if self.history_as_of in (None, self.as_of):
            return []
        return sorted(self.events.unsent[customer])


def read_rows(
    served: ServedRelease,
    request: ScoreRequest,
    *,
    now: int,
    places: Sequence[int] | None = None,
    errors: EntryErrors | None = None,
) -> EventRows:
    """The feature rows of a request; `now` in µs UTC is its as_of where it has none.

    `places`: where its customers stood in what was sent. `errors` gets those of single customers;
    the result is of the others where each is answered by itself.

    Malformed for events that break the contract's rules, for an as_of far ahead, and for one before
    the population statistics.
    """
    as_of = now if request.as_of is None else request.as_of
    if as_of > now + served.settings.contract.max_staleness_days * DAY_US:
        rule = "as_of lies at most max_staleness_days in the future."
        raise malformed_error("as_of", "an instant too far in the future", rule)
    if as_of < served.release.seen.earliest_as_of and not request.in_sample:
        raise _in_sample_error(served.release, as_of)
    prepared = served.prepared_at(as_of)
    if request.as_of is None:
        _refuse_old_population(served, prepared.population.as_of, now)
    errors, known = EntryErrors() if errors is None else errors, None
    if request.history == "run":
        known = _known_history(served, request, as_of, places, errors)
    else:
        request_events.note_unsent_tables(request, served.settings, places, errors)
    events = request_events.read_events(
        request,
        served.settings,
        as_of=as_of,
        attributes=served.release.scorer.definitions.attributes,
        places=places,
        errors=errors,
        known=known,
    )
    rows = prepared.build(events.tables, as_of=as_of)
    requested = [
        customer.customer_id
        for customer in request.customers or []
        if customer.customer_id.normalized in events.unsent
    ]
    if known is None:
        return EventRows(as_of, prepared.population.as_of, requested, events, rows, events.unsent)
    # What was not sent is as fresh as the run; what was stale on its day is missing.
    missing = dict.fromkeys(events.unsent, frozenset(known.run.without))
    return EventRows(
        as_of, prepared.population.as_of, requested, events, rows, missing, known.run.as_of
    )


def _known_history(
    served: ServedRelease,
    request: ScoreRequest,
    as_of: int,
    places: Sequence[int] | None,
    errors: EntryErrors,
) -> RunHistory:
    """What the latest run knew of the customers of a request."""
    run = require_run(served.run)
    refuse_other_instants(run, served.settings, as_of)
    customers = request.customers or []
    for place, customer in zip(places or range(len(customers)), customers, strict=True):
        if run.row_of(customer.customer_id.normalized) is None:
            path = field_path(["customers", place, "customer_id"])
            rule = (
                "With history run, a customer is in the latest run. Send all events of a new one."
            )
            errors.add(place, malformed_error(path, "an id that is not in the latest run", rule))
    errors.refuse_whole()
    ids = [customer.customer_id.normalized for customer in customers]
    attributes = served.release.scorer.definitions.attributes
    return read_run_history(run, served.settings, ids, attributes)


def score_rows(served: ServedRelease, read: EventRows) -> dict[str, Any]:
    """The answer to a request that was read, in the requested order."""
    by_id = _entries_by_id(served, read)
    age_days = (read.as_of - read.population_as_of) // DAY_US
    scores = [
        with_warnings(
            {**by_id[each.normalized], "customer_id": each.raw},
            _request_warnings(
                age_days,
                read.events.late_rows[each.normalized],
                read.as_fresh_as_run(each.normalized),
            ),
        )
        for each in read.requested
    ]
    scores = with_decisions(scores, read.requested, served.decided, as_of=read.as_of)
    result = answer(served.release.id, read.as_of, scores)
    if read.history_as_of is not None:
        result["history_as_of"] = rfc3339(read.history_as_of)
    return result


def _entries_by_id(served: ServedRelease, read: EventRows) -> dict[str, Entry]:
    """The entry of every requested customer by the id as the contract reads it."""
    active = set(read.rows["customer_id"].to_pylist())
    # Customers without activity and cover have no feature row.
    ids = [each.normalized for each in read.requested]
    prospects = [name for name in ids if name not in active]
    by_id = {
        entry["customer_id"]: entry
        for missing, part, others in _by_missing_tables(read.rows, prospects, read.missing)
        for entry in entries(
            score_table(
                part,
                served.release,
                prospects=others,
                as_of=read.as_of,
                stale=False,
                missing=missing,
            )
        )
    }
    if served.settings.consent.score:
        refused = without_consent(read.events.tables.get("customers"), ids)
        further = further_columns(score_types(served.release))
        by_id |= {name: refused_entry(name, "no_consent", further) for name in refused}
    return by_id


def _by_missing_tables(
    rows: pa.Table, prospects: list[str], missing: Mapping[str, frozenset[str]]
) -> Iterator[tuple[frozenset[str], pa.Table, list[str]]]:
    """(tables, feature rows, prospects) of the customers for whom just these are missing."""
    ids = rows["customer_id"].to_pylist()
    for tables in sorted(set(missing.values()), key=sorted):
        mine = pa.array([missing[name] == tables for name in ids], pa.bool_())
        yield tables, rows.filter(mine), [name for name in prospects if missing[name] == tables]


def _request_warnings(population_days: int, late_rows: int, of_run: Iterable[str]) -> list[str]:
    """The warnings that only an answer from raw events can have."""
    warnings = []
    if population_days > 0:
        warnings.append(f"population_is_{population_days}_days_old")
    if late_rows > 0:
        warnings.append(f"not_known_yet:{late_rows}_rows")
    warnings += [f"{AS_OF_RUN}{table}" for table in of_run]
    return warnings


def _in_sample_error(release: Release, as_of: int) -> LifecycleError:
    """Malformed for an instant that the release has seen: both instants, and the ways out."""
    seen = release.seen
    return Malformed(
        where="as_of",
        got=f"{rfc3339(as_of)}, whose outcomes the release has learned",
        rule=f"as_of is not before {rfc3339(seen.earliest_as_of)}: the release has learned "
        f"outcomes until {rfc3339(seen.outcomes_until)} and population statistics of "
        f"{rfc3339(seen.population_as_of)}.",
        fix="Send a later as_of. For honest past scores: lifecycle backfill. Or send "
        "in_sample: true; every entry then has the warning in_sample.",
    )


def _refuse_old_population(served: ServedRelease, population_as_of: int, now: int) -> None:
    """Malformed where the request gives no as_of, and today's population is not known.

    Statistics of long ago make today's customers look alike: all of them look lost.
    """
    days = served.settings.contract.max_staleness_days
    if now > population_as_of + days * DAY_US:
        raise Malformed(
            where="as_of",
            got=f"none, and population statistics of {rfc3339(population_as_of)}",
            rule=f"Without as_of a request is scored as of now, which lies at most {days} days "
            f"(max_staleness_days) after the population statistics, here of "
            f"{rfc3339(population_as_of)}.",
            fix="Run `lifecycle score -c …` for today's statistics, or send the as_of of the "
            "events.",
        )
