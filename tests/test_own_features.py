"""A business's own features: refused with their line, kept apart, carried by the release, equal in
batch and online.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from features.catalogue import FAMILIES, custom
from features.core import errors
from features.core.instants import DAY_US
from features.engine.build import build
from features.engine.business_columns import columns_for, custom_features, load_custom
from features.engine.columns import list_columns
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.recipes.recipe import FEATURES
from serving.api.questions import parse_request
from serving.api.state import ServingState
from serving.batch import run_folders
from serving.release import release
from serving.release.sandbox import load_in_subprocess
from serving.scoring.parts import Blend, Linear, Rate
from serving.scoring.scorer import Calibration, Scorer
from tests.support import raw_events
from tests.support.checks import nonempty

EXAMPLE = Path(__file__).parents[1] / "examples" / "own_features.py"
GOOD = '''from lifecycle import Recipe, Reduction, feature, ratio


@feature(tables=("transactions",), unit="purchases", words="{value:.0f} gifts", windows="W")
def gifts(days):
    """Gifts.

    Formula: count. Window: W. Null: never (0). Source: ours.
    """
    count = Reduction("transactions", "count", kinds=("purchase",), since_days=days)
    return Recipe({"n": count}, lambda r, now: r.n)
'''
WRONG = {
    "@feature(tables=('transactions',)": (
        "def gifts(days)",
        "def recency(days)",
        4,
        "the name 'recency', which the catalogue already has",
    ),
    "twice": ("", GOOD.split("ratio\n", 1)[1], 14, "the name 'gifts', which this file already has"),
    "windows": ('windows="W"', 'windows="M"', 4, "gifts: windows = 'M'"),
    "an unknown table": (
        'tables=("transactions",)',
        'tables=("transaction",)',
        4,
        "gifts: an unknown table 'transaction'.*did you mean 'transactions'",
    ),
    "a table as text": (
        'tables=("transactions",)',
        'tables="transactions"',
        4,
        "tables is not a tuple",
    ),
    "a table not named": (
        'Reduction("transactions"',
        'Reduction("interactions"',
        4,
        "which is not in tables",
    ),
    "an unknown how": ('"count"', '"mode"', 4, "an unknown how = 'mode'"),
    "an unknown column": (
        '"count",',
        '"sum", value="amount_minr",',
        4,
        "unknown column 'amount_minr' of transactions.*did you mean 'amount_minor'",
    ),
    "an unknown flag": ('"count",', '"count", where="is_gift",', 4, "unknown column 'is_gift'"),
    "a sum of reals": (
        '"count",',
        '"sum", value="quantity",',
        4,
        "a sum of quantity, which is not a whole number",
    ),
    "kinds where there are none": (
        'Reduction("transactions", "count"',
        'Reduction("activity", "count"',
        4,
        "unknown column 'kind' of activity",
    ),
    "no recipe": ("return Recipe(", "return 7 or Recipe(", 4, "returns a Recipe, not int"),
    "an error in the formula": ("r.n)", "r.m)", 11, "AttributeError"),
    "a formula of text": ("lambda r, now: r.n", "lambda r, now: 7", 4, "AttributeError"),
    "an error in the function": ("    return", "    1 / 0\n    return", 11, "ZeroDivisionError"),
    "words": ("{value:.0f} gifts", "{worth} gifts", 4, "words that cannot be filled in"),
    "no docstring": ('"""Gifts.', '"" "', 4, "unterminated|no docstring|invalid Python"),
    "a syntax error": ("def gifts(days):", "def gifts(days:", 5, "invalid Python"),
    "an exception on import": (
        "ratio\n",
        "ratio\n\nimport nowhere_at_all\n",
        3,
        "ModuleNotFoundError",
    ),
    "leaving": ("ratio\n", "ratio\n\nraise SystemExit(3)\n", 3, "SystemExit"),
    "nothing in it": (GOOD, "x = 1\n", 1, "no feature in the file"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_file_is_refused_with_its_line(kind):
    before, after, line, got = WRONG[kind]
    text = GOOD + after if kind == "twice" else GOOD.replace(before, after)
    assert text != GOOD
    with pytest.raises(errors.BadSetting, match=f"(?s){got}") as found:
        load_custom(text, "mine.py")
    if kind != "no docstring":
        assert found.value.where == f"mine.py, line {line}"
    assert "gifts" not in FEATURES


def test_a_missing_file_and_one_in_another_encoding_are_refused(shop, tmp_path):
    with pytest.raises(errors.FileMissing, match=r"\[features\] own"):
        custom_features(stated(shop[1], tmp_path / "nowhere.py"))
    (tmp_path / "latin.py").write_bytes("# Köln\n".encode("latin-1"))
    with pytest.raises(errors.BadSetting, match="UTF-8"):
        custom_features(stated(shop[1], tmp_path / "latin.py"))


def stated(settings, path):
    return settings.model_copy(
        update={
            "features": settings.features.model_copy(update={"own": str(path)}),
            "contract": settings.contract.model_copy(
                update={"constant_attributes": ["channel", "region"]}
            ),
        }
    )


def test_two_configurations_in_one_process_do_not_meet(shop, tmp_path):
    _, settings, found = shop
    (tmp_path / "mine.py").write_text(GOOD)
    definitions = learn_definitions(found.as_of(found.data_until), settings)
    mine, example, none = (
        stated(settings, tmp_path / "mine.py"),
        stated(settings, EXAMPLE),
        settings,
    )
    names = [
        {c.name for c in columns_for(found, definitions, one) if c.feature.family == "own"}
        for one in (mine, example, none)
    ]
    windows = [*(f"{days}d" for days in definitions.windows_days), "all"]
    assert names[0] == {f"gifts_{window}" for window in windows}
    assert names[1] == {"recency_opened", *(f"visits_per_purchase_{window}" for window in windows)}
    assert names[2] == set()
    assert not {"gifts", "recency_opened"} & set(FEATURES)


def test_own_features_can_be_switched_off_and_are_absent_without_their_table(shop):
    _, settings, found = shop
    definitions, mine = (
        learn_definitions(found.as_of(found.data_until), settings),
        custom_features(stated(settings, EXAMPLE)),
    )
    assert not [
        c
        for c in list_columns(definitions, tables=found.names, off=["own"], custom=mine)
        if c.feature.family == "own"
    ]
    left = list_columns(
        definitions, tables=["transactions"], off=["visits_per_purchase_all"], custom=mine
    )
    assert not [c for c in left if c.feature.family == "own"]


def test_a_column_of_the_catalogue_is_not_made_again(shop):
    _, settings, found = shop
    definitions = learn_definitions(found.as_of(found.data_until), settings)
    text = (
        GOOD.replace("def gifts(days)", "def active_days_all()")
        .replace('windows="W"', 'windows=""')
        .replace("since_days=days", "")
    )
    with pytest.raises(errors.BadSetting, match="a second column 'active_days_all'"):
        list_columns(definitions, tables=found.names, custom=load_custom(text, "mine.py"))


def test_the_example_says_what_it_says(shop):
    _, settings, found = shop
    at = found.data_until - 100 * DAY_US
    known = found.as_of(at)
    definitions = learn_definitions(known, settings)
    chosen = [
        c
        for c in columns_for(found, definitions, stated(settings, EXAMPLE))
        if c.feature.family == "own"
    ]
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=chosen,
    ).to_pylist()
    tables = {
        name: known.tables[name].collect().to_native().to_pylist()
        for name in ("transactions", "interactions")
    }
    for row in nonempty(rows[::40]):
        met = [one for one in tables["interactions"] if one["customer_id"] == row["customer_id"]]
        bought = [
            one
            for one in tables["transactions"]
            if (one["customer_id"], one["kind"]) == (row["customer_id"], "purchase")
        ]
        visits = sum(one["kind"] == "visit" for one in met)
        assert row["visits_per_purchase_all"] == pytest.approx(visits / len(bought))
        opened = max(
            (one["occurred_at"] for one in met if one["kind"] in ("opened", "clicked")),
            default=None,
        )
        assert row["recency_opened"] == (
            None if opened is None else pytest.approx((at - opened) / DAY_US)
        )


def test_what_is_not_finite_becomes_null(shop):
    _, settings, found = shop
    known = found.as_of(found.data_until)
    definitions = learn_definitions(known, settings)
    text = GOOD.replace("lambda r, now: r.n)", "lambda r, now: (r.n - 3.5) / (r.n - r.n))").replace(
        "since_days=days", "since_days=1"
    )
    chosen = list_columns(
        definitions,
        tables=found.names,
        custom=load_custom(text, "mine.py"),
        off=list({e.family for e in FEATURES.values()}),
    )
    rows = build(
        known,
        population=population_stats(known, definitions),
        definitions=definitions,
        columns=chosen,
    )
    assert rows["gifts_all"].null_count == rows.num_rows > 100


@pytest.fixture(scope="module")
def made(shop, tmp_path_factory):
    """(home, settings, release folder, path of the working copy): the example and two attributes in
    a release.
    """
    home, path = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("mine") / "mine.py"
    shutil.copy(EXAMPLE, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(home))
        settings = stated(shop[1], path)
        # The other families only cost time here.
        off = [family for family in FAMILIES if family not in ("recency", "attributes")]
        settings = settings.model_copy(
            update={"features": settings.features.model_copy(update={"off": off})}
        )
        return home, settings, written(shop[2], settings), path


def written(found, settings):
    """A release with weights nobody trained: what it answers is not the point, that it answers
    alike is.
    """
    known = found.as_of(found.data_until - 120 * DAY_US)
    definitions = learn_definitions(known, settings)
    chosen = columns_for(found, definitions, settings)
    modelled = tuple(c.name for c in chosen if c.feature.family in ("own", "attributes", "recency"))
    weights = np.random.default_rng(1).normal(0, 0.3, (1, len(modelled) + 14))
    linear = Linear(
        np.zeros(weights.size), np.ones(weights.size), weights, 0.1 * weights, np.zeros(1)
    )
    scorer = Scorer(
        definitions,
        modelled,
        Blend(((1.0, linear),)),
        Calibration(),
        Blend(((1.0, Rate((0.0,))),)),
        ("loyal",),
        500,
        500,
    )
    folder = release.write_release(
        scorer,
        all_columns=chosen,
        settings=settings,
        tables=found.names,
        population=population_stats(known, definitions),
        evaluation={},
        cards=dict.fromkeys(("card.md", "card.zh.md"), ""),
        times={},
    )
    (folder.parent / "CURRENT").write_text(folder.name)
    return folder


@pytest.mark.slow
@pytest.mark.long
def test_a_release_carries_its_file_and_a_changed_file_is_another_release(shop, made, monkeypatch):
    home, settings, folder, path = made
    monkeypatch.setenv("LIFECYCLE_HOME", str(home))
    assert (folder / custom.FILE).read_text() == EXAMPLE.read_text()
    path.write_text(EXAMPLE.read_text().replace("Days since", "The days since"))
    other = written(shop[2], settings)
    assert other.name != folder.name
    path.unlink()  # a release never reads the working copy
    loaded = load_in_subprocess(folder)
    assert {"recency_opened", "channel_is_search"} <= set(loaded.scorer.columns)
    shutil.rmtree(other)
    (folder.parent / "CURRENT").write_text(folder.name)


def test_a_changed_file_in_a_release_is_never_run(made, tmp_path):
    folder = tmp_path / "forged"
    shutil.copytree(made[2], folder)
    (folder / custom.FILE).write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\n" + EXAMPLE.read_text()
    )
    with pytest.raises(errors.ReleaseRefused, match="not as they were written"):
        load_in_subprocess(folder)
    assert not (tmp_path / "ran").exists()


def test_batch_and_online_give_the_same_scores(shop, made, monkeypatch):
    home, settings, folder, _ = made
    found = shop[2]
    monkeypatch.setenv("LIFECYCLE_HOME", str(home))
    at = found.data_until - 30 * DAY_US
    release = load_in_subprocess(folder)
    run = run_folders.score_batch(found, settings, release, as_of=at, in_sample=True)
    kept = pq.read_table(run.folder / "history" / "customers.parquet")
    assert kept["channel"].null_count == 0
    scores = {
        row["customer_id"]: row["p_churn"]
        for row in pq.read_table(run.folder / "scores.parquet").to_pylist()
    }
    asked = [who for who, p in scores.items() if p is not None][:80]
    desk = ServingState.load()
    body = raw_events.request(found, settings, asked, as_of=at) | {"in_sample": True}
    answers = desk.score_by_events(parse_request(body), now=at)["scores"]
    assert {one["customer_id"]: one["p_churn"] for one in answers} == {
        who: scores[who] for who in asked
    }
    for one in body["customers"]:
        one.pop("customers")
    silent = desk.score_by_events(parse_request(body), now=at)["scores"]
    assert any(one["p_churn"] != scores[one["customer_id"]] for one in silent), (
        "the attributes count"
    )


@pytest.mark.parametrize("line", ["from features.recipe import feature", "import serving.scorer"])
def test_a_file_that_imports_inner_modules_is_refused_with_the_line_to_write(line):
    with pytest.raises(errors.BadSetting, match="an import from") as refused:
        load_custom(f"import math\n{line}\n", "mine.py")
    assert refused.value.where == "mine.py, line 2"
    assert refused.value.fix == "Write: from lifecycle import Recipe, Reduction, feature, ratio"
