"""Amounts in several currencies are added up at no door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from features.core import errors
from features.core.settings import settings_from_mapping
from features.tables.currencies import one_currency_fix
from features.tables.history import load_history
from lifecycle.business import Business
from serving.batch import run_folders
from tests.support.plausible_business import HEAD, business, purchases


@pytest.fixture
def mixed(tmp_path):
    """(settings, history, counts) of a shop that sells in two currencies."""
    rows = "\n".join(f"{row},{('EUR', 'USD')[at % 2]}" for at, row in enumerate(purchases()))
    return business(tmp_path, {"transactions": HEAD.strip() + ",currency\n" + rows + "\n"})


@pytest.mark.parametrize(
    "ask",
    [
        lambda shop: shop.train(),
        lambda shop: shop.examples(),
        lambda shop: shop.features(as_of="2024-12-01"),
        lambda shop: shop.features(pairs=_one_pair()),
        lambda shop: shop.backtest(as_of=["2024-09-01"]),
    ],
)
def test_nothing_is_computed_from_two_currencies(mixed, ask, store_home):
    with pytest.raises(errors.SeveralCurrencies) as refused:
        ask(Business(*mixed))
    assert "EUR 724" in refused.value.got
    assert "WHERE currency = 'EUR'" in refused.value.fix


def test_a_night_with_a_second_currency_is_not_scored(trained_shop, mixed):
    history = replace(trained_shop.history, currencies=mixed[1].currencies)
    with pytest.raises(errors.SeveralCurrencies):
        run_folders.score_batch(
            history, trained_shop.settings, trained_shop.release, as_of=trained_shop.run.as_of
        )


def test_what_the_error_says_to_type_converts_them(tmp_path, mixed):
    fix = one_currency_fix("transactions", list(mixed[1].currencies["transactions"]))
    convert = fix[fix.index("round(") : fix.index(", with your rates")].replace("…", "0.9")
    select = f"SELECT customer_id, occurred_at, transaction_id, {convert} FROM sold"
    settings = settings_from_mapping(
        {
            "business": {"zone": "UTC"},
            "files": {"sold": "transactions.csv"},
            "tables": {"transactions": select},
        },
        folder=tmp_path,
        where="test",
    )
    history, counts = load_history(settings)
    assert history.currencies == {}
    assert counts["transactions"].kept == counts["transactions"].read


def _one_pair():
    import pandas as pd

    return pd.DataFrame({"customer_id": ["c01"], "as_of": ["2024-12-01"]})
