"""Treatments, costs, leads and referrals: read, checked, counted and cut; no feature reads them."""

from __future__ import annotations

import pytest

from features.core import errors
from features.core.instants import instant
from features.core.settings import settings_from_mapping
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from features.tables.history import load_history

ZONE = "Europe/London"
SHOP = "customer_id,occurred_at,amount\n" + "".join(
    f"{who},2024-0{month}-02,10\n" for who in "ab" for month in range(1, 7)
)
FILES = {
    "treatments": "customer_id,occurred_at,campaign,recorded_at,arm,cost\n"
    "a,2024-03-05,spring,2024-03-01,treated,0.50\n"
    "b,2024-03-05,spring,2024-03-01,held_out,\n"
    "b,2024-03-05,spring,2024-03-01,maybe,\n",
    "costs": "channel,month,amount,kind\n"
    "search,2024-02,100,advertising\n"
    "search,2024-03-15,90,labour\n"
    "search,2024-13,1,labour\n",
    "leads": "lead_id,occurred_at,channel,customer_id,recorded_at\n"
    "l1,2024-02-01,web,,2024-02-01\n"
    "l1,2024-02-01,web,a,2024-04-01\n",
    "referrals": "referrer_id,referred_id,occurred_at\na,b,2024-02-01\na,a,2024-02-01\n",
}


def load(folder, tables=tuple(FILES), **changed):
    texts = FILES | {"transactions": SHOP} | changed
    names = ("transactions", *tables)
    for name in names:
        (folder / f"{name}.csv").write_text(texts[name])
    sections = {
        "business": {"zone": ZONE},
        "files": {f"{name}_file": f"{name}.csv" for name in names},
        "tables": {name: f"SELECT * FROM {name}_file" for name in names},
    }
    settings = settings_from_mapping(sections, folder=folder, where="test")
    return settings, *load_history(settings)


def known(history, name, day):
    rows = history.as_of(instant(day, zone=ZONE)).further[name]
    return rows.collect(backend="pyarrow").to_native().to_pylist()


def test_each_table_is_read_by_its_contract_and_counted(tmp_path):
    _, history, counts = load(tmp_path)
    assert history.further == tuple(FILES)
    rejected = {name: counts[name].rejected for name in FILES}
    assert rejected == {
        "treatments": {"arm_unknown": 1},
        "costs": {"month_not_an_instant": 1},
        "leads": {},
        "referrals": {"referred_by_themselves": 1},
    }
    assert all(one.read == one.kept + sum(one.rejected.values()) for one in counts.values())


def test_known_cuts_them_by_both_clocks(tmp_path):
    _, history, _ = load(tmp_path)
    # Decided on the first of March, sent on the fifth.
    assert known(history, "treatments", "2024-03-05") == []
    assert len(known(history, "treatments", "2024-03-06")) == 2
    # What a month cost is known when the month is over, in the zone of the business.
    assert known(history, "costs", "2024-03-01") == []
    assert [row["amount"] for row in known(history, "costs", "2024-03-02")] == [10_000]
    march = instant("2024-03-01", zone=ZONE)
    assert sorted(row["month"] for row in known(history, "costs", "2024-05-01"))[1] == march
    assert [row["customer_id"] for row in known(history, "leads", "2024-03-01")] == [None]
    assert [row["customer_id"] for row in known(history, "leads", "2024-04-02")] == ["a"]
    assert len(known(history, "referrals", "2024-03-01")) == 1


def test_they_change_neither_columns_nor_customers_nor_the_end_of_the_data(tmp_path):
    settings, history, _ = load(
        tmp_path,
        treatments="customer_id,occurred_at,campaign\nstranger,2024-12-05,spring\n",
    )
    bare, without, _ = load(tmp_path, ())
    assert settings.definitions() == bare.definitions()
    assert history.names == without.names == ("transactions",)
    assert history.data_until == without.data_until
    at = history.data_until
    both = [one.as_of(at) for one in (history, without)]
    ids = [
        sorted(one.customers.collect(backend="pyarrow").to_native()["customer_id"].to_pylist())
        for one in both
    ]
    assert ids == [["a", "b"], ["a", "b"]]
    columns = [
        [column.name for column in columns_for(one, learn_definitions(seen, settings), settings)]
        for one, seen in zip((history, without), both, strict=True)
    ]
    assert columns[0] == columns[1]


def test_two_versions_of_a_lead_at_one_instant_are_refused(tmp_path):
    twice = "lead_id,occurred_at,channel\nl1,2024-02-01,web\nl1,2024-02-01,shop\n"
    with pytest.raises(errors.ContradictoryVersions):
        load(tmp_path, ("leads",), leads=twice)
