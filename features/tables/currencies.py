"""Amounts in several currencies are never added up."""

from __future__ import annotations

from features.core.errors import SeveralCurrencies
from features.tables.history import History


def refuse_several_currencies(history: History) -> None:
    """SeveralCurrencies where a table has amounts in more than one currency.

    A SELECT that names the column of the currency has chosen or converted one.
    """
    for table, rows in history.currencies.items():
        listed = ", ".join(f"{code} {count:,}" for code, count in [*rows.items()][:5])
        raise SeveralCurrencies(
            where=f"[tables] {table}",
            got=f"rows in {len(rows)} currencies ({listed})",
            rule="All amounts are in one currency: they are added up.",
            fix=one_currency_fix(table, list(rows)),
        )


def one_currency_fix(table: str, codes: list[str]) -> str:
    """What to type in the SELECT of a table with amounts in these currencies."""
    first, second = codes[0], codes[1]
    return (
        f"Convert them in the SELECT of {table} (round(TRY_CAST(amount AS DECIMAL(18, 4)) * "
        f"CASE currency WHEN '{first}' THEN 1.0 WHEN '{second}' THEN … END, 2) AS amount, with "
        f"your rates), or select one of them: WHERE currency = '{first}'."
    )
