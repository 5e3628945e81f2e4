"""Payments that are for the orders of another file: they would count twice."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

# Shares of the payments that have an order, from which on they are those of the orders: by person,
# amount and day; and by amount and day alone, where the two files name nobody in common.
_SAME_BY_PERSON, _SAME_BY_AMOUNT = 0.5, 0.9
_DAYS_APART = 1


@dataclass(frozen=True)
class SameMoney:
    """Payments, those of them with an order, and by what they were compared."""

    payments: int
    with_order: int
    compared: str

    @property
    def is_same(self) -> bool:
        """Whether the payments are those of the orders."""
        share = _SAME_BY_PERSON if self.compared.startswith("person") else _SAME_BY_AMOUNT
        return self.payments > 0 and self.with_order >= share * self.payments


def compare_money(connection: duckdb.DuckDBPyConnection, payments: str, orders: str) -> SameMoney:
    """Compare purchases with orders at most a day away; both are SELECTs of transactions."""
    rows = (
        "SELECT DISTINCT lower(CAST(customer_id AS VARCHAR)) AS who, "
        "TRY_CAST(amount AS DECIMAL(18, 2)) AS money, "
        "CAST(TRY_CAST(CAST(occurred_at AS VARCHAR) AS TIMESTAMPTZ) AS DATE) AS day FROM ({})"
    )
    paid = f"({rows.format(payments)} WHERE kind = 'purchase')"
    ordered = f"({rows.format(orders)})"
    same = f"o.money = p.money AND abs(o.day - p.day) <= {_DAYS_APART}"
    by_person, by_amount = (
        f"count(*) FILTER (EXISTS (SELECT 1 FROM {ordered} AS o WHERE {condition}))"
        for condition in (f"o.who = p.who AND {same}", same)
    )
    shared = f"count(*) FILTER (EXISTS (SELECT 1 FROM {ordered} AS o WHERE o.who = p.who))"
    counts = connection.execute(
        f"SELECT count(*), {shared}, {by_person}, {by_amount} FROM {paid} AS p"
    ).fetchall()[0]
    total, shared_people, with_person, with_amount = counts
    if shared_people:
        return SameMoney(total, with_person, "person, amount and day")
    return SameMoney(total, with_amount, "amount and day, as they name no person in common")
