"""Attributes of customers: known at the instant or constant by declaration, levels learned once,
equal everywhere.
"""

from __future__ import annotations

import random

import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.core.settings import settings_from_mapping
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.columns import list_columns
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from tests.support import oracle
from tests.support.attribute_files import attribute_rows, plain, read
from tests.support.checks import nonempty
from tests.support.oracle_attributes import attributes, learned
from tests.support.oracle_differences import refuse_differences
from tests.support.oracle_worlds import add, world


def test_what_has_no_version_and_is_not_declared_is_no_feature_and_check_says_so(tmp_path):
    from lifecycle.commands import check, check_text

    lines = "customer_id,channel,segment,vip\n" + "".join(f"{k},web,a,yes\n" for k in range(40))
    found, counts, stated = read(tmp_path, lines, constant=["channel"])
    assert plain(attribute_rows(found, stated)["3"]) == {"channel_is_web": 1}
    account = check.build_report(found, counts, stated)
    assert account["tables"]["customers"]["attributes"] == ["channel"]
    assert account["tables"]["customers"]["not_features"] == ["segment", "vip"]
    assert "not features: segment, vip" in check_text.report_text(account)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chanel", "did you mean 'channel'"),
        ("acquired_at", "has channel"),
        ("crm_id", "has channel"),
    ],
)
def test_a_constant_that_is_no_attribute_is_refused(tmp_path, name, hint):
    lines = "customer_id,channel,acquired_at,crm_id\n1,web,2024-01-01,7\n"
    with pytest.raises(errors.BadSetting, match=f"constant_attributes.*{hint}"):
        read(tmp_path, lines, constant=[name])


def test_constants_without_a_table_of_customers_are_refused(tmp_path):
    with pytest.raises(errors.BadSetting, match="no SELECT"):
        settings_from_mapping(
            {
                "tables": {"transactions": "SELECT 1"},
                "contract": {"constant_attributes": ["channel"]},
            },
            folder=tmp_path,
            where="test",
        )


def test_the_version_of_the_time_counts(tmp_path):
    lines = "customer_id,valid_from,segment,consent,acquisition_cost\n"
    lines += "".join(f"{k},2024-01-01,small,no,12.50\n{k},2024-06-01,big,yes,\n" for k in range(40))
    found, _, stated = read(tmp_path, lines + "77,2024-09-01,future,no,1\n")
    late, early = (
        attribute_rows(found, stated)["5"],
        attribute_rows(found, stated, days_back=60)["5"],
    )
    assert plain(late) == {
        "segment_is_big": 1,
        "consent": 1,
        "attribute_age": 30,
        "attribute_changes": 2,
    }
    assert plain(early) == {
        "segment_is_small": 1,
        "consent": 0,
        "acquisition_cost": 12.5,
        "attribute_age": 122,
        "attribute_changes": 1,
    }


def test_levels_are_the_frequent_ones_named_apart_and_the_rest_falls_into_none(tmp_path):
    said = ["Köln Süd", "köln-süd", *(f"L{k}" for k in range(12))]
    counts = [4 * 5, 3 * 5, *[5] * 12]
    lines, k = "customer_id,valid_from,town\n", 0
    for level, count in zip(said, counts, strict=True):
        for _ in range(count):
            lines, k = lines + f"{k},2024-01-01,{level}\n", k + 1
    lines += "".join(f"{k + more},2024-01-01,rare\n" for more in range(4))
    found, _, stated = read(tmp_path, lines)
    definitions = learn_definitions(found.as_of(found.data_until), stated)
    town = definitions.attributes[0].columns
    assert town[:3] == (
        ("Köln Süd", "town_is_köln_süd"),
        ("köln-süd", "town_is_köln_süd_2"),
        ("L0", "town_is_l0"),
    )
    assert len(town) == 10
    assert "rare" not in dict(town)
    rows = attribute_rows(found, stated)
    assert (
        rows["0"]["town_is_köln_süd"],
        rows["0"]["town_is_köln_süd_2"],
        rows["25"]["town_is_köln_süd"],
    ) == (1, 0, 0)


def test_an_unseen_level_is_in_no_column_and_an_unknown_attribute_is_null(tmp_path):
    lines = "customer_id,valid_from,plan\n" + "".join(
        f"{k},2024-01-01,{'ab'[k % 2]}\n" for k in range(38)
    )
    found, _, stated = read(tmp_path, lines + "38,2024-01-01,\n0,2024-06-20,new\n")
    definitions = learn_definitions(found.as_of(found.data_until - 60 * DAY_US), stated)
    known = found.as_of(found.data_until)
    chosen = [c for c in columns_for(found, definitions, stated) if c.name.startswith("plan_is_")]
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=chosen,
    ).to_pylist()
    by_id = {row["customer_id"]: (row["plan_is_a"], row["plan_is_b"]) for row in rows}
    assert [by_id[who] for who in ("0", "1", "2", "38", "39")] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (None, None),
        (None, None),
    ]


def test_further_columns_keep_the_type_of_the_select_and_ids_and_instants_are_none(tmp_path):
    select = (
        "SELECT customer_id, valid_from, CAST(h AS INTEGER) AS household, vip = 'y' AS \"Is VIP\","
        " code, crm_id, CAST(born AS DATE) AS born FROM customers"
    )
    lines = "customer_id,valid_from,h,vip,code,crm_id,born\n"
    lines += "".join(
        f"{k},2024-01-01,{k % 4},{'yn'[k % 2]},00{k % 3},{k},2000-01-01\n" for k in range(40)
    )
    found, counts, stated = read(tmp_path, lines, select=select)
    row = plain(attribute_rows(found, stated)["6"])
    assert row == {
        "code_is_000": 1,
        "code_is_001": 0,
        "code_is_002": 0,
        "household": 2,
        "is_vip": 1,
        "attribute_age": 182,
        "attribute_changes": 1,
    }
    assert counts["customers"].unused_columns == ["crm_id", "born"]


def test_a_name_of_the_catalogue_is_not_taken_again(tmp_path):
    select = (
        "SELECT customer_id, valid_from, CAST(n AS DOUBLE) AS recency, stage, code AS \"it's"
        ' {7-25}", 1.5 AS "a.b" FROM customers'
    )
    lines = "customer_id,valid_from,n,stage,code\n" + "".join(
        f'{k},2024-01-01,1.5,"it\'s {{0.5}}",x\n' for k in range(40)
    )
    found, _, stated = read(tmp_path, lines, select=select)
    assert plain(attribute_rows(found, stated)["6"]).keys() == {
        "attribute_recency",
        "stage_is_it_s_0_5",
        "it_s_7_25_is_x",
        "attribute_age",
        "attribute_changes",
    }
    definitions = learn_definitions(found.as_of(found.data_until), stated)
    for column in nonempty(columns_for(found, definitions, stated)):
        assert column.feature.words.format(value=1.0, window="x", answer="yes")
        assert "Formula:" in column.feature.doc


def test_who_has_no_date_is_known_from_the_first_event_on(tmp_path):
    lines = "customer_id,channel\n" + "".join(f"{k},web\n" for k in range(40)) + "99,web\n"
    found, _, _ = read(tmp_path, lines, constant=["channel"])
    before = found.as_of(found.data_until - 400 * DAY_US)
    assert before.tables["customers"].collect(backend="pyarrow").to_native().num_rows == 0
    now = found.as_of(found.data_until).tables["customers"].collect(backend="pyarrow").to_native()
    assert "99" not in now["customer_id"].to_pylist()
    assert now.num_rows == 40


def test_off_switches_the_family_off(tmp_path):
    lines = "customer_id,channel\n" + "".join(f"{k},web\n" for k in range(40))
    found, _, stated = read(tmp_path, lines, constant=["channel"], off=["attributes"])
    assert attribute_rows(found, stated)["1"].keys() == {"customer_id"}


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_says_the_same(seed):
    made, rng = world(seed, "non-contractual"), random.Random(seed)
    stated = made.settings.contract.model_copy(update={"constant_attributes": ["channel"]})
    made = type(made)(
        made.rng, made.settings.model_copy(update={"contract": stated}), made.as_of, made.tables
    )
    for row in made.tables["customers"]:
        dress(rng, row)
    dates = [
        made.as_of,
        *range(made.as_of - 500 * DAY_US + 1, made.as_of + 9 * DAY_US, 50 * DAY_US),
    ]
    for number in range(100):
        for at in rng.sample(dates, rng.choice((0, 1, 2, 4))):
            dress(rng, add(made, "customers", f"{number:04d}", valid_from=at))
    seen = made.history().as_of(made.as_of)
    definitions, now = learn_definitions(seen, made.settings), oracle.known(made.tables, made.as_of)
    everybody = {row["customer_id"] for rows in now.values() for row in rows}
    since = {
        row["customer_id"]
        for row in made.tables["customers"]
        if (row["valid_from"] or row["acquired_at"] or 10**18) < made.as_of
    }
    levels = learned(made.tables, made.as_of, ("channel",), everybody | since)
    assert {
        one.name: [level for level, _ in one.columns] for one in definitions.attributes
    } == levels
    mine = [
        c
        for c in list_columns(definitions, tables=["customers"])
        if c.feature.family == "attributes"
    ]
    assert len(mine) == 2 + sum(len(level) for level in levels.values())
    rows = build(
        seen, population=population_stats(seen, definitions), definitions=definitions, columns=mine
    ).to_pylist()
    got = {row["customer_id"]: row for row in rows}
    refuse_differences(
        made, got, {who: attributes(who, made.tables, made.as_of, definitions) for who in got}
    )


def dress(rng, row):
    row.update(
        channel=rng.choice((None, "web", "shop", "App")),
        segment=rng.choice(("a", "b", "c" * rng.randrange(1, 9))),
        region=rng.choice((None, "Süd", "süd", "S-D")),
        consent=rng.choice((None, True, False)),
        acquisition_cost=rng.choice((None, rng.randrange(90_000))),
    )


def numbers(text):
    return "customer_id,birth_year,postcode,size\n" + "".join(
        f"{k},{text(k)},{k:05d},{k % 7}.5\n" for k in range(40)
    )


def test_a_text_of_numbers_is_a_number_and_a_code_with_leading_zeros_is_none(tmp_path):
    """One of forty without a number is null there; one of ten is no number at all."""
    constant, allowed = ("birth_year", "postcode", "size"), ("birth_year",)
    few = numbers(lambda k: "unknown" if k == 3 else 1950 + k)
    found, _, stated = read(tmp_path, few, constant=constant, allowed=allowed)
    rows = attribute_rows(found, stated)
    assert plain(rows["5"]) == {"birth_year": 1955.0, "size": 5.5}
    assert plain(rows["3"]) == {"birth_year": None, "size": 3.5}
    many = numbers(lambda k: "unknown" if k % 10 == 3 else 1950 + k)
    found, _, stated = read(tmp_path, many, constant=constant, allowed=allowed)
    assert set(plain(attribute_rows(found, stated)["5"])) == {"size"}  # one customer a year


def test_a_number_stays_one_when_a_later_row_is_none(tmp_path):
    """The type is learned once: the column does not turn into levels."""
    found, _, stated = read(tmp_path, numbers(lambda k: 1950 + k), constant=["size"])
    definitions = learn_definitions(found.as_of(found.data_until), stated)
    broken = numbers(lambda k: 1950 + k).replace(".5\n", " m\n")
    found, _, stated = read(tmp_path, broken.replace("7,1957,00007,0 m", "7,1957,00007,8"))
    known = found.as_of(found.data_until)
    assert "size" not in known.tables["customers"].collect_schema()
    found, _, stated = read(
        tmp_path, broken.replace("7,1957,00007,0 m", "7,1957,00007,8"), constant=["size"]
    )
    known = found.as_of(found.data_until)
    columns = [c for c in list_columns(definitions, tables=found.names) if c.name == "size"]
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=columns,
    )
    by_customer = dict(zip(rows["customer_id"].to_pylist(), rows["size"].to_pylist(), strict=True))
    assert by_customer["7"] == 8.0
    assert by_customer["8"] is None
