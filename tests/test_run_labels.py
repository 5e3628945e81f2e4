"""What a person calls a run, and where its runs are: one experiment for each business."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.core.errors import BadSetting
from tests.support.checks import nonempty
from tests.support.tracking_stores import client, entry, parents
from training.tracking import record, run_labels, tracking
from training.tracking.run_labels import RunLabels, read_labels


def test_a_name_and_tags_come_through_as_typed():
    assert read_labels() == RunLabels()
    assert read_labels(" shorter horizon ", ["team=crm", "note=a=b", "x.y-z=ü 1"]) == RunLabels(
        "shorter horizon", {"team": "crm", "note": "a=b", "x.y-z": "ü 1"}
    )
    assert read_labels(tags={"team": "crm"}) == RunLabels(None, {"team": "crm"})


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("", ()),
        ("  ", ()),
        ("x" * 101, ()),
        ("two\nlines", ()),
        ("a\x00b", ()),
        (7, ()),
        (None, ["no equals"]),
        (None, ["=x"]),
        (None, ["a b=x"]),
        (None, ["1a=x"]),
        (None, ["a="]),
        (None, ["a=x\ty"]),
        (None, ["a=" + "x" * 201]),
        (None, ["a" * 51 + "=x"]),
        (None, ["a=1", "a=2"]),
        (None, ["release=x"]),
        (None, ["lifecycle.job=x"]),
        (None, ["mlflow.runName=x"]),
        (None, ["version.duckdb=x"]),
        (None, {"a": 1}),
        (None, {1: "a"}),
        (None, [f"a{n}=x" for n in range(21)]),
    ],
)
def test_what_cannot_be_stored_is_refused_with_what_to_type(name, tags):
    with pytest.raises(BadSetting) as refused:
        read_labels(name, tags)
    assert refused.value.where.startswith(("--name", "--tag"))
    assert "--tag team=crm" in refused.value.fix


@settings(deadline=None)
@given(
    st.text(max_size=120),
    st.text("abz019_.- é", max_size=60),
    st.text("abc =ü1\n", max_size=220),
)
def test_any_text_is_a_label_or_is_refused(name, key, value):
    try:
        labels = read_labels(name, {key: value})
    except BadSetting:
        labels = None
    if labels is not None:
        assert labels.name == name.strip()
        assert labels.name.isprintable()
        assert labels.tags == {key: value.strip()}


def test_the_runs_of_a_training_use_no_tag_that_a_person_may_take(at_home):
    run = client().get_run(at_home.trained.runs["churn"])
    taken = [name for name in run.data.tags if name != run_labels.LABELS]
    for name in nonempty(taken):
        with pytest.raises(BadSetting):
            read_labels(tags={name: "x"})


def test_a_named_run_has_its_name_and_tags_and_keeps_what_it_says_itself(store_home):
    labels = read_labels("horizon of 60 days", ["team=crm"])
    run = tracking.record_run(labels.mark_record(entry(tags={"status": "ok"})))
    [stored] = parents(store_home)
    assert stored.info.run_id == run
    assert stored.info.run_name == "horizon of 60 days"
    assert (stored.data.tags["team"], stored.data.tags["status"]) == ("crm", "ok")
    row = tracking.list_runs()[0]
    assert (row["name"], row["tags"]) == ("horizon of 60 days", {"team": "crm"})
    assert "horizon of 60 days" in tracking.runs_text([row])
    assert "team=crm" in tracking.runs_text([row])


def test_each_business_has_an_experiment_and_the_list_has_the_runs_of_all(store_home):
    for business in ("Shop", "Gym", "Shop", ""):
        assert tracking.record_run(entry(business=business))
    names = {each.experiment_id: each.name for each in client(store_home).search_experiments()}
    of_runs = sorted(names[run.info.experiment_id] for run in parents(store_home))
    # A run that names no business is one of an earlier version.
    assert of_runs == ["Gym", "Shop", "Shop", "lifecycle"]
    assert len(tracking.list_runs()) == 4
    assert {row["business"] for row in tracking.list_runs()} == {"Shop", "Gym", "lifecycle"}
    assert [row["business"] for row in tracking.list_runs(business="Gym")] == ["Gym"]


def test_an_experiment_that_somebody_deleted_is_used_again(store_home):
    assert tracking.record_run(entry(business="Shop"))
    owner = client(store_home)
    owner.delete_experiment(owner.get_experiment_by_name("Shop").experiment_id)
    assert tracking.record_run(entry(business="Shop"))
    assert owner.get_experiment_by_name("Shop").lifecycle_stage == "active"


def test_the_best_trial_is_marked_on_itself_and_on_its_run(store_home):
    trials = (
        {"settings": {"a": 1}, "loss": 0.5, "state": "COMPLETE"},
        {"settings": {"a": 2}, "loss": 0.1, "state": "PRUNED"},
        {"settings": {"a": 3}, "loss": 0.4, "state": "COMPLETE"},
        {"settings": {"a": 4}, "loss": 0.4, "state": "COMPLETE"},
    )
    run = tracking.record_run(entry(trials=trials))
    [parent] = parents(store_home)
    nested = client(store_home).search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run}'"
    )
    best = [trial for trial in nested if trial.data.tags.get("best") == "true"]
    assert [trial.data.params for trial in best] == [{"a": "3"}]
    assert parent.data.tags["best_trial"] == best[0].info.run_name == "churn-trial-2"


def test_the_trial_marked_best_has_the_settings_that_were_chosen(at_home):
    run = client().get_run(at_home.trained.runs["churn"])
    nested = client().search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    )
    [best] = [trial for trial in nested if trial.data.tags.get("best") == "true"]
    for name, value in nonempty(list(best.data.params.items())):
        assert run.data.params[f"chosen.{name}"] == value


def test_a_value_too_long_for_mlflow_is_not_cut_but_says_where_the_whole_one_is(at_home):
    settings = at_home.settings
    words = tuple(f"a category of many {number}" for number in range(2000))
    wide = settings.model_copy(
        update={"features": settings.features.model_copy(update={"off": list(words)})}
    )
    params = dict(record._flatten(record.masked_configuration(wide)))
    assert json.loads(params["features.off"]) == list(words)
    short = record._short(params["features.off"])
    assert "see configuration.json" in short
    assert len(short) < 200


def test_a_section_with_names_that_mlflow_refuses_is_one_parameter(store_home):
    days = {"terms": {"Gold (2 years) + shop": 730, "Basic": 30}, "horizon": 60}
    params = dict(record._flatten({"contract": days}))
    assert params == {"contract.terms": json.dumps(days["terms"]), "contract.horizon": "60"}
    assert tracking.record_run(replace(entry(), params=params))
