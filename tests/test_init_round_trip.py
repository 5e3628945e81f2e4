"""A business written in a random dialect and read back by `lifecycle init` is the same business."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.core.settings import load_settings
from features.tables import history
from lifecycle.init.questions import Answers
from lifecycle.init.write_config import write
from tests.support.dialects import (
    EXTRAS,
    HEADERS,
    IDS,
    MONEY,
    TIMES,
    Dialect,
    expected_rows,
    invent_orders,
    write_files,
)
from tests.support.init_data import rows

ASKED_ANYWAY = {"zone", "currency"}
dialects = st.builds(
    Dialect,
    time=st.sampled_from(sorted(TIMES)),
    money=st.sampled_from(sorted(MONEY)),
    ids=st.sampled_from(sorted(IDS)),
    language=st.sampled_from(sorted(HEADERS)),
    between=st.sampled_from([",", ";", "\t", "|"]),
    quoted=st.booleans(),
    extras=st.lists(st.sampled_from(sorted(EXTRAS)), unique=True, max_size=4).map(tuple),
    parts=st.sampled_from([1, 2]),
    with_customers=st.booleans(),
    seed=st.integers(0, 1000),
)


def read_back(dialect: Dialect, *, early_days: bool):
    """(rows as the contract has them, the keys of what was asked)."""
    orders = invent_orders(dialect.seed, early_days=early_days)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answers = Answers()
        write(write_files(folder, orders, dialect), folder / "lifecycle.toml", answers)
        result, _ = history.load_history(load_settings(folder / "lifecycle.toml"))
        kept = {
            (
                row["transaction_id"],
                row["customer_id"],
                datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=row["occurred_at"]),
                row["amount"],
                row["kind"],
            )
            for row in rows(result, "transactions")
        }
        result.connection.close()
    return kept, set(answers.questions) - ASKED_ANYWAY


def check_dialect(dialect: Dialect, *, early_days: bool) -> None:
    kept, asked_keys = read_back(dialect, early_days=early_days)
    must_ask = dialect.must_ask(early_days=early_days)
    assert bool(asked_keys) == must_ask, asked_keys
    if dialect.default_is_right(early_days=early_days):
        expected = expected_rows(invent_orders(dialect.seed, early_days=early_days), dialect)
        assert kept == expected


@pytest.mark.slow
@pytest.mark.long
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(dialect=dialects, early_days=st.booleans())
def test_a_business_in_any_dialect_is_read_back(dialect, early_days):
    check_dialect(dialect, early_days=early_days)


@pytest.mark.long
@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(dialect=dialects, early_days=st.booleans())
def test_a_business_in_very_many_dialects_is_read_back(dialect, early_days):
    check_dialect(dialect, early_days=early_days)
