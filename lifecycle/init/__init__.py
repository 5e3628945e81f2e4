"""`lifecycle init`: from the user's files to a commented `lifecycle.toml`, each guess with its reason.

    files ─► columns (what is each column?) ─► tables (which table is each file? its SELECT) ─► here:
    zone, currency, archetype, activity, horizon, and the page that says it all

What a guess could not settle stands in a comment that begins with `CHECK:`.
"""

from __future__ import annotations

import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.core.errors import BadSetting, ColumnMissing, QueryFailed, StoreFailed
from features.core.settings import Contract
from features.tables.parsing import literal
from lifecycle.init.columns import Source
from lifecycle.init.tables import Part, assign, connected, open_file, strangers
from lifecycle.init.words import CURRENCY_SIGNS

HORIZONS = (30, 60, 90, 180, 365)
GAPS_A_HORIZON, FEWEST_GAPS = 3, 30
USAGE_LIKE = ("usage", "login", "visit")
SCALES = ((1, 5), (0, 5), (0, 10), (0, 100))
_HEAD = """\
# Written by `lifecycle init`: guesses from names and values, each with its reason. Settle every "CHECK:", then run
# `lifecycle check`, which accounts for every row. What else can be stated here: README.md and docs/contract.md.
"""


@dataclass(frozen=True)
class Guess:
    """One guess: the key it is for, what is written there (TOML), and why."""

    what: str
    guess: str
    reasons: tuple[str, ...]


def write(files: list[Path], out: Path) -> list[dict]:
    """Write the guessed configuration of `files` to `out` and return the guesses: what, guess, reason."""
    out = Path(out)
    _refuse_out(out)
    guesses = _guesses([Path(path) for path in files], out)
    try:
        with out.open("x", encoding="utf-8") as page:
            page.write(_page(guesses))
    except OSError as error:
        raise StoreFailed(
            where=str(out),
            got=error.strerror or "a write that failed",
            rule="init writes one file.",
            fix="Name another --out, in a folder that can be written to.",
        ) from error
    return [
        {"what": made.what, "guess": made.guess, "reason": " ".join(made.reasons)}
        for made in guesses
    ]


def _refuse_out(out: Path) -> None:
    if out.exists():
        raise BadSetting(
            where=f"--out {out}",
            got="a file that is there already",
            rule="init never overwrites.",
            fix="Name another --out or delete it.",
        )
    if not out.resolve().parent.is_dir():
        raise BadSetting(
            where=f"--out {out}",
            got="a folder that does not exist",
            rule="init writes one file, and makes no folders.",
            fix="Make the folder, or name another --out.",
        )


def _guesses(files: list[Path], out: Path) -> list[Guess]:
    (connection, keywords), taken = connected(), set()
    once = dict.fromkeys(path.resolve() for path in files)
    opened = [open_file(connection, path, taken=taken, keywords=keywords) for path in once]
    try:
        chosen, unused = assign(opened)
        _refuse_eventless(opened, chosen, unused)
        activity, table, kind = _activity(connection, chosen)
        found = [_files(opened, unused, out), activity, *_scales(connection, chosen)]
        found += [_archetype(chosen), _zone(chosen), _currency(chosen)]
        found += [_table(connection, name, chosen, table) for name in chosen]
        return [*found, _horizon(connection, chosen, table, kind)]
    except duckdb.Error as error:
        raise QueryFailed(
            where="init",
            got=f"a guessed SELECT that does not run ({type(error).__name__})",
            rule="The rows not looked at are written like the others.",
            fix="Write the configuration by hand (docs/contract.md), or mend the file.",
        ) from error


def _refuse_eventless(
    opened: list[Source], chosen: dict[str, list[Part]], unused: dict[str, str]
) -> None:
    if {"transactions", "interactions"} & set(chosen):
        return
    seen = [
        f"{source.path.name}: {unused[source.name]}" for source in opened if source.name in unused
    ]
    seen += [
        f"{part.source.path.name}: {table}" for table, parts in chosen.items() for part in parts
    ]
    raise ColumnMissing(
        where="init",
        got=f"no transactions and no interactions ({'; '.join(seen)})",
        rule="One file names a customer (customer_id, client_id, user_id …), a time (date, order_date, timestamp …) and an "
        "amount (amount, total, price and quantity …) or what was done (event, kind, visits …).",
        fix="Rename its columns so, or write the SELECT by hand: docs/contract.md.",
    )


def _select(parts: list[Part]) -> str:
    return " UNION ALL BY NAME ".join(part.select for part in parts)


def _table(
    connection: duckdb.DuckDBPyConnection, name: str, chosen: dict[str, list[Part]], table: str
) -> Guess:
    told = [reason for part in chosen[name] for reason in part.reasons]
    if name == "customers":
        told.append(strangers(connection, _select(chosen[name]), _select(chosen[table])))
    return Guess(f"tables.{name}", _quoted(_select(chosen[name])), tuple(told))


def _files(opened: list[Source], unused: dict[str, str], out: Path) -> Guess:
    named = {source.name: source.path for source in opened if source.name not in unused}
    listed = ", ".join(f"{name} = {_quoted(_beside(path, out))}" for name, path in named.items())
    left = [
        f"not used: {source.path.name}: {unused[source.name]}."
        for source in opened
        if source.name in unused
    ]
    return Guess(
        "files", f"{{ {listed} }}", ("where the files lie, seen from this file's folder.", *left)
    )


def _beside(path: Path, out: Path) -> str:
    """Relative to the toml's folder; whole where they share nothing but the root."""
    folder = out.resolve().parent
    try:
        shared = Path(os.path.commonpath([folder, path]))
    except ValueError:  # two drives
        return path.as_posix()
    return (
        Path(os.path.relpath(path, folder)).as_posix()
        if shared != Path(shared.anchor)
        else path.as_posix()
    )


def _activity(
    connection: duckdb.DuckDBPyConnection, chosen: dict[str, list[Part]]
) -> tuple[Guess, str, str]:
    """The guess, and its table and kind."""
    kinds = _kinds(connection, chosen["interactions"]) if "interactions" in chosen else []
    usage = [kind for kind in kinds if kind in USAGE_LIKE]
    if usage and "contracts" in chosen:
        table, kind, why = (
            "interactions",
            usage[0],
            "the most frequent use; under contract it is use that stops first.",
        )
    elif "transactions" in chosen:
        table, kind, why = "transactions", "purchase", "purchases are what a customer stops."
    elif usage:
        table, kind, why = (
            "interactions",
            usage[0],
            "the most frequent use, as no file holds purchases.",
        )
    else:
        table, kind, why = (
            "interactions",
            kinds[0],
            "CHECK: the most frequent kind; none of use or purchase is known.",
        )
    return (
        Guess("activity", f"{{ table = {_quoted(table)}, kinds = [{_quoted(kind)}] }}", (why,)),
        table,
        kind,
    )


def _kinds(connection: duckdb.DuckDBPyConnection, parts: list[Part]) -> list[str]:
    """The kinds of the interactions, most frequent first."""
    counted = f"SELECT kind, count(*) FROM ({_select(parts)}) WHERE trim(kind) <> '' GROUP BY kind ORDER BY 2 DESC, 1"
    return [row[0] for row in connection.execute(counted).fetchall()]


def _scales(connection: duckdb.DuckDBPyConnection, chosen: dict[str, list[Part]]) -> list[Guess]:
    """Scales of scores that pass the contract's usual ones; nothing where those fit."""
    usual = Contract().scales
    wider = {}
    for kind, low, high in _spans(connection, chosen) if "feedback" in chosen else []:
        if (
            kind in usual
            and low is not None
            and not usual[kind][0] <= low <= high <= usual[kind][1]
        ):
            wider[kind] = next(
                (scale for scale in SCALES if scale[0] <= low and high <= scale[1]), usual[kind]
            )
    listed = ", ".join(
        f"{kind} = [{low:g}, {high:g}]" for kind, (low, high) in (usual | wider).items()
    )
    why = f"CHECK: scores of {', '.join(wider)} pass the usual scale; this is the next one that holds them."
    return [Guess("contract", f"{{ scales = {{ {listed} }} }}", (why,))] if wider else []


def _spans(connection: duckdb.DuckDBPyConnection, chosen: dict[str, list[Part]]) -> list[tuple]:
    """(kind, low, high) of the scores, but for the half per cent at either end."""
    if not any("score" in part.cells for part in chosen["feedback"]):
        return []
    ends = [
        f"quantile_disc(TRY_CAST(CAST(score AS VARCHAR) AS DOUBLE), {share})"
        for share in (0.005, 0.995)
    ]
    spans = f"SELECT kind, {', '.join(ends)} FROM ({_select(chosen['feedback'])}) GROUP BY kind ORDER BY kind"
    return connection.execute(spans).fetchall()


def _archetype(chosen: dict[str, list[Part]]) -> Guess:
    if "contracts" in chosen:
        guess, why = (
            '"contractual"',
            "there are contracts: a customer leaves by cancelling or by letting cover end.",
        )
    else:
        guess, why = (
            '"non-contractual"',
            "no file holds contracts: a customer leaves by staying away.",
        )
    return Guess("business.archetype", guess, (why,))


def _zone(chosen: dict[str, list[Part]]) -> Guess:
    clocks = {clock for parts in chosen.values() for part in parts for clock in part.clocks}
    if "naive" in clocks:
        why = 'CHECK: there are clock times without a zone; write the one they were taken in, such as "Europe/London".'
    elif "offset" in clocks:
        why = "the times carry their offset, so no zone is needed; yours would set where a day begins."
    else:
        why = "there are dates only, so no clock needs a zone."
    return Guess("business.zone", '"UTC"', (why,))


def _currency(chosen: dict[str, list[Part]]) -> Guess:
    codes = sorted({code for part in chosen.get("transactions", []) for code in _codes(part)})
    guess, why = "EUR", "CHECK: nothing in the files says which; write yours."
    if len(codes) > 1:
        why = "CHECK: there are several currencies; the SELECT must bring them to one."
    elif codes and re.fullmatch("[A-Z]{3}", codes[0]):
        guess, why = codes[0], "CHECK: by the currency column or the signs on the amounts."
    return Guess("business.currency", _quoted(guess), (why,))


def _codes(part: Part) -> set[str]:
    """The codes in a currency column, or those the signs on the amounts stand for."""
    if "currency" in part.cells:
        code = f"upper(trim(CAST({part.cells['currency'].sql} AS VARCHAR)))"
        found = part.source.ask(
            f"SELECT DISTINCT {code} FROM {part.source.look} WHERE {code} <> ''"
        )
        return {row[0] for row in found}
    signs = part.source.signs((part.cells.get("amount") or part.cells["price"]).column)
    return {code for sign, code in CURRENCY_SIGNS.items() if sign in signs}


def _horizon(
    connection: duckdb.DuckDBPyConnection, chosen: dict[str, list[Part]], table: str, kind: str
) -> Guess:
    gap, gaps = (0, 0) if "contracts" in chosen else _median_gap(connection, chosen[table], kind)
    days = (
        min(HORIZONS, key=lambda horizon: abs(horizon - GAPS_A_HORIZON * gap))
        if gaps >= FEWEST_GAPS
        else 90
    )
    if "contracts" in chosen:
        why = "90 days, as usual: cover ends by contract, and the gaps in use say nothing about it."
    elif gaps < FEWEST_GAPS:
        why = f"CHECK: 90 days, as usual: {gaps} gaps between a customer's active days are too few to go by."
    else:
        why = (
            f"the median gap between a customer's active days is {gap:g} days ({gaps:,} gaps); {GAPS_A_HORIZON} of them "
            f"are {GAPS_A_HORIZON * gap:g}, and {days} is nearest among {', '.join(map(str, HORIZONS))}."
        )
    return Guess("churn.horizon_days", str(days), (why,))


def _median_gap(
    connection: duckdb.DuckDBPyConnection, parts: list[Part], kind: str
) -> tuple[float, int]:
    rows = _select(parts)
    if parts[0].table == "transactions":
        stated = "kind" if " AS kind" in rows else "NULL"
        active = f"coalesce({stated}, CASE WHEN CAST(amount AS VARCHAR) LIKE '-%' THEN 'refund' ELSE 'purchase' END) = 'purchase'"
    else:
        active = f"kind = {literal(kind)}"
    at = "CAST(TRY_CAST(CAST(occurred_at AS VARCHAR) AS TIMESTAMPTZ) AS DATE)"
    days = f"SELECT DISTINCT customer_id AS who, {at} AS day FROM ({rows}) WHERE {active} AND customer_id IS NOT NULL"
    waits = f"SELECT day - lag(day) OVER (PARTITION BY who ORDER BY day) AS wait FROM ({days}) WHERE day IS NOT NULL"
    median, count = connection.execute(
        f"SELECT median(wait), count(wait) FROM ({waits})"
    ).fetchone()
    return float(median or 0), count


def _quoted(text: str) -> str:
    """A TOML string on one line; three quotes where that spares backslashes."""
    if (
        text.isprintable()
        and "\\" not in text
        and '"' in text
        and '"""' not in text
        and not text.endswith('"')
    ):
        return f'"""{text}"""'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'


def _page(guesses: list[Guess]) -> str:
    """The guesses as TOML: keys without a section first, then one section after the other, reasons above each."""
    lines, section = [_HEAD.rstrip()], ""
    for made in sorted(guesses, key=lambda made: "." in made.what):
        before, _, key = made.what.rpartition(".")
        lines += ["", f"[{before}]"] if before != section else [""]
        section = before
        lines += [*_comments(made.reasons), f"{key} = {made.guess}"]
    return "\n".join(lines) + "\n"


def _comments(reasons: tuple[str, ...]) -> list[str]:
    plain = ["".join(c if c.isprintable() else "?" for c in reason) for reason in reasons]
    return [
        f"# {line}"
        for reason in plain
        for line in textwrap.wrap(reason, 116, break_long_words=False, subsequent_indent="  ")
    ]
