"""A request's cells are read as the contract reads a file's: the same numbers, or a refusal."""

from __future__ import annotations

import functools
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from features.core.contract import CONTRACT, EARLIEST_US, LATEST_US
from features.core.errors import Malformed
from features.core.settings import settings_from_mapping
from features.tables import sources
from features.tables.parsing import column_sql
from serving.api import request_events, request_rows
from serving.api.questions import parse_request
from serving.api.schemas import ROWS, Instant, Text, field_path, rfc3339
from tests.support.checks import nonempty

DIGITS = {0: "JPY", 2: "EUR", 3: "KWD"}
quick = settings(max_examples=100, deadline=None)


@functools.cache
def _engine():
    return sources.connect(memory="200MB", threads=1)


def by_contract(table, column, value, raw_type, *, digits=2):
    """(what the contract's SQL reads, or None; the rules it says are broken)."""
    found = column_sql(
        CONTRACT[table].column(column),
        raw="x",
        raw_type=raw_type,
        table=table,
        zone=None,
        digits=digits,
    )
    tests = ", ".join(f"coalesce({test}, false)" for _, test in found.violations) or "false"
    value, *broken = (
        _engine()
        .execute(
            f"SELECT {found.value}, {tests} FROM (SELECT CAST($1 AS {raw_type}) AS x)", [value]
        )
        .fetchone()
    )
    return value, [
        reason for (reason, _), hit in zip(found.violations, broken, strict=False) if hit
    ]


def by_request(kind, value):
    """What a request's type makes of a value, or None where it is refused."""
    try:
        return TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return None


amounts = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e13, 1e13),
    st.builds(
        lambda minor, digits: minor / 10**digits,
        st.integers(-(10**15), 10**15),
        st.sampled_from([0, 2, 3]),
    ),
    st.builds(
        lambda minor, part: (minor + part) / 100,
        st.integers(-(10**14), 10**14),
        st.sampled_from([0.5, 0.25, 1e-6, 1e-5, 0.499]),
    ),
)


@given(amounts, st.sampled_from(sorted(DIGITS)))
@example(
    6_000_000_000.005, 2
)  # 0.5 minor units are within this float's noise: both round away from zero
@example(-6_000_000_000.005, 2)
@example(-0.0, 2)
@example(1e13, 2)
@example(math.nextafter(1e13, math.inf), 2)
@example(1.005, 2)
@quick
def test_money_is_read_as_in_a_file(amount, digits):
    value, broken = by_contract("transactions", "amount", amount, "DOUBLE", digits=digits)
    try:
        mine = request_rows.minor_units(amount, digits, "here")
    except Malformed:
        mine = None
    assert mine == value
    assert (mine is None) == bool(broken)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
@quick
def test_numbers_are_read_as_in_a_file(number):
    value, _ = by_contract("interactions", "quantity", number, "DOUBLE")
    mine = (
        ROWS["interactions"]
        .model_validate(
            {"occurred_at": "2024-01-01T00:00:00Z", "kind": "visit", "quantity": number}
        )
        .quantity
    )
    assert (mine, math.copysign(1, mine)) == (number, math.copysign(1, number))
    assert value == mine or abs(mine) > request_rows.NUMBER_LIMIT


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
edges = st.text(
    st.one_of(
        st.characters(categories=["Zs"]),
        st.sampled_from("\t\n\r\v\f\x1c\x85\u200b\u2028\u2029\u180e\ufeff"),
    ),
    max_size=3,
)


@given(edges, st.text(letters), edges)
@example("\u3000", "床", "\u00a0")
@example("", "", "")
@quick
def test_text_is_read_as_in_a_file(before, middle, after):
    stated = before + middle + after
    value, _ = by_contract("transactions", "category", stated, "VARCHAR")
    assert by_request(Text, stated) == value
    assert by_contract("transactions", "transaction_id", stated, "VARCHAR")[0] == value


@st.composite
def instants(draw):
    """RFC 3339 with any offset and up to nine digits, the ends of the contract's time among
    them.
    """
    ends = st.sampled_from(
        [datetime(1970, 1, 1), datetime(2200, 1, 1), datetime(1, 1, 2), datetime(9999, 12, 30)]
    )
    local = draw(st.one_of(st.datetimes(datetime(1969, 12, 1), datetime(2200, 2, 1)), ends))
    local = (
        (local + timedelta(minutes=draw(st.integers(-1500, 1500))))
        if local.year not in (1, 9999)
        else local
    )
    minutes = draw(st.integers(-1439, 1439))
    offset = draw(
        st.sampled_from(
            ["Z", f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"]
        )
    )
    digits = draw(st.text("0123456789", max_size=9))
    return f"{local:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + (f".{digits}" if digits else "") + offset


@given(instants())
@example("1970-01-01T00:00:00Z")
@example("1969-12-31T23:59:59.999999999Z")
@example("2199-12-31T23:59:59.999999999Z")
@example("2024-02-29T23:59:59.999999999-23:59")
@quick
def test_instants_are_read_as_in_a_file(stated):
    value, broken = by_contract("transactions", "occurred_at", stated, "VARCHAR")
    assert by_request(Instant, stated) == value
    assert (value is None) == bool(broken)


@given(
    st.one_of(
        st.text(),
        st.from_regex(
            r"\A\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2})?(\.\d*)?(Z|z|[+-]\d{2}:?\d{0,2})?\Z"
        ),
    )
)
@quick
def test_no_text_is_an_instant_that_the_contract_would_not_read(stated):
    mine = by_request(Instant, stated)
    assert mine is None or mine == by_contract("transactions", "occurred_at", stated, "VARCHAR")[0]


@given(st.integers(EARLIEST_US, LATEST_US - 1))
@quick
def test_an_instant_said_is_the_instant_read(at):
    assert by_request(Instant, rfc3339(at)) == at


@pytest.mark.parametrize("stated", [True, False])
def test_flags_are_read_as_in_a_file(stated):
    row = {
        "starts_at": "2024-01-01T00:00:00Z",
        "ends_at": "2025-01-01T00:00:00Z",
        "auto_renew": stated,
    }
    assert (
        ROWS["contracts"].model_validate(row).auto_renew
        is stated
        is by_contract("contracts", "auto_renew", stated, "BOOLEAN")[0]
    )


ROWS_OF = {
    "transactions": [
        {"occurred_at": "2024-03-05T10:00:00Z", "amount": 19.9},
        {"occurred_at": "2024-03-05T10:00:00Z", "amount": 19.9},
        {
            "occurred_at": "2024-03-31T01:30:00.123456789+01:00",
            "amount": -5.0,
            "category": "\u3000床 ",
        },
        {"occurred_at": "2024-03-05T12:00:00Z", "amount": -0.0},
        {
            "occurred_at": "2024-03-05T11:00:00Z",
            "amount": 0.29,
            "kind": "refund",
            "transaction_id": " t ",
        },
        {
            "occurred_at": "2024-03-05T11:00:00Z",
            "amount": 0.29,
            "kind": "refund",
            "transaction_id": "t",
        },
        {
            "occurred_at": "2024-03-05T11:00:00Z",
            "amount": 1.1,
            "transaction_id": "t",
            "recorded_at": "2024-04-05T11:00:00Z",
            "discount": 0.07,
            "quantity": 3.0,
        },
    ],
    "interactions": [
        {
            "occurred_at": "2024-03-05T10:00:00-11:30",
            "kind": " visit",
            "quantity": 2.5,
            "channel": "  ",
        }
    ],
    "feedback": [
        {
            "occurred_at": "2024-03-05T10:00:00Z",
            "kind": "nps",
            "score": 0.0,
            "answered_at": "2024-03-05T10:00:00Z",
        },
        {
            "occurred_at": "2024-03-05T10:00:00Z",
            "kind": "complaint",
            "topic": "x",
            "resolved_at": "2024-03-06T10:00:00Z",
        },
    ],
    "contracts": [
        {
            "starts_at": "2024-03-01T00:00:00Z",
            "ends_at": "2025-03-01T00:00:00Z",
            "price": 9.99,
            "auto_renew": True,
            "plan": "p",
        },
        {
            "starts_at": "2024-03-01T00:00:00Z",
            "ends_at": "2024-09-01T00:00:00Z",
            "recorded_at": "2024-05-01T00:00:00Z",
            "plan": "p",
        },
        {
            "starts_at": "2024-09-01T00:00:00Z",
            "ends_at": "2025-09-01T00:00:00Z",
            "recorded_at": "2024-03-05T00:00:00Z",
        },
    ],
}


def _stated(folder, **contract):
    return settings_from_mapping(
        {
            "files": {name: f"{name}.parquet" for name in ROWS_OF},
            "business": {"zone": "UTC", "currency": "EUR"},
            "contract": contract,
            "tables": {name: f"SELECT * FROM files.{name}" for name in ROWS_OF},
        },
        folder=folder,
        where="here",
    )


@pytest.mark.parametrize(
    "contract",
    [
        {},
        {"exact_duplicates": "keep"},
        {"arrives_after_hours": {"transactions": 24.5, "contracts": 1}},
    ],
)
def test_the_same_rows_make_the_same_tables(tmp_path, contract):
    """Folded duplicates, defaults of kind and recorded_at, spaces, minor units: as the batch job
    reads them.
    """
    for name, rows in ROWS_OF.items():
        columns = {
            column: [row.get(column) for row in rows]
            for column in dict.fromkeys(key for row in rows for key in row)
        }
        pq.write_table(
            pa.table({"customer_id": ["c"] * len(rows), **columns}), tmp_path / f"{name}.parquet"
        )
    stated = _stated(tmp_path, **contract)
    read = sources.read_tables(stated).connection
    request = parse_request({"customers": [{"customer_id": "c", **ROWS_OF}]})
    made = request_events.read_events(
        request, stated, as_of=by_request(Instant, "2024-06-01T00:00:00Z")
    ).tables
    for name, table in nonempty(made.items()):
        columns = ", ".join(CONTRACT[name].names)
        assert _rows(table) == _rows(read.execute(f"SELECT {columns} FROM {name}").to_arrow_table())


def _rows(table):
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


def test_what_is_recorded_only_after_as_of_is_counted_not_refused():
    stated = _stated(Path(), arrives_after_hours={"transactions": 24})
    body = {
        "customers": [
            {"customer_id": one, "transactions": ROWS_OF["transactions"][:1]} for one in ("a", "b")
        ]
    }
    assert request_events.read_events(
        parse_request(body), stated, as_of=by_request(Instant, "2024-03-05T10:00:00.000001Z")
    ).late_rows == {"a": 1, "b": 1}
    assert request_events.read_events(
        parse_request(body), stated, as_of=by_request(Instant, "2024-03-06T10:00:00.000001Z")
    ).late_rows == {"a": 0, "b": 0}


def test_a_path_reads_like_the_body():
    assert (
        field_path(["customers", 3, "transactions", 0, "amount"])
        == "customers[3].transactions[0].amount"
    )
    assert field_path([]) == "body"


def test_an_instant_has_no_wall_clock_of_ours():
    at = datetime(2024, 3, 5, 10, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    assert by_request(Instant, at.isoformat()) == at.astimezone(UTC).timestamp() * 1_000_000
