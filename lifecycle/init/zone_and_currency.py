"""The zone and the currency of the business: from the files where they say them, else asked."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

import duckdb

from features.core.errors import BadSetting
from lifecycle.init.money import currency_codes, currency_in_name
from lifecycle.init.parts import Part
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.toml_page import Guess, toml_string

Parts = dict[str, list[Part]]

# A zone is asked for where it moves more than this share of the rows to another local day.
_MOVED = 0.01
_EXAMPLES = ("America/New_York", "Europe/Berlin", "Asia/Shanghai")
_TIMES = {"contracts": "starts_at", "customers": "acquired_at"}
# Signs that several currencies have.
_SHARED_SIGNS = {"USD": "$", "JPY": "¥", "SEK": "kr"}
_CODES = ("EUR", "USD", "GBP", "CNY")


def guess_zone(connection: duckdb.DuckDBPyConnection, parts: Parts, answers: Answers) -> Guess:
    """UTC, or the answered zone; asked only where it moves rows to another day."""
    clocks = {clock for files in parts.values() for part in files for clock in part.clocks}
    if clocks <= {"days"}:
        reason = "there are dates only, so no zone is needed."
    elif "offset" not in clocks:
        reason = (
            "the clock times have no zone, so no row moves to another day; write the zone they "
            'were recorded in, such as "Europe/London", and summer time is right too.'
        )
    else:
        rows, moved = _moved_rows(connection, parts)
        if rows and max(moved.values()) > _MOVED * rows:
            return _ask_zone(rows, moved, answers, mixed="naive" in clocks)
        reason = (
            "the times carry their offset, so no zone is needed to read them; "
            "your own zone would decide where a day begins."
        )
    zone = answers.given.get("zone", "UTC")
    _check_zone(zone)
    return Guess("business.zone", toml_string(zone), (reason,))


def _moved_rows(connection: duckdb.DuckDBPyConnection, parts: Parts) -> tuple[int, dict[str, int]]:
    """Rows with an offset, and how many of them each zone moves to another day than UTC's."""
    rows, moved = 0, dict.fromkeys(_EXAMPLES, 0)
    for table, files in parts.items():
        name = _TIMES.get(table, "occurred_at")
        for part in files:
            if part.cells.get(name) is None or part.cells[name].clock != "offset":
                continue
            time = f"TRY_CAST(CAST({name} AS VARCHAR) AS TIMESTAMPTZ)"
            counts = ", ".join(
                f"count(*) FILTER (CAST(timezone('{zone}', t) AS DATE) <> CAST(t AS DATE))"
                for zone in _EXAMPLES
            )
            total, *each = connection.execute(
                f"SELECT count(t), {counts} FROM (SELECT {time} AS t FROM ({part.select}))"
            ).fetchall()[0]
            rows += total
            for zone, count in zip(_EXAMPLES, each, strict=True):
                moved[zone] += count
    return rows, moved


def _ask_zone(rows: int, moved: dict[str, int], answers: Answers, *, mixed: bool) -> Guess:
    other = "; other times have no zone, and it is that of theirs" if mixed else ""
    question = Question(
        "zone",
        f"{rows:,} times carry an offset: your zone decides on which day they are{other}.",
        (
            Answer("UTC", "days are those of UTC"),
            *(
                Answer(zone, f"{count:,} rows are on another day than in UTC")
                for zone, count in moved.items()
            ),
        ),
        is_open=True,
    )
    zone = answers.ask(question)
    _check_zone(zone)
    return Guess("business.zone", toml_string(zone), (answers.check_note(question),))


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError) as error:
        raise BadSetting(
            where="--answer zone",
            got="a zone that is not known",
            rule="A zone is a name of the IANA time zone database.",
            fix="Type a name such as: --answer zone=Europe/London",
            values=[zone],
        ) from error


def guess_currency(parts: Parts, answers: Answers) -> Guess:
    """The currency that the files name; asked where none does, or where a sign has several."""
    contracts = [part for part in parts.get("contracts", []) if "price" in part.cells]
    files = [*parts.get("transactions", []), *contracts]
    codes = sorted({code for part in files for code in _codes(part)})
    if "currency" in answers.given and codes != [answers.given["currency"]]:
        code = answers.given["currency"]
        _check_currency(code)
        return Guess("business.currency", toml_string(code), (f"--answer currency={code}.",))
    if not files:
        return Guess("business.currency", '"EUR"', ("no file holds amounts.",))
    by_column = any("currency" in part.cells for part in files)
    if len(codes) == 1 and (by_column or codes[0] not in _SHARED_SIGNS):
        where = "column" if by_column else "signs on the amounts"
        reason = f"by the currency {where}." if by_column else f"by the {where}."
        return Guess("business.currency", toml_string(codes[0]), (reason,))
    if len(codes) > 1:
        raise BadSetting(
            where=", ".join(part.source.path.name for part in files),
            got=f"amounts in several currencies: {', '.join(codes)}",
            rule="Amounts are added up, so they are in one currency.",
            fix="Give init the files of one currency, or convert the amounts first.",
        )
    first = codes[0] if codes else "EUR"
    sign = f" but the sign {_SHARED_SIGNS[first]}" if codes else ""
    question = Question(
        "currency",
        f"Nothing in the files names the currency of the amounts{sign}.",
        tuple(Answer(code, f"amounts are in {code}") for code in dict.fromkeys((first, *_CODES))),
        is_open=True,
    )
    code = answers.ask(question).upper()
    _check_currency(code)
    return Guess("business.currency", toml_string(code), (answers.check_note(question),))


def _check_currency(code: str) -> None:
    if not re.fullmatch("[A-Z]{3}", code):
        raise BadSetting(
            where="--answer currency",
            got="a text that is no code of a currency",
            rule="A currency is three capital letters (ISO 4217).",
            fix="Type a code such as: --answer currency=EUR",
            values=[code],
        )


def _codes(part: Part) -> set[str]:
    """The codes in a currency column, or those that the signs on the amounts stand for."""
    source = part.source
    if "currency" in part.cells:
        code = f"upper(trim(CAST({part.cells['currency'].sql} AS VARCHAR)))"
        rows = source.query(f"SELECT DISTINCT {code} FROM {source.sample} WHERE {code} <> ''")
        codes = {row[0] for row in rows if re.fullmatch("[A-Z]{3}", row[0])}
        return codes if len(codes) < 2 or not part.currency else {part.currency}
    cell = part.cells.get("amount") or part.cells.get("price")
    if cell is None:
        return set()
    return currency_codes(source, cell.column) or currency_in_name(cell.column)
