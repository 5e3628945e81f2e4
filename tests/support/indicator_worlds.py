"""Businesses for the tables of `lifecycle value`: random ones, and small ones written by hand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from features.core.instants import instant
from features.core.settings import Settings, settings_from_mapping
from features.indicators.all_tables import SECTIONS, Section
from features.indicators.indicator_data import IndicatorData
from features.tables.history import History, load_history
from tests.support import oracle
from tests.support.oracle import DAY, Row
from tests.support.oracle_worlds import World, world

YEAR = 365 * DAY
SCORES = {"csat": (1, 5), "nps": (0, 10)}


def random_business(seed: int, archetype: str = "non-contractual", count: int = 40) -> World:
    """A random business with corrections, voids, refunds and late rows; also with quantities,
    segments, and amounts that differ little, so that many are equal.
    """
    made = world(seed, archetype, count)
    rng = made.rng
    for row in made.tables["transactions"]:
        row["quantity"] = rng.choice((None, 1.0, 2.0, 2.5, 4.0))
        row["amount"] = (
            row["amount"] if rng.random() < 0.2 else rng.choice((0, 500, 700, 900, -300))
        )
    for row in made.tables["customers"]:
        row["segment"] = rng.choice((None, "private", "business"))
    return made


def section(made: World, name: Section) -> dict[str, list[Row]]:
    """The rows of one section's tables, without what every row of a table repeats."""
    return rows_of(made.history(), made.settings, made.as_of, name)


def rows_of(
    history: History, settings: Settings, as_of: int, name: Section
) -> dict[str, list[Row]]:
    tables = SECTIONS[name](IndicatorData(history, settings, as_of))
    texts = ("as_of", "population", "definition")
    return {
        key: [
            {column: value for column, value in row.items() if column not in texts}
            for row in table.to_pylist()
        ]
        for key, table in tables.items()
    }


def known_money(made: World, at: int | None = None) -> list[Row]:
    """Purchases and refunds known at an instant: customer, at, day, month, net, bought, …"""
    at = made.as_of if at is None else at
    rows = []
    for row in oracle.known(made.tables, at)["transactions"]:
        if row["kind"] not in ("purchase", "refund"):
            continue
        refund = oracle.is_refund(row)
        day = oracle.local_day(row["occurred_at"], made.settings.zone)
        rows.append(
            {
                "who": row["customer_id"],
                "at": row["occurred_at"],
                "day": day,
                "month": month_of(day),
                "net": -abs(row["amount"]) if refund else row["amount"],
                "bought": not refund,
                "quantity": row["quantity"],
                "category": row["category"],
            }
        )
    return rows


def month_of(day: int) -> int:
    """12 · year + month − 1 of a day since 1970-01-01."""
    at = date(1970, 1, 1) + timedelta(days=day)
    return at.year * 12 + at.month - 1


def month_text(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def by_customer(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each customer, by customer."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(row["who"], []).append(row)
    return dict(sorted(out.items()))


def slow_stages(made, at, definitions):
    """customer -> (stage, since when recency counts) of everybody known at an instant."""
    states = oracle.states(made.tables, at, made.settings, definitions)
    now = oracle.known(made.tables, at)
    people = {row["customer_id"] for rows in now.values() for row in rows}
    for row in made.tables["customers"]:
        since = row["valid_from"] if row["valid_from"] is not None else row["acquired_at"]
        if since is not None and since < at:
            people.add(row["customer_id"])
    prospects = dict.fromkeys(people, ("prospect", None))
    return prospects | {who: (row["stage"], row["recency_from"]) for who, row in states.items()}


def units(made: World) -> int:
    return 10**made.settings.minor_digits


def write_business(
    folder: Path, tables: dict[str, str], **sections: Any
) -> tuple[Settings, History]:
    """A business of CSV texts, a table each, in UTC."""
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    mapping = {
        "business": {"zone": "UTC", **sections.pop("business", {})},
        "files": {f"{name}_file": f"{name}.csv" for name in tables},
        "tables": {name: f"SELECT * FROM {name}_file" for name in tables},
        **sections,
    }
    settings = settings_from_mapping(mapping, folder=folder, where="test")
    return settings, load_history(settings)[0]


def orders(*rows: str) -> str:
    """Transactions as CSV from `customer day amount [kind]`."""
    lines = ["customer_id,occurred_at,amount,kind"]
    for row in rows:
        who, day, amount, *kind = row.split()
        lines.append(f"{who},{day},{amount},{kind[0] if kind else 'purchase'}")
    return "\n".join(lines) + "\n"


def day(text: str) -> int:
    return instant(text, zone="UTC")
