"""A formula of a business's own is of one customer at one instant, however it is evaluated."""

from __future__ import annotations

import pytest

from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.engine.business_columns import load_custom
from features.engine.columns import FeatureColumn
from features.engine.many_dates import build_many
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from tests.support.checks import nonempty

ROWS = "from lifecycle import DECAY_SCALE, Recipe, Reduction, feature\n"
HEAD = '@feature(tables=("transactions",), unit="x", words="{value:.0f}")\n'
DOC = '    """One sentence.\n\n    Formula: f. Window: all. Null: never. Source: own.\n    """\n'
COUNTS = '    n = Reduction("transactions", "count")\n    last = Reduction("transactions", "max")\n'


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("r.n - r.n.mean()", "mixes customers"),
        ("r.n.rank()", "mixes customers|rank"),
        ("r.n.max() - r.n", "mixes customers"),
        ("r.n / r.n.sum()", "mixes customers"),
        ("r.n if isinstance(now.as_of, int) else r.n + 1", "type of now.as_of"),
        ("r.n if now.as_of > 5 else r.last", "TypeError"),
        ("nw.col('customer_id').str.len_chars()", "ColumnNotFound"),
        ("r.last * r.last * r.last", "Overflow|overflow|OutOfRange"),
    ],
)
def test_a_formula_is_of_one_customer_at_one_instant(tmp_path, formula, words):
    source = f"{ROWS}import narwhals as nw\n{HEAD}def odd() -> Recipe:\n{DOC}{COUNTS}"
    source += '    return Recipe({"n": n, "last": last}, lambda r, now: ' + formula + ")\n"
    with pytest.raises(errors.BadSetting, match=words):
        load_custom(source, "own.py")


def test_a_formula_of_the_population_is_the_same_at_many_dates(shop):
    """Also one that hides how it reads the statistics."""
    _, settings, history = shop
    source = f"{ROWS}{HEAD}def hidden() -> Recipe:\n{DOC}{COUNTS}"
    source += (
        "    def formula(r, now):\n"
        "        try:\n            extra = now.population.wait_shape\n"
        "        except Exception:\n            extra = 7\n"
        "        return r.n + extra + len(vars(now.population)) + now.age_days(r.last)\n"
        '    return Recipe({"n": n, "last": last}, formula)\n'
    )
    [entry] = load_custom(source, "own.py")
    as_of = [history.data_until - days * DAY_US for days in (90, 40)]
    definitions = learn_definitions(history.as_of(as_of[0]), settings)
    columns = [FeatureColumn("hidden", entry, None, False)]
    populations = [population_stats(history.as_of(at), definitions) for at in as_of]
    built = build_many(history, definitions=definitions, columns=columns, populations=populations)
    for rows, population in nonempty(zip(built, populations, strict=True)):
        alone = build(
            history.as_of(population.as_of),
            population=population,
            definitions=definitions,
            columns=columns,
        )
        assert rows.equals(alone)
