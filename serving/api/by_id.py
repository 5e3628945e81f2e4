"""Answers by id: entries of the latest run, as the API and the pages for people show them."""

from __future__ import annotations

from collections.abc import Sequence

from features.core.errors import NotFound, ReleaseRefused
from serving.api.answers import Entry, take_entries, unknown_entry
from serving.api.lookup import Lookup
from serving.api.schemas import RequestedId, rfc3339
from serving.campaigns.decided import NOT_READABLE, Decided


def require_run(run: Lookup | None) -> Lookup:
    """The latest run; ReleaseRefused where nothing was scored."""
    if run is None:
        raise ReleaseRefused(
            where="scores/LATEST",
            got="no run",
            rule="Answers by id come from a finished run.",
            fix="Run `lifecycle score -c …`, or send raw events.",
        )
    return run


def entries_by_id(run: Lookup, requested: Sequence[RequestedId], *, release: str) -> list[Entry]:
    """The entries of a run in the requested order; `release`: the id of what is served now."""
    rows = [run.row_of(each.normalized) for each in requested]
    # One call for all rows, then the entries are dealt out in the requested order.
    known = iter(take_entries(run.entries, [row for row in rows if row is not None]))
    scores = [
        unknown_entry(each.raw, run.further_columns)
        if row is None
        else {**next(known), "customer_id": each.raw}
        for each, row in zip(requested, rows, strict=True)
    ]
    if run.release != release:
        scores = [with_warnings(entry, ["scored_by_another_release"]) for entry in scores]
    return scores


def known_entry(run: Lookup, requested: RequestedId, *, release: str) -> Entry:
    """The entry of one customer of the run; NotFound for an unknown one."""
    if run.row_of(requested.normalized) is None:
        raise NotFound(
            where="/v1/customers",
            got="an id that is not in the latest run",
            rule="A customer is in the latest run.",
            fix="Run `lifecycle score -c …` again, or send raw events.",
        )
    return entries_by_id(run, [requested], release=release)[0]


def with_decisions(
    scores: Sequence[Entry], requested: Sequence[RequestedId], decided: Decided, *, as_of: int
) -> list[Entry]:
    """The entries with `decision`: what a campaign decided that counts at as_of (µs UTC), or null.

    Null for who has no score. Where a campaign cannot be read, every entry has the warning
    NOT_READABLE.
    """
    result = []
    for entry, each in zip(scores, requested, strict=True):
        # Who has taken back the consent, or is not in the data any more, is contacted by nobody.
        known = entry["error"] is None
        decision = decided.of_customer(each.normalized, as_of) if known else None
        if decision is not None:
            decision["decided_at"] = rfc3339(decision["decided_at"])
        if decided.unreadable:
            entry = with_warnings(entry, [NOT_READABLE])
        result.append({**entry, "decision": decision})
    return result


def with_warnings(entry: Entry, warnings: list[str]) -> Entry:
    """The entry with further warnings."""
    return {**entry, "warnings": [*entry["warnings"], *warnings]}
