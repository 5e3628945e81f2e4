"""Treatments, costs, leads and referrals: read, checked, counted and cut; no feature reads them."""

from __future__ import annotations

import pytest

from features.core import errors
from features.core.instants import instant
from features.core.settings import settings_from_mapping
from features.engine.business_columns import columns_for
from features.recipes.definitions import learn_definitions
from features.tables.history import load_history
from lifecycle.commands.check import build_report

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


ODD = {
    "treatments": "customer_id,occurred_at,campaign,arm,cost\n"
    "a,2024-03-05,spring,treated,-0.50\nb,2024-03-05,spring,held_out,\n"
    "a,2024-03-06,spring,held_out,\na,2024-04-06,summer,treated,0.50\n",
    "costs": "channel,month,amount\nsearch,2024-02,-100\nsearch,2024-03,90\nweb,2024-03,-1\n",
    "leads": "lead_id,occurred_at,channel,customer_id,recorded_at\n"
    "l1,2024-02-01,web,,2024-02-01\nl1,2024-02-01,web,a,2024-04-01\n"
    "l2,2024-02-01,web,a,2024-02-03\nl3,2024-02-01,web,b,2024-02-03\n",
    "referrals": "referrer_id,referred_id,occurred_at\n"
    "a,a,2024-02-01\na,b,2024-02-01\nc,b,2024-02-02\nb,d,2024-02-02\n",
}


def test_check_names_rows_that_contradict_each_other_with_their_counts(tmp_path):
    settings, history, counts = load(tmp_path, **ODD)
    findings = build_report(history, counts, settings)["findings"]
    named = {each["name"]: each for each in findings if each["table"] in ODD}
    assert {
        name: each["counts"]["odd"] for name, each in named.items() if "odd" in each["counts"]
    } == {
        "negative_treatment_cost": 1,
        "customer_in_both_arms": 1,
        "negative_cost": 2,
        "customer_of_several_leads": 1,
        "self_referral": 1,
        "referred_by_several": 1,
    }
    for each in named.values():
        assert each["sentence"].startswith(tuple("0123456789"))
        assert each["fix"]


def test_check_names_nothing_in_tables_that_are_right(tmp_path):
    right = {name: text.splitlines()[0] + "\n" for name, text in FILES.items()}
    right["treatments"] += "a,2024-03-05,spring,2024-03-01,treated,0.50\n"
    right["costs"] += "search,2024-02,100,advertising\n"
    right["leads"] += "l1,2024-02-01,web,,2024-02-01\nl1,2024-02-01,web,a,2024-04-01\n"
    right["referrals"] += "a,b,2024-02-01\nb,c,2024-02-01\n"
    settings, history, counts = load(tmp_path, **right)
    findings = build_report(history, counts, settings)["findings"]
    assert not [each for each in findings if each["table"] in FILES and "odd" in each["counts"]]


def test_known_cuts_them_by_both_clocks(tmp_path):
    _, history, _ = load(tmp_path)
    # Decided on the first of March, sent on the fifth: known from the decision on.
    assert known(history, "treatments", "2024-03-01") == []
    assert len(known(history, "treatments", "2024-03-02")) == 2
    # What a month cost is known when the month is over, in the zone of the business.
    assert known(history, "costs", "2024-02-29") == []
    assert [row["amount"] for row in known(history, "costs", "2024-03-01")] == [10_000]
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
