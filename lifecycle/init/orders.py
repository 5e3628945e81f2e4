"""How a file of transactions is read: what its money is, and whether its rows are orders or lines of orders."""

from __future__ import annotations

from features.tables.parsing import FLOATS, literal
from lifecycle.init.columns import Cell, Source, constant_kind

MOSTLY, SOME, ENOUGH = 0.95, 0.05, 20


def transactions(
    source: Source, cells: dict[str, Cell], given: dict[str, str], notes: list[str]
) -> tuple[str, set[str]]:
    """Completes `given` for transactions; the GROUP BY if the rows are lines of orders, and the columns used."""
    money = _money_columns(cells)
    _paid_kind(source, cells, given, money, notes)
    grouped = ""
    if _is_lines(source, cells, given, notes):
        grouped = _orders(source, cells, given, money, notes)
    elif len(money) > 1:
        given["amount"] = f"round({_worth(source, money)}, 2)"
        notes.append(f"amount is {_named_money(money)}, rounded to cents.")
    else:
        given["amount"] = _to_cents(source, money[0], notes)
    used = {cells[role].column for role in given if role in cells and role != "amount"}
    return grouped, used | {cell.column for cell in money}


def _money_columns(cells: dict[str, Cell]) -> list[Cell]:
    """The columns whose product is the money of a row: the amount, or the quantity and the price."""
    sure = "amount" in cells and not any(
        "end of its name" in note for note in cells["amount"].notes
    )
    if not sure and {"price", "quantity"} <= set(cells):
        return [cells["quantity"], cells["price"]]
    return [cells.get("amount") or cells["price"]]


def _worth(source: Source, money: list[Cell], cast: str = "TRY_CAST") -> str:
    text = {cell.column for cell in money if source.types[cell.column] == "VARCHAR"}
    return " * ".join(
        f"{cast}({cell.sql} AS DECIMAL(18, 4))" if cell.column in text else cell.sql
        for cell in money
    )


def _named_money(money: list[Cell]) -> str:
    return " × ".join(cell.column for cell in money)


def _paid_kind(
    source: Source,
    cells: dict[str, Cell],
    given: dict[str, str],
    money: list[Cell],
    notes: list[str],
) -> None:
    if "kind" in given:
        return
    kind = constant_kind(source, "transactions")
    if kind not in (None, "purchase"):
        given["kind"] = literal(kind)
        notes.append(
            f"no column says the kind; every row is taken for '{kind}', by the file's name."
        )
        return
    negative = source.ask(f"SELECT count(*) FROM {source.look} WHERE {_worth(source, money)} < 0")[
        0
    ][0]
    notes.append(
        f"no column says the kind: negative amounts ({negative:,} of {source.looked:,} rows looked at) are refunds, "
        "the others purchases."
    )


def _to_cents(source: Source, cell: Cell, notes: list[str]) -> str:
    number = f"TRY_CAST({cell.sql} AS DOUBLE) * 100"
    finer = source.ask(
        f"SELECT count(*) FROM {source.look} WHERE abs({number} - round({number})) > 1e-6"
    )[0][0]
    if not finer:
        return cell.sql
    notes.append(
        f"CHECK: {finer:,} of {source.looked:,} amounts looked at are finer than cents; they are rounded."
    )
    exact = (
        cell.sql
        if source.types[cell.column] in FLOATS
        else f"TRY_CAST({cell.sql} AS DECIMAL(38, 6))"
    )
    return f"round({exact}, 2)"


def _is_lines(
    source: Source, cells: dict[str, Cell], given: dict[str, str], notes: list[str]
) -> bool:
    """Whether the id names orders of several lines; an id that is neither that nor unique is left out."""
    if "transaction_id" not in cells:
        return False
    column = cells["transaction_id"].column
    ids, repeated, alike, surplus = _repeated_ids(source, cells)
    if not surplus:
        notes.append(_unique(column, repeated, "recorded_at" in cells))
        return False
    if alike >= MOSTLY * repeated and (
        repeated >= SOME * ids or {"line", "price", "quantity"} & set(cells)
    ):
        notes.append(
            f"{repeated:,} of {ids:,} {column} stand on several rows, {alike:,} of these with one customer and one "
            "time: they are lines of orders, brought to one row an order."
        )
        return True
    notes.append(
        f"CHECK: {column} repeats ({repeated:,} of {ids:,}), not as lines of one order, so it is left out."
    )
    del given["transaction_id"]
    return False


def _unique(column: str, repeated: int, recorded: bool) -> str:
    if not repeated:
        return f"{column} is unique."
    if recorded:
        return f"{column} repeats {repeated:,} times as versions of one transaction, each with its recorded_at."
    return f"CHECK: {repeated:,} {column} stand for several customers; each customer's row is taken for one of its own."


def _repeated_ids(source: Source, cells: dict[str, Cell]) -> tuple[int, ...]:
    """Ids; those on several rows; of these, with one customer and time; rows too many for an id with versions.

    Rows equal in every column count as one: they are a replay, and the contract drops it.
    """
    id_, who, when = (cells[role].sql for role in ("transaction_id", "customer_id", "occurred_at"))
    version = cells["recorded_at"].sql if "recorded_at" in cells else "NULL"
    each = f"""
        SELECT count(DISTINCT hash("this row")) AS n, count(DISTINCT {who}) AS people, count(DISTINCT {when}) AS times,
               count(DISTINCT ({who}, {version})) AS versions
        FROM {source.whole} AS "this row" WHERE {_filled(id_)} AND {_filled(who)} GROUP BY {id_}"""
    return source.ask(f"""
        SELECT count(*), count(*) FILTER (WHERE n > 1), count(*) FILTER (WHERE n > 1 AND people = 1 AND times <= 1),
               coalesce(sum(n - versions), 0)
        FROM ({each})""")[0]


def _filled(sql: str) -> str:
    return f"coalesce(trim(CAST({sql} AS VARCHAR)), '') <> ''"


def _orders(
    source: Source,
    cells: dict[str, Cell],
    given: dict[str, str],
    money: list[Cell],
    notes: list[str],
) -> str:
    """Makes `given` one row an order (sums, the first time, the last recording) and returns the GROUP BY."""
    given.pop("category", None)
    id_ = cells["transaction_id"]
    if "kind" in cells and _vary(source, id_, cells["kind"].sql) > 0:
        notes.append(
            f"CHECK: {cells['kind'].column} varies within orders, so it is left out: negative sums are refunds."
        )
        del given["kind"]
    for role, reduce_ in (
        ("occurred_at", "min"),
        ("recorded_at", "max"),
        ("channel", "min"),
        ("method", "min"),
        ("kind", "min"),
    ):
        if role in given and role in cells:
            given[role] = f"{reduce_}({given[role]})"
    for role in {"quantity", "discount"} & set(given):
        given[role] = f"sum({_worth(source, [cells[role]])})"
    given["amount"] = _order_amount(source, id_, money, notes)
    return f" GROUP BY {', '.join(_order_keys(source, cells, notes))}"


def _order_keys(source: Source, cells: dict[str, Cell], notes: list[str]) -> list[str]:
    """The id and the customer; the time too where the id is blank, or all such rows would be one order."""
    id_, who, when = (cells[role] for role in ("transaction_id", "customer_id", "occurred_at"))
    keys = [source.sql(id_.column), source.sql(who.column)]
    blank = source.ask(f"SELECT count(*) FROM {source.whole} WHERE NOT {_filled(id_.sql)}")[0][0]
    if blank:
        notes.append(
            f"{blank:,} rows have no {id_.column}; they are one order a customer and time."
        )
        keys.append(f"CASE WHEN {_filled(id_.sql)} THEN NULL ELSE {source.sql(when.column)} END")
    return keys


def _order_amount(source: Source, id_: Cell, money: list[Cell], notes: list[str]) -> str:
    tried, named = _worth(source, money), _named_money(money)
    several = f"SELECT 1 FROM {source.whole} GROUP BY {id_.sql} HAVING count(*) > 1"
    lines = source.ask(f"SELECT count(*) FROM ({several})")[0][0]
    if len(money) == 1 and lines >= ENOUGH and _vary(source, id_, tried) <= (1 - MOSTLY) * lines:
        notes.append(
            f"CHECK: {named} is the same on all lines of an order: taken for the order's total, and once."
        )
        return f"max({tried})"
    notes.append(f"amount is the sum of {named} over the order, rounded to cents.")
    unreadable = source.ask(f"SELECT count(*) - count({tried}) FROM {source.whole}")[0][0]
    if not unreadable:
        return f"round(sum({_worth(source, money, 'CAST')}), 2)"
    notes.append(
        f"CHECK: lines without a readable {named}: {unreadable:,}; their orders are refused, not counted short."
    )
    return f"CASE WHEN count(*) = count({tried}) THEN round(sum({tried}), 2) END"


def _vary(source: Source, id_: Cell, sql: str) -> int:
    """In how many orders the lines differ."""
    differing = f"SELECT 1 FROM {source.whole} WHERE {_filled(id_.sql)} GROUP BY {id_.sql} HAVING count(DISTINCT {sql}) > 1"
    return source.ask(f"SELECT count(*) FROM ({differing})")[0][0]
