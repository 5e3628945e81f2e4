"""Amounts that cannot be added up, or may have been read with the wrong decimal point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from features.core.settings import Settings
from features.plausibility.finding import Finding, percent_of
from features.tables.currencies import one_currency_fix
from features.tables.history import History
from features.tables.margins import margin_facts
from features.tables.typed_tables import RowCounts

MOSTLY = 0.5


def find_amounts(counts: Mapping[str, RowCounts], settings: Settings) -> Iterator[Finding]:
    """Several currencies in one table, and amounts with exactly three decimals."""
    for name, table in counts.items():
        currencies = table.money.currencies
        if len(currencies) > 1:
            listed = ", ".join(f"{code} {rows:,}" for code, rows in [*currencies.items()][:5])
            yield Finding(
                "several_currencies",
                name,
                f"the amounts are in {len(currencies)} currencies ({listed}) and would be added up "
                "as if they were one.",
                one_currency_fix(name, list(currencies)),
                counts={"currencies": len(currencies), **currencies},
                values=tuple(currencies)[:3],
            )
        if table.money.three_decimals and settings.minor_digits < 3:
            yield _three_decimals(name, table, settings)


def find_negative_money(history: History) -> Iterator[Finding]:
    """Discounts below 0, and purchases that mostly are."""
    if "transactions" not in history.names:
        return
    [(discounts, minus, purchases, below)] = history.connection.execute(
        "SELECT count(discount), count(*) FILTER (discount < 0), "
        "count(*) FILTER (kind = 'purchase'), count(*) FILTER (kind = 'purchase' AND amount < 0) "
        "FROM transactions"
    ).fetchall()
    if minus:
        yield Finding(
            "negative_discounts",
            "transactions",
            f"{minus:,} of {discounts:,} discounts are below 0, and count as what a price was "
            "raised by.",
            "If they are discounts written with a minus, select abs(discount) AS discount.",
            counts={"rows": minus},
        )
    if below > MOSTLY * purchases:
        yield Finding(
            "purchases_below_0",
            "transactions",
            f"{below:,} of {purchases:,} rows of kind purchase have an amount below 0, and count "
            "as money given back.",
            "If they are purchases written with a minus, select abs(amount) AS amount.",
            counts={"rows": below},
        )


def find_margins(
    history: History, counts: Mapping[str, RowCounts], settings: Settings
) -> Iterator[Finding]:
    """Margins above the amount, and too few of them where `[value] margin` reads them."""
    if "transactions" not in counts or "margin" not in counts["transactions"].columns:
        return
    facts = margin_facts(history.cut("transactions", history.data_until))
    if facts.above:
        yield Finding(
            "margins_above_amounts",
            "transactions",
            f"{facts.above:,} of {facts.with_margin:,} purchases with a margin have one above "
            "their amount, as if what was sold had cost less than nothing; it counts as it is.",
            "If it is a share or in percent, select amount * margin (/ 100.0) AS margin; if in "
            "another unit, convert it.",
            counts={"rows": facts.above, "margins": facts.with_margin},
        )
    if settings.value.reads_margins and not facts.suffices:
        known = percent_of(facts.known_size, facts.size)
        yield Finding(
            "few_margins",
            "transactions",
            f"{facts.with_margin:,} of {facts.purchases:,} purchases have a margin ({known} of "
            "the amounts). [value] margin reads it, and money of a time in which fewer than half "
            "of the amounts have one is not learned.",
            "Fill the column margin in the SELECT of transactions, or write one share for all "
            "under [value]: margin = 0.4",
            counts={"margins": facts.with_margin, "purchases": facts.purchases},
        )


def _three_decimals(name: str, table: RowCounts, settings: Settings) -> Finding:
    rows = table.money.three_decimals
    return Finding(
        "amounts_with_three_decimals",
        name,
        f"{rows:,} amounts ({percent_of(rows, table.read)}) have exactly three decimals, as 1.500: "
        f"one and a half {settings.business.currency}, or one thousand five hundred?",
        "If the point separates thousands, remove it in the SELECT: replace(amount, '.', ''). "
        "If it is the decimal point, write round(CAST(amount AS DECIMAL(18,3)), 2).",
        counts={"rows": rows},
    )
