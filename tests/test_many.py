"""Many instants at once, and an instant for each row, are what `build` says at each of them: the
same bits.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from features.core.errors import ColumnMissing, NotEnoughData, WrongType
from features.core.instants import DAY_US
from features.engine import subjects
from features.engine.additive_columns import build_columns
from features.engine.build import build, needed_reductions
from features.engine.business_columns import columns_for
from features.engine.many_dates import build_many
from features.engine.pairs import build_pairs
from features.engine.running_totals import RunningTotals, is_additive
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import Now
from tests.support.checks import nonempty
from tests.support.oracle_worlds import world

# Each business is built a dozen times: random ones are among the slow tests.
few = settings(deadline=None, phases=(Phase.explicit,))
more = settings(max_examples=6, deadline=None, phases=(Phase.generate,))


@pytest.fixture(
    scope="module",
    params=[
        # `whole_shop` has these columns too.
        pytest.param("shop", marks=[pytest.mark.slow, pytest.mark.long]),
        "subscriptions",
        pytest.param("whole_shop", marks=pytest.mark.slow),
        pytest.param("whole_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
)
def business(request):
    """(history, definitions, columns, bases at three instants, what build says at each)."""
    _, chosen, history = request.getfixturevalue(request.param)
    as_of = [history.data_until - days * DAY_US - 12_345 for days in (230, 199)]
    return (history, *stated(history, chosen, as_of))


def stated(history, chosen, as_of, *, every=1, start=0):
    definitions = learn_definitions(history.as_of(as_of[0]), chosen)
    columns = columns_for(history, definitions, chosen)[start::every]
    bases = [population_stats(history.as_of(at), definitions) for at in as_of]
    each = [
        build(history.as_of(base.as_of), population=base, definitions=definitions, columns=columns)
        for base in bases
    ]
    return definitions, columns, bases, each


def differing(one, other):
    """Which columns differ, and how: (column, values here, values there) of the first row of
    each.
    """
    if (one.num_rows, one.column_names) != (other.num_rows, other.column_names):
        return [("rows and columns", one.shape, other.shape)]
    pairs = ((name, one[name].to_pylist(), other[name].to_pylist()) for name in one.column_names)
    return [
        next((name, a, b) for a, b in zip(mine, theirs, strict=True) if a != b)
        for name, mine, theirs in pairs
        if mine != theirs
    ]


def test_several_instants_equal_each_alone(business):
    history, definitions, columns, bases, each = business
    made = build_many(history, definitions=definitions, columns=columns, populations=bases)
    assert [differing(one, other) for one, other in zip(made, each, strict=True)] == [[]] * len(
        each
    )


def test_the_customers_may_come_in_any_number_of_parts(business, monkeypatch):
    history, definitions, columns, bases, each = business
    columns = columns[::20]
    monkeypatch.setattr(subjects, "ROWS_AT_ONCE", 20_000)
    parts = list(subjects.split_by_rows(np.arange(900), np.full(900, 30), instants=2))
    assert [len(part) for part in parts] == [124, 125, 125, 125, 125, 125, 125, 26]
    made = build_many(history, definitions=definitions, columns=columns, populations=bases)
    for one, other in zip(made, each, strict=True):
        assert differing(one, other.select(one.column_names)) == []


def test_what_is_additive_is_asked_of_running_totals_and_is_much(business):
    history, definitions, columns, bases, _ = business
    needed = needed_reductions(columns)
    spans = RunningTotals(history, Now(bases[0].as_of, definitions, bases[0]), needed)
    assert spans.keys == {reduction.key for reduction in needed if is_additive(reduction)}
    assert len(spans.keys) > len(needed) / 3


@pytest.mark.slow
@pytest.mark.long
def test_columns_without_the_standing(business):
    history, definitions, columns, bases, each = business
    names = ["customer_id", "as_of", *(column.name for column in columns)]
    found = build_columns(history, definitions=definitions, populations=bases, columns=columns)
    assert found.equals(pa.concat_tables(each).select(names))


@pytest.mark.slow
@pytest.mark.long
def test_pairs_equal_the_rows_of_their_instant(business):
    history, definitions, columns, bases, each = business
    whole = pa.concat_tables(each)
    rng = np.random.default_rng(3)
    some = whole.take(pa.array(np.sort(rng.permutation(whole.num_rows)[: whole.num_rows // 3])))
    asked = some.select(["customer_id", "as_of"]).take(pa.array(rng.permutation(some.num_rows)))
    found = build_pairs(history, asked, definitions=definitions, populations=bases, columns=columns)
    assert differing(found.rows, some) == []
    assert (found.requested, found.repeated, found.unknown, found.without_activity) == (
        some.num_rows,
        0,
        0,
        0,
    )


def test_pairs_that_have_no_row_are_counted(business):
    history, definitions, columns, bases, each = business
    at = bases[0].as_of
    one = each[0]["customer_id"][0].as_py()
    asked = pa.table({"customer_id": ["nobody", one, one, one], "as_of": [at, at, at, at + 1]})
    found = build_pairs(
        history, asked, definitions=definitions, populations=bases, columns=columns, state=False
    )
    assert found.rows["customer_id"].to_pylist() == [one, one]
    assert (found.requested, found.repeated, found.unknown, found.without_activity) == (4, 1, 1, 0)


def test_a_pair_uses_the_newest_base_that_does_not_know_its_future(business):
    history, definitions, columns, bases, each = business
    later = dataclasses.replace(bases[0], as_of=bases[1].as_of + 1)
    asked = each[1].select(["customer_id", "as_of"]).slice(0, 20)
    found = build_pairs(
        history, asked, definitions=definitions, populations=[later, bases[1]], columns=columns
    )
    assert found.rows.to_pylist() == each[1].slice(0, 20).to_pylist()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"customer_id": ["a"]}, ColumnMissing),
        ({"customer_id": [1], "as_of": [1]}, WrongType),
        ({"customer_id": ["a"], "as_of": ["2024-01-01"]}, WrongType),
        (
            {"customer_id": pa.array([None], pa.string()), "as_of": pa.array([5], pa.int64())},
            WrongType,
        ),
        ({"customer_id": ["a"], "as_of": [0]}, NotEnoughData),
    ],
)
def test_pairs_that_cannot_be_asked_are_refused(business, asked, error):
    history, definitions, columns, bases, _ = business
    with pytest.raises(error) as told:
        build_pairs(
            history, pa.table(asked), definitions=definitions, populations=bases, columns=columns
        )
    assert "'a'" not in str(told.value)


@few
@example(
    seed=196, archetype="contractual"
)  # visits of one instant on one channel, of which one changed it
@given(seed=st.integers(0, 2**32), archetype=st.sampled_from(("non-contractual", "contractual")))
def test_late_and_corrected_rows_are_known_when_they_were(seed, archetype):
    """Random businesses with two clocks: many rows come late, and many are corrected between the
    instants.
    """
    refuse_other_rows(seed, archetype)


@pytest.mark.long
@pytest.mark.slow
@more
@given(seed=st.integers(0, 2**32), archetype=st.sampled_from(("non-contractual", "contractual")))
def test_in_more_businesses_too_rows_are_known_when_they_were(seed, archetype):
    refuse_other_rows(seed, archetype)


def refuse_other_rows(seed, archetype):
    """Several instants, and pairs, give what `build` gives at each instant."""
    made = world(seed, archetype, count=60)
    history = made.history()
    as_of = [made.as_of - 5 * DAY_US, made.as_of]
    # Every eighth column, another eighth each time: planning is what takes long.
    definitions, columns, bases, each = stated(
        history, made.settings, as_of, every=8, start=seed % 8
    )
    found = build_many(history, definitions=definitions, columns=columns, populations=bases)
    for one, other in nonempty(zip(found, each, strict=True)):
        assert differing(one, other) == []
    whole = pa.concat_tables(each)
    assert whole.num_rows > 10
    asked = whole.select(["customer_id", "as_of"])
    pairs = build_pairs(history, asked, definitions=definitions, populations=bases, columns=columns)
    assert differing(pairs.rows, whole) == []


def test_the_random_businesses_are_irregular():
    made = world(11, "non-contractual", count=60)
    history = made.history()
    definitions, columns, bases, _ = stated(history, made.settings, [made.as_of])
    spans = RunningTotals(
        history, Now(made.as_of, definitions, bases[0]), needed_reductions(columns)
    )
    late = spans.irregular_customers(made.as_of)
    assert (
        0
        < len(late)
        < pc.count_distinct(
            history.as_of(made.as_of).activity.collect(backend="pyarrow").to_native()["customer_id"]
        ).as_py()
    )
