"""A release whose files break a rule is refused, although every hash fits."""

from __future__ import annotations

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from pydantic import ValidationError

from features.core.errors import ReleaseRefused
from serving.release import release as releases
from serving.release.evaluation_rules import EvaluationFile
from tests.support.command_line import run_here
from tests.support.damaged_home import reseal, rewrite
from tests.support.release_mutants import JSON_FILES, mutants
from training.promote import served_release_id

FEW, MORE, MANY = 40, 60, 250


def loaded(folder):
    """Whether the release loads; every error but the refusal passes."""
    try:
        releases.load_release(folder)
    except ReleaseRefused:
        return False
    return True


def accepted_mutants(source, tmp_path, *, seed, count):
    chosen = mutants(source, seed=seed, count=count)
    assert len({mutant.label for mutant in chosen}) == count
    labels = []
    for mutant in chosen:
        folder = mutant.write(source, tmp_path)
        labels += [mutant.label] if loaded(folder) else []
        shutil.rmtree(folder)
    return labels


def test_the_same_content_written_in_another_way_is_a_release_that_loads(business, tmp_path):
    """Otherwise mutants could be refused for being rewritten, and not for what they hold."""
    folder = tmp_path / "copy"
    shutil.copytree(business.release.folder, folder)
    for file in JSON_FILES:
        rewrite(folder / file)
    population = pq.read_table(folder / "population.parquet").to_pylist()
    pq.write_table(pa.Table.from_pylist(population), folder / "population.parquet", version="1.0")
    folder = reseal(folder)
    assert folder.name != business.release.id
    assert releases.load_release(folder).id == folder.name


def test_no_broken_file_is_loaded_though_its_hash_fits(trained_subscriptions, tmp_path):
    folder = trained_subscriptions.release.folder
    assert accepted_mutants(folder, tmp_path, seed=1, count=FEW) == []


@pytest.mark.parametrize(
    "figures",
    [{"auroc": 1e9}, {"auroc": -0.1}, {"low": [{"ece": 2}]}, {"log_loss": -1.0}, {"rows": -1}],
)
def test_a_figure_outside_the_range_of_its_name_is_refused(figures):
    with pytest.raises(ValidationError):
        EvaluationFile.model_validate({"churn": {"everyone": figures}})
    EvaluationFile.model_validate({"churn": {"everyone": {"auroc": 0.5, "difference": -3.0}}})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("business", "count"),
    [
        ("trained_shop", MORE),
        pytest.param("trained_subscriptions", MANY, marks=pytest.mark.long),
        pytest.param("trained_shop", MANY, marks=pytest.mark.long),
    ],
    indirect=["business"],
)
def test_no_broken_file_of_many_is_loaded(business, tmp_path, count):
    assert accepted_mutants(business.release.folder, tmp_path, seed=2, count=count) == []


def test_equal_seeds_give_equal_mutants_and_every_file_has_some(trained_shop):
    source = trained_shop.release.folder
    first, again = (mutants(source, seed=3, count=MANY) for _ in range(2))
    assert [mutant.label for mutant in first] == [mutant.label for mutant in again]
    assert {mutant.file for mutant in first} >= {*JSON_FILES, "population.parquet", "card.md"}


@pytest.mark.parametrize(
    ("file", "changes", "got"),
    [
        ("models.json", {"status": "perfect"}, "models.json: status: input should be 'ok'"),
        ("models.json", {"status": 7}, "models.json: status: input should be 'ok'"),
        ("models.json", {"secret of Ada": 1}, "models.json: an unknown key"),
        ("stages.json", {"reached_churned": -1}, "stages.json: reached_churned: input should be"),
        ("stages.json", {"grace_days": 5}, "stages.json: grace_days contradicts the config"),
        ("evaluation.json", {"gate": []}, "evaluation.json: gate: input should be"),
    ],
)
def test_a_refusal_names_the_file_the_key_and_the_rule_and_no_value(
    trained_shop, tmp_path, file, changes, got
):
    shutil.copytree(trained_shop.release.folder, tmp_path / "copy")
    rewrite(tmp_path / "copy" / file, **changes)
    with pytest.raises(ReleaseRefused) as refused:
        releases.load_release(reseal(tmp_path / "copy"))
    assert refused.value.got.startswith(got)
    assert "Ada" not in str(refused.value)
    assert "perfect" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"made_at": "yesterday"},
        {"made_at": "2024-01-01"},
        {"made_at": None},
        {"versions": ["duckdb"]},
        {"files": None},
        {"files": {"card.md": "0"}},
        {"surprise": 1},
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(trained_shop, tmp_path, changes):
    folder = tmp_path / "copy"
    shutil.copytree(trained_shop.release.folder, folder)
    rewrite(folder / "manifest.json", **changes)
    with pytest.raises(ReleaseRefused, match=r"manifest\.json: "):
        releases.load_release(folder)


def changed_booster(change):
    """The booster as JSON, which XGBoost reads too, after a change of its content."""

    def edit(raw):
        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        model = json.loads(booster.save_raw("json").decode())
        change(model["learner"])
        return json.dumps(model).encode()

    return edit


def set_in_trees(name, value):
    def change(learner):
        for tree in learner["gradient_booster"]["model"]["trees"]:
            if tree["left_children"][0] != -1:
                tree[name][0] = value

    return changed_booster(change)


CRASHING = {
    "a child far outside": set_in_trees("left_children", 2_000_000_000),
    "a child before the first": set_in_trees("left_children", -7),
    "a root that is its own child": set_in_trees("right_children", 0),
    "a column far outside": set_in_trees("split_indices", 2_000_000_000),
    "no trees": changed_booster(lambda learner: learner["gradient_booster"]["model"].clear()),
    "no learner": changed_booster(lambda learner: learner.clear()),
    "other columns": changed_booster(lambda learner: learner["feature_names"].reverse()),
    "another start": changed_booster(
        lambda learner: learner["learner_model_param"].update(base_score="[9E-1]")
    ),
    "half": lambda raw: raw[: len(raw) // 2],
    "empty": lambda raw: b"",
    "deep": lambda raw: b"[" * 1_000_000,
    "noise": lambda raw: bytes(k * 37 % 251 for k in range(5000)),
}


ALSO_QUICK = ("half", "deep", "another start")  # one of each kind; the others are left to test-long


@pytest.mark.slow
@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(edit, id=name, marks=[] if name in ALSO_QUICK else pytest.mark.long)
        for name, edit in CRASHING.items()
    ],
)
def test_no_absurd_booster_ends_the_command_by_a_signal_or_a_traceback(release_home, edit):
    _, name = release_home
    folder = releases.releases_folder() / "crafted"
    shutil.copytree(folder.parent / name, folder)
    booster = folder / "churn-1.ubj"
    booster.write_bytes(edit(booster.read_bytes()))
    finished = run_here("promote", reseal(folder).name)
    assert finished.returncode == ReleaseRefused.exit_code, finished.stderr
    assert "Traceback" not in finished.stdout + finished.stderr
    assert served_release_id() is None
