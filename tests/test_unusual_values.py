"""Warnings of single scores: unlike the training, without what others have, of an unknown level."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serving.api.metering import warning_kind
from serving.release.reference_file import null_shares
from serving.release.score_table import score_rows
from serving.scoring.parts import Linear
from serving.scoring.unusual_values import unusual_warnings
from tests.support.raw_events import known_events

KINDS = ("outside_training_range", "imputed", "unseen_category")


@pytest.fixture(scope="module")
def rows(trained_shop):
    """Feature rows of eligible customers of the run, with instants in µs."""
    read = pq.read_table(trained_shop.run.folder / "features.parquet")
    for place, each in enumerate(read.schema):
        if pa.types.is_timestamp(each.type):
            read = read.set_column(place, each.name, read[place].cast(pa.int64()))
    return read.filter(read["eligible"]).slice(0, 20)


def ranged(release):
    """A scorer with one linear part that knows the range of `recency`, and the shares of nulls."""
    scorer = release.scorer
    linear = next(part for _, part in scorer.churn.parts if isinstance(part, Linear))
    assert linear.high is not None
    return scorer, null_shares(release.reference)


def changed(rows, **columns):
    for name, value in columns.items():
        values = pa.array([value] * rows.num_rows, pa.float64())
        rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows


def test_a_value_beyond_the_training_is_said_and_counted(trained_shop, rows):
    scorer, shares = ranged(trained_shop.release)
    usual = unusual_warnings(scorer, rows, shares)
    beyond = unusual_warnings(scorer, changed(rows, recency=9e9, tenure=9e9), shares)
    for one, other in zip(usual, beyond, strict=True):
        assert count(other, "outside_training_range") >= max(1, count(one, KINDS[0]))
    assert sum(count(one, KINDS[0]) > 0 for one in usual) < len(usual) / 2


def test_a_value_that_nearly_everybody_has_is_said_where_it_is_missing(trained_shop, rows):
    scorer, shares = ranged(trained_shop.release)
    assert shares["recency"] == 0
    missing = unusual_warnings(scorer, changed(rows, recency=None), shares)
    usual = unusual_warnings(scorer, rows, shares)
    assert [count(one, "imputed") for one in missing] == [
        count(one, "imputed") + 1 for one in usual
    ]
    gone = rows.set_column(
        rows.column_names.index("eligible"), "eligible", pa.array([False] * rows.num_rows)
    )
    assert not any(count(one, "imputed") for one in unusual_warnings(scorer, gone, shares))


def count(marks, kind):
    counts = [int(mark.split(":")[1].split("_")[0]) for mark in marks if mark.startswith(kind)]
    return sum(counts)


def test_a_level_that_was_not_learned_is_said_by_its_attribute(trained_shop, rows):
    scorer, shares = ranged(trained_shop.release)
    one = next(each for each in scorer.definitions.attributes if each.type == "text")
    names = [column for _, column in one.columns]
    mark = f"unseen_category:{one.name}"
    known = changed(rows, **{**dict.fromkeys(names, 0.0), names[0]: 1.0})
    unknown = changed(rows, **dict.fromkeys(names, 0.0))
    nothing = changed(rows, **dict.fromkeys(names, None))
    for given, expected in ((known, False), (unknown, True), (nothing, False)):
        assert {mark in marks for marks in unusual_warnings(scorer, given, shares)} == {expected}


def test_scores_carry_them_and_numbers_do_not_move(trained_shop, rows):
    release = trained_shop.release
    scored = score_rows(changed(rows, recency=9e9), release)
    assert all(
        any(mark.startswith(KINDS[0]) for mark in row) for row in scored["warnings"].to_pylist()
    )
    without = dataclasses.replace(release, reference=None)
    same = score_rows(rows, without)["p_churn"].to_numpy()
    assert np.array_equal(same, score_rows(rows, release)["p_churn"].to_numpy())


def test_kinds_are_counted_and_few(shop_service, trained_shop):
    at, settings = trained_shop.run.as_of, trained_shop.settings
    events = known_events(trained_shop.history, settings, as_of=at)
    customer = shop_service.ids[0]
    person = {"segment": "a segment that nobody has learned", "valid_from": "2020-01-01T00:00:00Z"}
    sent = {**events[customer], "customers": [person]}
    del sent["interactions"]
    body = {"as_of": shop_service.as_of, "customers": [{"customer_id": customer, **sent}]}

    def counted(kind):
        name = f'lifecycle_warnings_total{{kind="{kind}"}}'
        lines = shop_service.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = {kind: counted(kind) for kind in ("without", "unseen_category")}
    [entry] = shop_service.ask(body).json()["scores"]
    assert "without:interactions" in entry["warnings"]
    kinds = [warning_kind(mark) for mark in entry["warnings"]]
    for kind, former in before.items():
        assert counted(kind) - former == kinds.count(kind)
    metrics = shop_service.get("/metrics").text
    assert "nobody has learned" not in metrics
    assert "without:interactions" not in metrics


@pytest.mark.parametrize(
    ("warning", "kind"),
    [
        ("population_is_5_days_old", "population_is_n_days_old"),
        ("without:feedback", "without"),
        ("outside_training_range:3_columns", "outside_training_range"),
        ("unseen_category:region", "unseen_category"),
        ("in_sample", "in_sample"),
    ],
)
def test_the_kind_of_a_warning_has_neither_table_nor_number(warning, kind):
    assert warning_kind(warning) == kind
