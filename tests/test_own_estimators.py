"""A business's own estimators: what is served answers as they do, and nothing else is served."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from features.core.errors import BadSetting, FileMissing
from serving.release import release as releases
from serving.release.blend_files import read_blend, write_blend
from serving.scoring.parts import Blend, Forest, log_odds, sigmoid
from training import compare_served, job
from training.models.estimators.estimators_file import OwnEstimator, OwnEstimators, read_estimators
from training.models.estimators.fitted_estimator import fit_estimator, probability
from training.models.estimators.not_servable import NotServable
from training.models.estimators.own_weights import blend_weights
from training.models.estimators.search_estimators import (
    OwnPart,
    SearchedEstimator,
    part_of,
    search_estimator,
)
from training.models.estimators.servable import to_part
from training.models.estimators.tree_nodes import next_float32_above
from training.models.fold_task import FoldTask
from training.reports.release_text import cut_searches
from training.splits import Folds

COLUMNS = 20
NAMES = tuple(f"c={number}" for number in range(COLUMNS))
SERVED = {
    "boosting": HistGradientBoostingClassifier(max_iter=30),
    "old boosting": make_pipeline(SimpleImputer(), GradientBoostingClassifier(n_estimators=20)),
    "LightGBM": LGBMClassifier(verbose=-1, n_estimators=30),
    "XGBoost": xgboost.XGBClassifier(n_estimators=30),
    "XGBoost's forest": xgboost.XGBRFClassifier(n_estimators=10),
    "forest": make_pipeline(SimpleImputer(strategy="median"), RandomForestClassifier(20)),
    "forest with nulls": RandomForestClassifier(20, min_samples_leaf=5),
    "extra trees": ExtraTreesClassifier(20, min_samples_leaf=5),
    "tree": DecisionTreeClassifier(max_depth=5),
    "logistic": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.01)),
    "scaled, then filled": make_pipeline(StandardScaler(), SimpleImputer(), LogisticRegression()),
    "filled with a number, not centred": make_pipeline(
        SimpleImputer(strategy="constant", fill_value=-1.0),
        StandardScaler(with_mean=False),
        LogisticRegression(class_weight="balanced"),
    ),
    "gradient descent": make_pipeline(
        SimpleImputer(), StandardScaler(), SGDClassifier(loss="log_loss")
    ),
}
NOT_SERVED = {
    "MLPClassifier has no export": make_pipeline(
        SimpleImputer(), StandardScaler(), MLPClassifier((2,), max_iter=2)
    ),
    "leave it out": make_pipeline(
        SimpleImputer(), StandardScaler(), GradientBoostingClassifier(n_estimators=2)
    ),
    "leave the imputer out": make_pipeline(SimpleImputer(), xgboost.XGBClassifier(n_estimators=2)),
    "categories": HistGradientBoostingClassifier(max_iter=2, categorical_features=[0]),
    "linear": LGBMClassifier(verbose=-1, n_estimators=2, linear_tree=True),
    "0 as missing": LGBMClassifier(verbose=-1, n_estimators=2, zero_as_missing=True),
    "averages its trees": LGBMClassifier(
        verbose=-1, n_estimators=2, boosting_type="rf", subsample=0.5, subsample_freq=1
    ),
    "adds or drops columns": make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression()),
    "gbtree": xgboost.XGBClassifier(n_estimators=2, booster="dart"),
}


def random_rows(count: int, seed: int) -> np.ndarray:
    """Heavy tails, small whole numbers, nulls, a column of nulls, one of threes, one of dust."""
    draw = np.random.default_rng(seed)
    rows = draw.lognormal(0, 3, (count, COLUMNS)) * draw.choice([1, 1, -1], (count, COLUMNS))
    rows[:, :4] = np.round(np.clip(rows[:, :4], -9, 9))
    rows[draw.random(rows.shape) < 0.1] = np.nan
    rows[:, 7], rows[:, 8], rows[:, 9] = np.nan, 3.0, 1 + draw.random(count) * 1e-7
    return rows


@pytest.fixture(scope="module")
def learned_from():
    rows = random_rows(1500, 0)
    score = np.nan_to_num(np.sign(rows[:, 4])) + np.nan_to_num(np.log1p(np.abs(rows[:, 5])))
    labels = score + np.random.default_rng(1).normal(0, 1, len(rows)) > 1.5
    return rows, labels.astype(int)


@pytest.fixture(scope="module")
def later(learned_from):
    """10,000 rows: new ones, and mixtures of those that were learned from."""
    rows, draw = random_rows(10_000, 2), np.random.default_rng(3)
    mixed = draw.random((1500, COLUMNS)) < 0.5
    rows[:1500] = np.where(mixed, learned_from[0], rows[:1500])
    return rows


def fitted(estimator, learned_from):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of estimators that are stopped early
        return fit_estimator(estimator, *learned_from, names=NAMES, params={}, seed=3)


@pytest.mark.parametrize("kind", SERVED)
def test_what_is_served_answers_as_the_estimator_does(kind, learned_from, later, tmp_path):
    own = fitted(SERVED[kind], learned_from)
    part = to_part(own, learned_from[0])
    margins = part.margins(later)
    assert np.abs(sigmoid(margins[:, 0]) - probability(own.model, later, own)).max() < 1e-5
    # One row alone has the bits that it has among others, and so has what a release holds.
    assert all(
        np.array_equal(part.margins(later[at : at + 1]), margins[at : at + 1]) for at in range(50)
    )
    written = write_blend(Blend(((1.0, part),)), "churn", tmp_path)
    assert np.array_equal(read_blend(written, tmp_path, NAMES).margins(later), margins)
    # Reasons: the contributions make up the margin, but for what is equal for all.
    inside = later[np.abs(margins[:, 0]) < 13][:200]  # of a probability at the edge they are more
    rest = part.margins(inside)[:, 0] - part.contributions(inside).sum(axis=1)
    assert np.ptp(rest) < (0.02 if isinstance(part, Forest) else 1e-4)


@pytest.mark.parametrize("why", NOT_SERVED)
def test_what_cannot_be_served_says_why(why, learned_from):
    own = fitted(NOT_SERVED[why], learned_from)
    with pytest.raises(NotServable, match=why):
        to_part(own, learned_from[0])


def test_an_export_that_answers_otherwise_is_not_served(learned_from):
    own = fitted(SERVED["logistic"], learned_from)
    own.model.steps[-1][1].predict_proba = lambda rows: np.full((len(rows), 2), 0.5)
    with pytest.raises(NotServable, match="differs from it by"):
        to_part(own, learned_from[0])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(-1e38, 1e38))
def test_at_most_a_threshold_is_below_the_next_number(value, threshold):
    value = np.float32(value)
    above = next_float32_above(np.array([threshold]))[0]
    assert (value < above) == (float(value) <= threshold)


def test_infinite_values_are_refused(learned_from):
    own = fitted(SERVED["boosting"], learned_from)
    rows = learned_from[0][:3].copy()
    rows[1, 4] = np.inf
    with pytest.raises(ValueError, match="infinite"):
        own.margins(rows)
    with pytest.raises(ValueError, match="infinite"):
        fitted(SERVED["boosting"], (rows, learned_from[1][:3]))


class Peeking(ClassifierMixin, BaseEstimator):
    """Learns every row with its label by heart, and says the rate of all others."""

    def fit(self, rows, labels):
        self.known_ = dict(zip(map(bytes, rows.to_numpy()), labels, strict=True))
        self.classes_, self.rate_ = np.array([0, 1]), labels.mean()
        return self

    def predict_proba(self, rows):
        p = np.array([self.known_.get(bytes(row), self.rate_) for row in rows.to_numpy()])
        return np.stack([1 - p, p], axis=1)


class Overwriting(LogisticRegression):
    """Turns the labels it is given round."""

    def fit(self, rows, labels):
        super().fit(rows.fillna(0), labels)
        labels[:] = 1 - labels
        return self

    def predict_proba(self, rows):
        return super().predict_proba(rows.fillna(0))


def test_an_estimator_that_writes_into_its_labels_changes_none_of_ours(learned_from):
    rows, labels = learned_from
    before = labels.copy()
    fitted(Overwriting(), (rows, labels))
    assert (labels == before).all()


def test_no_estimator_sees_a_label_of_the_rows_that_judge_it(learned_from):
    rows, labels = learned_from
    order = np.arange(len(rows))
    folds = Folds(((order[:1000], order[1000:]),), "forward in time")
    searched = search_estimator(
        OwnEstimators("mine.py"),
        OwnEstimator("peeking", Peeking()),
        FoldTask(rows, labels, NAMES, folds, seed=1),
        trials=1,
        until=np.inf,
    )
    rate = labels[:1000].mean()
    assert searched.margins[0] == pytest.approx(float(log_odds(rate)))
    assert searched.part.not_servable.startswith("Peeking has no export")


def test_weights_go_to_those_that_lower_the_loss_and_can_be_served():
    draw = np.random.default_rng(0)
    truth = draw.normal(0, 2, (4000, 1))
    labels = (draw.random(4000) < sigmoid(truth[:, 0])).astype(int)
    folds = Folds(((np.arange(1), np.arange(4000)),), "forward in time")

    def searched(name, margins, why=None):
        return SearchedEstimator(OwnPart(name, {}, 1.0, not_servable=why), [margins])

    task = FoldTask(truth, labels, ("truth",), folds, seed=1)
    ours = [truth + draw.normal(0, 1, truth.shape)]
    better = searched("better", truth + draw.normal(0, 1, truth.shape))
    noise = searched("noise", -truth)
    perfect = searched("perfect", truth, "it has no export")
    weights = {
        part.name: part.weight for part in blend_weights(ours, [better, noise, perfect], task)
    }
    assert 0.3 < weights["better"] < 0.7
    assert weights["noise"] == weights["perfect"] == 0


FILES = {
    "estimators = {": ("line 1", "invalid Python"),
    "import sklearn\n\nestimators = sklearn.nothing()": ("line 3", "AttributeError"),
    "x = 1": ("my_models.py", "no `estimators`"),
    "estimators = {}": ("my_models.py", "an empty `estimators`"),
    "estimators = {'x': 3}": ("my_models.py", "x: int without fit"),
    "from sklearn.svm import SVC\nestimators = {'x': SVC}": ("my_models.py", "without fit"),
    "from sklearn.tree import *\nestimators = {'blend': DecisionTreeClassifier()}": (
        "my_models.py",
        "an estimator called 'blend'",
    ),
    "from sklearn.tree import *\nestimators = {'x': (DecisionTreeClassifier(), 3)}": (
        "my_models.py",
        "no function",
    ),
}


def settings_with(tmp_path, text):
    (tmp_path / "my_models.py").write_text(text)
    return SimpleNamespace(folder=tmp_path, training=SimpleNamespace(estimators="my_models.py"))


@pytest.mark.parametrize("text", FILES)
def test_a_broken_file_is_named_with_its_line_and_reason(text, tmp_path):
    with pytest.raises(BadSetting) as caught:
        read_estimators(settings_with(tmp_path, text))
    where, got = FILES[text]
    assert where in caught.value.where
    assert got in caught.value.got


def test_a_file_that_is_not_there_is_named(tmp_path):
    settings = settings_with(tmp_path, "")
    (tmp_path / "my_models.py").unlink()
    with pytest.raises(FileMissing, match="no file"):
        read_estimators(settings)


class Answering(ClassifierMixin, BaseEstimator):
    """Answers with anything."""

    def __init__(self, answer=None, classes=(0, 1), fails=None):
        self.answer, self.classes, self.fails = answer, classes, fails

    def fit(self, rows, labels):
        if self.fails:
            raise self.fails
        self.classes_ = np.array(self.classes)
        return self

    def predict_proba(self, rows):
        return np.tile(np.array(self.answer, dtype=float), (len(rows), 1))


WRONG = {
    "a column too many": (Answering([0.2, 0.3, 0.5]), "shape"),
    "one column": (Answering([0.5]), "shape"),
    "no number": (Answering([np.nan, np.nan]), "from 0 to 1"),
    "below 0": (Answering([-0.7, 1.7]), "from 0 to 1"),
    "too little": (Answering([0.2, 0.2]), "do not sum to 1"),
    "turned round": (Answering([0.4, 0.6], classes=(1, 0)), "classes_"),
    "other classes": (Answering([0.4, 0.6], classes=("left", "stay")), "classes_"),
    "an exit": (Answering(fails=SystemExit(0)), "SystemExit"),
    "an error": (Answering(fails=MemoryError("too large")), "MemoryError"),
}


FOLDS = Folds(((np.arange(900), np.arange(900, 1500)),), "forward in time")


def search_one(estimator, learned_from, space=None, *, trials=2, until=np.inf):
    return search_estimator(
        OwnEstimators("mine.py"),
        OwnEstimator("mine", estimator, space),
        FoldTask(*learned_from, NAMES, FOLDS, seed=1),
        trials=trials,
        until=until,
    )


@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_is_no_probability_is_refused(wrong, learned_from):
    estimator, words = WRONG[wrong]
    with pytest.raises(BadSetting) as caught:
        search_one(estimator, learned_from)
    assert words in caught.value.got
    assert "mine" in caught.value.got


def test_nulls_without_an_imputer_are_named_with_what_to_write(learned_from):
    with pytest.raises(BadSetting) as caught:
        search_one(LogisticRegression(), learned_from)
    assert "mine failed in fit" in caught.value.got
    assert "SimpleImputer" in caught.value.fix


def test_a_search_ends_when_the_time_is_up_and_says_how_far_it_came(learned_from):
    def space(trial):
        return {"max_depth": trial.suggest_int("max_depth", 2, 9)}

    part = search_one(DecisionTreeClassifier(), learned_from, space, trials=5, until=-np.inf).part
    assert (len(part.trials), part.trials_wanted) == (1, 5)
    spec = {"trials_done": 5, "trials_wanted": 5, "own": [{**vars(part), "trials": 1}]}
    [sentence] = cut_searches({"models": {"churn": spec}})
    assert "the search for mine ended after 1 of 5 trials" in sentence
    assert cut_searches({"models": {"churn": spec | {"own": []}}}) == []


def test_an_export_that_fails_on_other_rows_is_an_error_and_no_traceback(learned_from):
    rows, labels = learned_from
    estimators = OwnEstimators("mine.py", (OwnEstimator("net", NOT_SERVED["averages its trees"]),))
    servable = OwnPart("net", {}, 0.5)  # as it was on the folds
    with pytest.raises(BadSetting, match="can be exported on the folds, and not on other rows"):
        part_of(estimators, servable, rows, labels, names=NAMES, seed=1)


def test_a_parameter_that_the_estimator_does_not_have_is_refused(learned_from):
    def space(trial):
        return {"num_leavez": trial.suggest_int("num_leavez", 2, 9)}

    # LightGBM itself takes any name, and nothing would be searched.
    with pytest.raises(BadSetting, match="num_leavez is no parameter of LGBMClassifier"):
        search_one(SERVED["LightGBM"], learned_from, space)


FILE = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def space(trial):
    return {"max_depth": trial.suggest_int("max_depth", 3, 8)}


def estimators():
    net = make_pipeline(SimpleImputer(), StandardScaler(), MLPClassifier((2,), max_iter=5))
    return {"forest": (RandomForestClassifier(30, min_samples_leaf=20), space), "net": net}
"""


@pytest.fixture(scope="module")
def trained(trained_shop, tmp_path_factory, empty_store):
    place = tmp_path_factory.mktemp("own")
    (place / "mlruns").mkdir()
    shutil.copyfile(empty_store, place / "mlruns" / "mlflow.db")
    (place / "my_models.py").write_text(FILE)
    training = trained_shop.settings.training.model_copy(
        update={"estimators": "my_models.py", "trials": 2, "max_dates": 5}
    )
    settings = trained_shop.settings.model_copy(update={"training": training, "folder": place})
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("LIFECYCLE_HOME", str(place))
        warnings.simplefilter("ignore")
        yield job.train(trained_shop.history, settings)


@pytest.mark.slow
@pytest.mark.long
def test_a_training_judges_them_and_a_release_holds_what_it_can(trained):
    forest, net = trained.evaluation["estimators"]
    assert (forest["name"], net["name"]) == ("forest", "net")
    assert forest["not_servable"] is None
    assert "MLPClassifier has no export" in net["not_servable"]
    assert forest["trials"] == 2
    assert net["weight"] == 0
    for one in (forest, net):
        for who in ("everyone", "eligible"):
            assert 0 < one["populations"][who]["log_loss"] < 2
            assert one["populations"][who]["against_our_model"]["low"] < np.inf
    spec = trained.evaluation["models"]["churn"]
    assert [each["weight"] for each in spec["own"]] == [forest["weight"], 0]
    parts = releases.load_release(trained.folder).scorer.churn.parts
    held = [weight for weight, part in parts if isinstance(part, Forest)]
    assert held == [forest["weight"]] * bool(forest["weight"])


@pytest.mark.slow
@pytest.mark.long
def test_the_gate_asks_for_a_reason_where_the_file_is_another(trained, trained_shop):
    """The served model is fitted again from the file of today, so it must be the same file."""
    release = releases.load_release(trained.folder)
    spec = release.evaluation["models"]["churn"]
    served = replace(
        release,
        evaluation={
            **release.evaluation,
            "models": {
                **release.evaluation["models"],
                "churn": {**spec, "own": [{**spec["own"][0], "weight": 0.5}]},
            },
        },
    )
    place = trained.folder.parents[2]
    training = trained_shop.settings.training.model_copy(update={"estimators": "my_models.py"})
    settings = trained_shop.settings.model_copy(update={"training": training, "folder": place})
    assert compare_served.other_estimators(served, settings) == ""
    (place / "my_models.py").write_text(FILE.replace("min_samples_leaf=20", "min_samples_leaf=2"))
    assert "forest of another file" in compare_served.other_estimators(served, settings)
    nothing = trained_shop.settings
    assert "forest of another file" in compare_served.other_estimators(served, nothing)
    (place / "my_models.py").write_text(FILE)


@pytest.mark.slow
@pytest.mark.long
def test_each_has_a_run_of_its_own(trained):
    assert {"churn", "next-stage", "forest", "net"} == set(trained.runs)
    assert all(trained.runs.values())


@pytest.fixture(scope="module")
def catboost():
    """CatBoost is in the extra `dev` alone."""
    return pytest.importorskip("catboost", reason="CatBoost is not installed")


CATBOOST = {
    "symmetric": {"iterations": 40},
    "level by level": {"iterations": 20, "grow_policy": "Depthwise", "depth": 4},
    "leaf by leaf": {"iterations": 20, "grow_policy": "Lossguide", "max_leaves": 12},
    "nulls above": {"iterations": 20, "nan_mode": "Max"},
    "stumps": {"iterations": 10, "depth": 1},
    "from the mean": {"iterations": 10, "boost_from_average": True},
    "ordered": {"iterations": 10, "boosting_type": "Ordered", "depth": 3},
}


@pytest.mark.parametrize("kind", CATBOOST)
def test_what_is_served_answers_as_catboost_does(
    kind, catboost, learned_from, later, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    own = fitted(catboost.CatBoostClassifier(**CATBOOST[kind]), learned_from)
    assert not list(here.iterdir())  # CatBoost writes files where it runs by itself
    part = to_part(own, learned_from[0])
    margins = part.margins(later)
    assert np.abs(sigmoid(margins[:, 0]) - probability(own.model, later, own)).max() < 1e-5
    assert np.ptp(margins) > 1
    assert all(
        np.array_equal(part.margins(later[at : at + 1]), margins[at : at + 1]) for at in range(50)
    )
    written = write_blend(Blend(((1.0, part),)), "churn", tmp_path)
    assert np.array_equal(read_blend(written, tmp_path, NAMES).margins(later), margins)
    shares = part.contributions(later)
    off = margins[:, 0] - shares.sum(axis=1)
    assert np.abs(off - off[0]).max() < 1e-4


def test_the_seed_of_catboost_makes_equal_models_and_parameters_are_known_by_name(
    catboost, learned_from
):
    estimator = catboost.CatBoostClassifier(iterations=5)
    first, second, other = (
        fit_estimator(estimator, *learned_from, names=NAMES, params={"depth": 3}, seed=seed)
        for seed in (3, 3, 4)
    )
    p, again, others = (
        probability(each.model, learned_from[0], each) for each in (first, second, other)
    )
    assert np.array_equal(p, again)
    assert not np.array_equal(p, others)
    assert first.model.get_all_params()["depth"] == 3
    with pytest.raises(ValueError, match="dept is no parameter of CatBoostClassifier"):
        fit_estimator(estimator, *learned_from, names=NAMES, params={"dept": 3}, seed=3)


def test_two_margins_are_not_served(catboost, learned_from):
    own = fitted(
        catboost.CatBoostClassifier(iterations=3, loss_function="MultiClass"), learned_from
    )
    with pytest.raises(NotServable, match="margins"):
        to_part(own, learned_from[0])
