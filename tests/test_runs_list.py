"""`lifecycle runs` says what a run has other than the champion, eligible customers first."""

from __future__ import annotations

import json

import pytest

from tests.support.tracking_stores import entry, serve
from training.tracking import record, tracking
from training.tracking.config_changes import SHOWN, changed_settings, changes_text


def params(settings, **changes):
    return record.configuration_params(settings) | {
        name.replace("__", "."): value for name, value in changes.items()
    }


@pytest.fixture
def shop_settings(trained_shop):
    return trained_shop.settings


def test_settings_that_differ_are_named_with_both_values(shop_settings):
    champion = params(shop_settings, churn__horizon_days="30", as_of__train="2024-01-01")
    run = params(shop_settings, churn__horizon_days="60", as_of__train="2024-02-01", features="9")
    changes = changed_settings(champion, run)
    assert changes == {"churn.horizon_days": {"champion": "30", "run": "60"}}
    assert changes_text(changes) == "differs from the champion: churn.horizon_days 30 → 60"
    assert changed_settings(champion, champion) == {}
    assert changes_text({}) == changes_text(None) == ""


def test_a_select_that_differs_is_named_without_its_hash_and_a_missing_setting_is_a_dash():
    champion = {"churn.horizon_days": "30", "tables.customers.sha256": "ab", "features.off": "[]"}
    run = {"churn.horizon_days": "30", "tables.customers.sha256": "cd"}
    text = changes_text(changed_settings(champion, run))
    assert text == "differs from the champion: features.off [] → –, tables.customers is another"


def test_what_is_not_printed_is_counted():
    changes = {f"churn.k{n}": {"champion": "1", "run": "2"} for n in range(SHOWN + 3)}
    assert "and 3 more settings (--json has all)" in changes_text(changes)


def test_a_run_that_recorded_no_configuration_is_not_compared(shop_settings):
    assert changed_settings(params(shop_settings), {"seed": "7"}) is None
    assert changed_settings({"seed": "7"}, params(shop_settings)) is None


def test_each_run_is_compared_with_the_champion_of_its_own_business(
    release_home, trained_shop, shop_settings
):
    _, release = release_home
    shorter = {
        "params": params(shop_settings, churn__horizon_days="30"),
        "tags": {"release": release},
    }
    longer = {"params": params(shop_settings, churn__horizon_days="61"), "began": 1.0}
    figures = {"eligible_auroc": 0.7, "everyone_auroc": 0.9, "eligible_auroc_low": 0.6}
    figures |= {"eligible_auroc_high": 0.8}
    assert tracking.record_run(
        entry(release=release, models=("churn",), business="Shop", **shorter)
    )
    assert tracking.record_run(entry(business="Shop", metrics=figures, **longer))
    assert tracking.record_run(entry(business="Gym", **(longer | {"began": 0.5})))
    serve(trained_shop.release)
    champion, other, gym = tracking.list_runs()
    assert (champion["changes"], gym["changes"]) == ({}, None)
    assert other["changes"] == {"churn.horizon_days": {"champion": "30", "run": "61"}}
    assert list(other["figures"]) == ["eligible", "everyone"]
    assert other["parameters"]["churn.horizon_days"] == "61"
    assert json.loads(json.dumps(other)) == other
    text = tracking.runs_text([champion, other, gym])
    assert "differs from the champion: churn.horizon_days 30 → 61" in text
    assert "AUROC .700, 95 % CI .600–.800, eligible customers; .900, everyone" in text
    assert "Gym" in text
    assert "Shop" not in tracking.runs_text([champion, other])
