"""Settings that change nothing on these data, and columns that nothing reads yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.core.contract import ALL_TABLES
from features.core.settings import Settings
from features.plausibility.finding import Finding
from features.tables.freshness import RecordedDays
from features.tables.history import History
from features.tables.queries import first_value
from features.tables.typed_tables import RowCounts


def find_settings(
    history: History,
    counts: Mapping[str, RowCounts],
    settings: Settings,
    recorded: Mapping[str, RecordedDays],
) -> Iterator[Finding]:
    """One finding for each key that was set and has no effect here.

    recorded: `freshness.read_recorded_days`.
    """
    for key, why, fix in _without_effect(history, counts, settings, recorded):
        yield Finding("setting_without_effect", "settings", f"{key} has no effect: {why}.", fix)


def _without_effect(
    history: History,
    counts: Mapping[str, RowCounts],
    settings: Settings,
    recorded: Mapping[str, RecordedDays],
) -> Iterator[tuple[str, str, str]]:
    """(key, why it has no effect, what to type)."""
    yield from _churn_keys(settings)
    yield from _contract_keys(history, counts, settings, recorded)
    present = _values(history, settings.activity.table, "kind")
    for kind in settings.activity.kinds:
        if kind not in present:
            yield (
                f"[activity] kinds '{kind}'",
                f"no row of {settings.activity.table} has this kind",
                f"Remove it, or use one of: {', '.join(sorted(present)[:8])}.",
            )
    complaints = "feedback" in history.names and "complaint" in _values(history, "feedback", "kind")
    if settings.stages.acquired == "second_activity" and not _any_second_day(history):
        yield (
            '[stages] acquired = "second_activity"',
            "no customer was active on two days",
            "Remove it.",
        )
    if "resolve_within_hours" in settings.satisfaction.model_fields_set and not complaints:
        yield (
            "[satisfaction] resolve_within_hours",
            "no row of feedback is a complaint",
            "Remove it, or select complaints into feedback.",
        )


def _churn_keys(settings: Settings) -> Iterator[tuple[str, str, str]]:
    given = settings.churn.model_fields_set
    if settings.contractual and "eligible_days" in given:
        yield (
            "[churn] eligible_days",
            "with contracts a customer is eligible who has cover",
            "Remove it.",
        )
    if not settings.contractual and settings.churn.grace_days:
        yield (
            "[churn] grace_days",
            "only contracts are renewed",
            'Remove it, or set archetype = "contractual" under [business].',
        )


def _contract_keys(
    history: History,
    counts: Mapping[str, RowCounts],
    settings: Settings,
    recorded: Mapping[str, RecordedDays],
) -> Iterator[tuple[str, str, str]]:
    contract = settings.contract
    for name in contract.arrives_after_hours:
        if name not in counts:
            yield (
                f"[contract] arrives_after_hours.{name}",
                "there is no such table under [tables]",
                "Remove it.",
            )
        elif "recorded_at" in counts[name].columns and not _has_default_times(
            history, name, settings.arrives_after_us(name)
        ):
            yield (
                f"[contract] arrives_after_hours.{name}",
                "its rows have their own recorded_at",
                "Remove it, or leave recorded_at out of the SELECT.",
            )
    for name, each in recorded.items():
        until = each.configured_until
        if until is not None and each.newest.size and each.newest[-1] >= until:
            yield (
                f"[contract] fresh_until.{name}",
                "its newest row was recorded later",
                "Remove it, or give the instant until which the rows were complete at the export.",
            )
    if "scales" in contract.model_fields_set:
        kinds = _values(history, "feedback", "kind") if "feedback" in history.names else set()
        for kind in sorted(set(contract.scales) - kinds):
            yield (
                f"[contract.scales] {kind}",
                "no row of feedback has this kind",
                "Remove it, or correct the kind in the SELECT of feedback.",
            )
    if contract.exact_duplicates == "keep" and not _has_duplicates(history):
        yield '[contract] exact_duplicates = "keep"', "no two rows are equal", "Remove it."


def _values(history: History, table: str, column: str) -> set[str]:
    rows = history.connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall()
    return {value for (value,) in rows if value is not None}


def _has_default_times(history: History, name: str, delay: int) -> bool:
    """Whether a row may have got its recorded_at from the default."""
    clock = ALL_TABLES[name].happened_at
    defaults = f"SELECT 1 FROM {name} WHERE recorded_at = {clock} + {delay} LIMIT 1"
    return history.connection.execute(defaults).fetchone() is not None


def _has_duplicates(history: History) -> bool:
    different = "SELECT count(*) - (SELECT count(*) FROM (SELECT DISTINCT * FROM {0})) FROM {0}"
    return any(
        first_value(history.connection, different.format(name)) > 0
        for name in history.names
        if name != "customers"
    )


def _any_second_day(history: History) -> bool:
    table, kinds = history.activity_table, ", ".join("?" for _ in history.activity_kinds)
    repeated = (
        f"SELECT 1 FROM {table} WHERE kind IN ({kinds}) GROUP BY customer_id "
        "HAVING count(DISTINCT local_day) > 1 LIMIT 1"
    )
    return history.connection.execute(repeated, list(history.activity_kinds)).fetchone() is not None
