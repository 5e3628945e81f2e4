"""What may be promoted: a release of the store, by its id, that a child process could load; and a
promotion that is whole or does not happen.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import xgboost

from features.core.errors import PromotionRefused, ReleaseRefused, StoreFailed
from features.core.instants import DAY_US
from serving.release import release as releases
from serving.release.release_store import current_release_folder
from tests.support.damaged_home import reseal, rewrite
from tests.support.tracking_stores import serve
from training import job, promotion_log
from training.evaluation import gate
from training.promote import (
    check_promotion,
    find_release_folder,
    newest_release_folder,
    promote,
    served_release_id,
)
from training.silent_feeds import FreshPlan

OTHER = "0" * 16


def serve_as(business, name):
    """Serve the trained release under this id."""
    return serve(replace(business.release, id=name)).id


def log_lines():
    path = promotion_log.log_path()
    return path.read_text().splitlines() if path.is_file() else []


@pytest.mark.parametrize(
    "written", ["../releases/{id}", "./{id}", "{folder}", "{id}/", "..", "", "{upper}", OTHER]
)
def test_only_the_id_of_a_folder_in_the_store_is_promoted(release_home, written):
    _, name = release_home
    folder = releases.releases_folder() / name
    with pytest.raises(ReleaseRefused, match="16 hex digits") as refused:
        promote(written.format(id=name, folder=folder, upper=name.upper() + "A"))
    assert f"choose one of: {name}" in refused.value.fix
    assert served_release_id() is None
    assert log_lines() == []


def test_a_folder_in_the_store_is_named_by_its_release_and_elsewhere_by_anything(
    release_home, tmp_path
):
    _, name = release_home
    renamed = releases.releases_folder() / "0123456789abcdef"
    shutil.copytree(releases.releases_folder() / name, renamed)
    with pytest.raises(ReleaseRefused, match=f"holds release {name}") as refused:
        promote(renamed.name)
    assert refused.value.fix.startswith(f"Rename the folder to {name}")
    renamed.rename(tmp_path / "anything")
    assert releases.load_release(tmp_path / "anything").id == name


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"../releases/{id}",
        b"\xff\xfe\x00",
        *(
            pytest.param(content, marks=[pytest.mark.slow, pytest.mark.long])
            for content in (b"{folder}", b"{id} {id}", b"{id}\x00", b"old")
        ),
    ],
)
def test_current_names_an_id_and_anything_else_is_no_promoted_release(
    release_home, trained_shop, content
):
    _, name = release_home
    folder = releases.releases_folder() / name
    content = content.replace(b"{id}", name.encode()).replace(b"{folder}", str(folder).encode())
    (folder.parent / "CURRENT").write_bytes(content)
    with pytest.raises(ReleaseRefused, match="no promoted release") as refused:
        current_release_folder()
    assert "lifecycle promote" in refused.value.fix
    assert served_release_id() is None
    assert serve_as(trained_shop, name) == served_release_id() == name


@pytest.mark.parametrize("damage", ["{", "[" * 100_000, '{"files": null}', "{}", '{"made_at": 5}'])
def test_a_damaged_manifest_neither_hides_the_newest_release_nor_ends_in_a_traceback(
    release_home, damage
):
    _, name = release_home
    damaged = releases.releases_folder() / ("f" * 16)
    damaged.mkdir()
    (damaged / "manifest.json").write_text(damage)
    assert newest_release_folder().name == name
    with pytest.raises(ReleaseRefused, match="no readable manifest"):
        promote(damaged.name)
    shutil.rmtree(releases.releases_folder() / name)
    with pytest.raises(ReleaseRefused, match="no release with a readable manifest"):
        find_release_folder(None)


def crashing_trees(raw):
    """The same trees, but the first root's child lies far outside of them."""
    booster = xgboost.Booster()
    booster.load_model(bytearray(raw))
    model = json.loads(booster.save_raw("json").decode())
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        if tree["left_children"][0] != -1:
            tree["left_children"][0] = 2_000_000_000
    return json.dumps(model).encode()


@pytest.mark.slow
@pytest.mark.long
def test_a_crafted_release_crashes_a_child_and_the_command_refuses_it(release_home):
    home, name = release_home
    folder = releases.releases_folder() / "crafted"
    shutil.copytree(folder.parent / name, folder)
    booster = folder / "churn-1.ubj"
    booster.write_bytes(crashing_trees(booster.read_bytes()))
    folder = reseal(folder)
    command = [sys.executable, "-m", "lifecycle", "promote", folder.name, "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=home, check=False)
    assert finished.returncode == ReleaseRefused.exit_code
    assert "crashed the child process" in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert served_release_id() is None


def test_where_current_cannot_be_written_no_line_is_recorded(release_home, trained_shop):
    _, name = release_home
    current = releases.releases_folder() / "CURRENT"
    current.mkdir()
    (current / "file").write_text("")
    for _ in range(2):
        with pytest.raises(StoreFailed, match="release store must be writable"):
            serve_as(trained_shop, name)
        assert log_lines() == []
    shutil.rmtree(current)
    serve_as(trained_shop, name)
    assert [json.loads(line)["release"] for line in log_lines()] == [name]
    left = {path.name for path in current.parent.iterdir()}
    assert left == {"CURRENT", name, "promotions.jsonl"}


def test_a_failed_promotion_leaves_the_lines_of_earlier_ones(release_home, trained_shop):
    _, name = release_home
    serve_as(trained_shop, name)
    before = log_lines()
    current = releases.releases_folder() / "CURRENT"
    current.unlink()
    (current / "file").mkdir(parents=True)
    with pytest.raises(StoreFailed):
        serve_as(trained_shop, OTHER)
    assert log_lines() == before


def test_where_the_line_cannot_be_written_current_stays_as_it_was(release_home, trained_shop):
    _, name = release_home
    serve_as(trained_shop, name)
    promotion_log.log_path().unlink()
    promotion_log.log_path().mkdir()
    with pytest.raises(StoreFailed, match="written together"):
        serve_as(trained_shop, OTHER)
    assert served_release_id() == name


def promote_while_another_is_recorded(name):
    with promotion_log.recorded_promotion(
        name, previous=None, forced=False, reason=None, verdict=gate.PASSES
    ):
        with promotion_log.log_path().open("a") as file:
            file.write(json.dumps({"release": OTHER}) + "\n")
        raise OSError("the rename failed")


def test_a_line_that_was_recorded_meanwhile_is_never_cut_off(release_home):
    _, name = release_home
    with pytest.raises(OSError, match="rename failed"):
        promote_while_another_is_recorded(name)
    assert [json.loads(line)["release"] for line in log_lines()] == [name, OTHER]


def test_a_served_release_of_an_old_format_is_said_to_be_not_comparable(release_home, trained_shop):
    _, name = release_home
    serve_as(trained_shop, name)
    folder, other = releases.releases_folder() / name, replace(trained_shop.release, id=OTHER)
    rewrite(folder / "manifest.json", format=releases.FORMAT - 1)
    assert check_promotion(other).note == (
        f"the served release {name} has format {releases.FORMAT - 1} "
        "and cannot be compared with this one"
    )


@pytest.mark.slow
@pytest.mark.long
def test_a_training_over_a_served_release_of_an_old_format_is_not_judged(
    release_home, trained_shop
):
    _, name = release_home
    serve_as(trained_shop, name)
    rewrite(releases.releases_folder() / name / "manifest.json", format=releases.FORMAT - 1)
    run = job.TrainingRun(trained_shop.history, trained_shop.settings)
    run.examples, run.fresh_plan = trained_shop.examples, FreshPlan(trained_shop.dates, (), ())
    run.eval_scorer = run.final_scorer = trained_shop.release.scorer
    assert run.gate_section["gate"] == {
        "champion": name,
        "verdict": gate.NOT_JUDGED,
        "why": [f"not comparable: the served release has format {releases.FORMAT - 1}"],
    }


@pytest.mark.parametrize(
    "business",
    [
        "trained_shop",
        pytest.param("trained_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
    indirect=True,
)
@pytest.mark.long
def test_the_newest_training_of_an_earlier_day_needs_a_reason_to_replace_a_later_one(
    own_home, monkeypatch
):
    """`train --as-of` and then `promote` would serve an older release than before."""
    folder = own_home.release.folder
    later = folder.with_name("later")
    shutil.copytree(folder, later)
    seen = json.loads((later / "seen.json").read_text())
    seen["outcomes_until"] += 30 * DAY_US
    (later / "seen.json").write_text(json.dumps(seen))
    files = releases.hash_files(later)
    manifest = json.loads((later / "manifest.json").read_text())
    manifest |= {
        "files": files,
        "id": releases.content_id(files),
        "made_at": "2000-01-01T00:00:00+00:00",
    }
    (later / "manifest.json").write_text(json.dumps(manifest))
    later.rename(later.with_name(manifest["id"]))
    promote(manifest["id"])
    with pytest.raises(PromotionRefused, match="the served release until"):
        promote()
    # Who names it wants it.
    assert promote(own_home.release.id).id == own_home.release.id
