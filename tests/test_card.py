"""The card of a release: it tells what the evaluation holds, invents nothing, names nobody, and
fits on a few pages.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.core.errors import NotEnoughData
from features.core.instants import DAY_US, day_text
from features.core.language import CHINESE, use_language
from serving.release import release
from serving.scoring.scorer import Calibration, Scorer
from tests.support.checks import nonempty
from tests.support.constant_rates import constant_rate
from training import metrics, rates_job
from training.evaluation import learning_curve, slices
from training.evaluation.evaluate import evaluate
from training.formats import with_interval
from training.models import blending, next_stage
from training.reports import card
from training.uncertainty import fit_prediction_sets

HEADINGS = [
    "Intended use",
    "Population, label and stages",
    "Data",
    "Models",
    "Verdict",
    "Metrics",
    "Calibration",
    "Segments",
    "Uncertainty",
    "When",
    "What customers are worth",
    "Without a table",
    "Limits",
    "Not to be used for",
]
NUMBER = re.compile(r"(?:\d[\d,]*(?:\.\d+)?|(?<!\w)\.\d+)(?:e-?\d+)?%?")
SAID = {
    "95",
    *map(str, (blending.SEEDS, metrics.REPLICATES, slices.LEAST_ROWS, slices.LEAST_OF_EACH)),
    f"{fit_prediction_sets.TARGET_COVERAGE:.0%}",
}


def numbers(text):
    """The numbers of a text; those without a zero before the point with it."""
    return {f"0{each}" if each.startswith(".") else each for each in NUMBER.findall(text)}


def forms(value):
    """Every way a number may be written."""
    size = abs(value)
    return {
        f"{100 * size:.0f}",
        f"{100 * size:.1f}",
        f"{size:,}",
        f"{size:g}",
        f"{size:.0%}",
        f"{size:.1%}",
        *(f"{size:.{digits}f}" for digits in (1, 2, 3, 4)),
    }


def known(stated):
    """The numbers of an account, settings or definitions, in every form: values, those in
    sentences, and how many.
    """
    if isinstance(stated, dict):
        return forms(len(stated)) | known([*stated, *stated.values()])
    if isinstance(stated, list | tuple):
        return set().union(forms(len(stated)), *map(known, stated))
    if isinstance(stated, str):
        return numbers(stated)
    return set() if stated is None or isinstance(stated, bool) else forms(stated)


def allowed(scorer, account, settings):
    of = scorer.definitions
    gaps = [of.population_mean_gap_us / DAY_US * times for times in (1, *of.multiples)]
    half = [
        one["width"] / 2
        for one in (account.get("evidence") or {}).get("grades", ())
        if one["width"] is not None
    ]
    rows = [
        scorer.churn_rows,
        scorer.stay_rows,
        len(scorer.columns),
        day_text(of.learned_as_of, zone=settings.zone),
    ]
    return SAID | known([account, settings.definitions(), asdict(of), rows, gaps, half])


def invented(text, scorer, account, settings):
    return numbers(text) - allowed(scorer, account, settings)


def titles(text):
    return [line[3:] for line in text.splitlines() if line.startswith("## ")]


def well_formed(text):
    """Few enough lines, nothing unknown but as a dash, and tables with as many cells in each
    row.
    """
    lines = text.splitlines()
    assert len(lines) <= 232
    assert not re.search(
        r"\b(None|nan|inf)\b", text.replace("evidence: none", "").replace("(none ", "(")
    )
    for above, line in nonempty(pairwise(lines)):
        if above.startswith("|") and line.startswith("|"):
            assert above.count("|") - above.count("\\|") == line.count("|") - line.count("\\|"), (
                line
            )


def test_it_tells_every_section_and_invents_no_number(business, at_home):
    served = business.release
    text = (served.folder / "card.md").read_text()
    assert titles(text) == HEADINGS
    well_formed(text)
    assert invented(text, served.scorer, served.evaluation, business.settings) == set()
    assert card.card_text(served.scorer, served.evaluation, business.settings) == text


def test_the_chinese_card_has_the_same_lines_and_numbers(business, at_home):
    served = business.release
    english, chinese = ((served.folder / name).read_text() for name in ("card.md", "card.zh.md"))
    with use_language(CHINESE):
        text = card.card_text(served.scorer, served.evaluation, business.settings)
    assert text == chinese
    well_formed(chinese)
    assert invented(chinese, served.scorer, served.evaluation, business.settings) <= {"95%"}
    pairs = list(zip(english.splitlines(), chinese.splitlines(), strict=True))
    for line, translated in pairs:
        assert numbers(line) >= {each for each in numbers(translated) if "%" not in each}, line
        assert line.count("|") == translated.count("|"), line
    # Names of columns, commands, settings and (in brackets) of baselines stay; no sentence does.
    assert not re.findall(r"(?<!（)\b[A-Za-z]+(?: [a-z]+){2,}", chinese)


def test_the_law_of_invented_numbers_can_fail(trained_shop, trained_subscriptions):
    one, other = trained_shop, trained_subscriptions
    text = (one.release.folder / "card.md").read_text()
    assert len(invented(text, other.release.scorer, other.release.evaluation, other.settings)) > 50


def test_it_shows_the_figures_with_their_intervals_beside_every_baseline(business, at_home):
    account = business.release.evaluation
    text = card.card_text(business.release.scorer, account, business.settings)
    for who in metrics.POPULATIONS:
        ours = account["churn"][who]
        assert f"| {with_interval(ours, 'auroc', prefix='auroc')} |" in text
        for part in ("churn", "next_stage"):
            for name, pair in nonempty(account[part][who]["paired_log_loss"].items()):
                told = with_interval(pair, "difference", digits=4)
                assert re.search(
                    rf"^\| {re.escape(name)} \|.*{re.escape(told)}", text, re.MULTILINE
                )
            assert account[part][who]["baseline_comparison"]["verdict"] in text
    assert account["calibration"]["why"] in text


def test_it_names_no_customer(business, at_home):
    text = (business.release.folder / "card.md").read_text()
    table = (
        business.history.table("customers")
        .select("customer_id")
        .collect(backend="pyarrow")
        .to_native()
    )
    words = set(re.findall(r"\w+", text))
    assert not words & set(map(str, table["customer_id"].to_pylist()))


def test_it_says_what_churn_means_here(trained_shop, trained_subscriptions):
    shop, subscriptions = (
        (each.release.folder / "card.md").read_text()
        for each in (trained_shop, trained_subscriptions)
    )
    assert "no activity (transactions: purchase)" in shop
    assert "cover ends or is cancelled" not in shop
    assert "cover ends or is cancelled" in subscriptions
    assert "with cover that runs at as_of" in subscriptions
    for text in (shop, subscriptions):
        assert "Not for decisions with legal effect" in text
        assert "who leaves, not who can be kept" in text


def test_it_says_where_the_multiples_come_from(trained_shop, trained_subscriptions):
    served, stated = trained_shop.release, trained_shop.settings
    told = card.card_text(served.scorer, served.evaluation, stated)
    assert f"Learned from {served.scorer.definitions.gaps:,} gaps." in told
    few = replace(served.scorer, definitions=replace(served.scorer.definitions, gaps=499))
    assert "Only 499 gaps are known" in card.card_text(few, served.evaluation, stated)
    own = stated.model_copy(
        update={"stages": stated.stages.model_copy(update={"multiples": [2.0, 4.0, 8.0]})}
    )
    assert "set in the configuration, not learned" in card.card_text(
        served.scorer, served.evaluation, own
    )
    assert (
        "no activity leads to dormant at most"
        in (trained_subscriptions.release.folder / "card.md").read_text()
    )


def test_without_skill_it_says_what_is_served(trained_shop):
    served = trained_shop.release
    account = served.evaluation | {"status": "no_skill"}
    text = card.card_text(replace(served.scorer, status="no_skill"), account, trained_shop.settings)
    assert "Status: **no_skill**" in text
    assert "The release serves the rate of eligible customers" in text
    well_formed(text)


def test_an_older_evaluation_without_sets_grades_or_slices_that_speak_has_a_card(trained_shop):
    account = json.loads(json.dumps(trained_shop.release.evaluation))
    for name in ("sets", "evidence", "recommendation"):
        account.pop(name, None)
    account["models"] = {"churn": account["models"]["churn"], "next-stage": "frequencies"}
    text = card.card_text(trained_shop.release.scorer, account, trained_shop.settings)
    assert "holds no prediction sets and no evidence grades" in text
    assert "The next stage is by frequencies" in text
    well_formed(text)


@pytest.mark.slow
@pytest.mark.long
def test_not_enough_data_has_a_card_without_figures(shop):
    _, stated, found = shop
    why = NotEnoughData(where="here", got="11 customers", rule="More.", fix="Wait.")
    quick = stated.training.model_copy(update={"evaluate": [], "max_dates": 2, "step_days": 90})
    made = rates_job.train_rates(found, stated.model_copy(update={"training": quick}), why)
    text, scorer = (made.folder / "card.md").read_text(), release.load_release(made.folder).scorer
    assert titles(text) == [
        title for title in HEADINGS if title not in (*HEADINGS[4:10], HEADINGS[11])
    ]
    with use_language(CHINESE):
        again = rates_job.train_rates(found, stated.model_copy(update={"training": quick}), why)
    # The language of who trains changes nothing that is stored.
    assert again.folder == made.folder
    assert "没有模型：11 customers。" in (made.folder / "card.zh.md").read_text()
    assert "No model: 11 customers. p and q are frequencies." in text
    assert invented(text, scorer, made.evaluation, stated) == set()
    well_formed(text)


@pytest.fixture(scope="module")
def rows(trained_shop):
    """(made, training rows, evaluation rows, a scorer of base rates)."""
    dates, made = trained_shop.dates, trained_shop.examples
    early = made.rows_at(dates.train)
    q, classes = next_stage.fit_frequencies(early)
    scorer = Scorer(
        made.definitions,
        made.modelled,
        constant_rate(early),
        Calibration(),
        q,
        classes,
        early.num_rows,
        9,
    )
    return made, early, made.rows_at(dates.evaluate), scorer


@pytest.mark.parametrize("kept", ["nobody eligible", "one class", "one", "nobody"])
def test_what_cannot_be_told_is_a_dash(trained_shop, rows, kept):
    made, early, late, scorer = rows
    if kept == "nobody eligible":
        at = late.column_names.index("eligible")
        late = late.set_column(at, "eligible", pa.array(np.zeros(late.num_rows, dtype=bool)))
    late = {
        "one class": late.filter(pa.array(~late["churned"].to_numpy())),
        "one": late[:1],
        "nobody": late[:0],
    }.get(kept, late)
    account = {
        **trained_shop.release.evaluation,
        "sets": None,
        "evidence": None,
        **evaluate(scorer, early, late, made, trained_shop.settings),
    }
    text = card.card_text(scorer, account, trained_shop.settings)
    assert titles(text) == HEADINGS
    assert invented(text, scorer, account, trained_shop.settings) == set()
    well_formed(text)


def test_the_longest_card_still_fits(trained_subscriptions):
    """Every slice speaks, there are sixty dates, and a learning curve was drawn."""
    account = json.loads(json.dumps(trained_subscriptions.release.evaluation))
    for part in ("churn", "next_stage"):
        speaks = {
            "rows": 900,
            "log_loss": 0.5,
            "relative": 0.9,
            "difference": -0.1,
            "low": -0.2,
            "high": 0.1,
        }
        for who in metrics.POPULATIONS:
            account[part][who]["slices"] = [
                {"dimension": "region", "name": f"a|b {at}", **speaks} for at in range(40)
            ]
            account[part][who]["worst_slice"] = {
                **account[part][who]["slices"][0],
                "compared": 40,
                "verdict": "worse",
            }
    account["rates"] = [
        {**one, "split": split} for one in account["rates"] for split in ("train", "evaluate")
    ] * 10
    account["learning_curve"] = {
        axis: [{"customers": 5, "dates": 1, "rows": 9, **dict.fromkeys(learning_curve.MODELS)}]
        for axis in learning_curve.UNITS
    }
    axes = dict.fromkeys(learning_curve.UNITS)
    account["learning_curve"]["better_from"] = {
        part: dict.fromkeys(metrics.POPULATIONS, axes) for part in learning_curve.MODELS
    }
    pair = {"challenger": 0.1, "champion": 0.2, "difference": -0.1, "low": -0.2, "high": 0.0}
    account["gate"] = {
        "champion": "0123",
        "champion_scored": "as served",
        "as_of": ["2024-01-01"],
        "verdict": "passes",
        "why": [],
        "same_top_reason": 0.9,
        "populations": {who: {"log_loss": pair, "ece": pair} for who in metrics.POPULATIONS},
        "next_stage": pair,
        "worst_slice": {**pair, "dimension": "region", "name": "a|b 1", "compared": 9},
    }
    text = card.card_text(
        trained_subscriptions.release.scorer, account, trained_subscriptions.settings
    )
    assert "Gate against release 0123" in text
    assert "better than the best baseline at no size" in text
    assert "the newest of " in text
    assert "a\\|b 0" in text
    well_formed(text)


def test_names_that_people_gave_are_no_markup(trained_shop):
    named = trained_shop.settings.business.model_copy(update={"name": "a <b>\n## Shop"})
    settings = trained_shop.settings.model_copy(update={"business": named})
    text = card.card_text(trained_shop.release.scorer, trained_shop.release.evaluation, settings)
    assert text.startswith("# a &lt;b> ## Shop: churn and next stage\n")
    assert titles(text) == HEADINGS


def test_mlflow_holds_it_as_it_is_in_the_release(trained_shop, monkeypatch):
    from training.tracking import store

    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    text = (trained_shop.release.folder / "card.md").read_text()
    with store.open_store() as there:
        for run in nonempty(trained_shop.trained.runs.values()):
            assert Path(there.client.download_artifacts(run, "card.md")).read_text() == text
