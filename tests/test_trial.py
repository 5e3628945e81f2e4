"""A release that would crash or hang its reader kills a child, not the service."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import xgboost

from features.core.errors import ReleaseRefused
from serving.release import release as releases
from serving.release import sandbox
from tests.support.command_line import ROOT


def copy_of(business, tmp_path, change):
    """A copy of the promoted release whose booster was changed and whose manifest says so: every
    hash fits.
    """
    folder = tmp_path / "crafted"
    shutil.copytree(business.release.folder, folder)
    model = next(iter(sorted(folder.glob("churn-*.ubj"))))
    model.write_bytes(change(model.read_bytes()))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = releases.hash_files(folder)
    manifest["id"] = releases.content_id(manifest["files"])
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert releases.verify_release(folder) == manifest["id"]
    return folder


def wild(raw):
    """The same trees, but the first root's child lies far outside of them."""
    booster = xgboost.Booster()
    booster.load_model(bytearray(raw))
    stated = json.loads(booster.save_raw("json").decode())
    for tree in stated["learner"]["gradient_booster"]["model"]["trees"]:
        if tree["left_children"][0] != -1:
            tree["left_children"][0] = 2_000_000_000
    return json.dumps(stated).encode()


def test_a_whole_release_is_admitted(trained_shop):
    assert sandbox.load_in_subprocess(trained_shop.release.folder).id == trained_shop.release.id


@pytest.mark.parametrize(
    "change",
    [wild, lambda raw: raw[: len(raw) // 2], lambda raw: b""],
    ids=["crash", "half", "empty"],
)
def test_a_crafted_model_is_refused_and_we_live(trained_shop, tmp_path, change):
    folder = copy_of(trained_shop, tmp_path, change)
    with pytest.raises(ReleaseRefused, match=r"child|golden"):
        sandbox.load_in_subprocess(folder)


def test_the_child_loads_no_scikit_learn(trained_shop):
    """XGBoost would, where it is installed; own features still may."""
    code = (
        "import sys; from pathlib import Path; from serving.release import sandbox;"
        " sandbox.main(Path(sys.argv[1])); print('sklearn' in sys.modules); import sklearn"
    )
    command = [sys.executable, "-c", code, str(trained_shop.release.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_a_child_that_takes_too_long_is_ended(trained_shop, monkeypatch):
    monkeypatch.setattr(sandbox, "LIMIT_SECONDS", 0.05)
    with pytest.raises(ReleaseRefused, match="could not read"):
        sandbox.load_in_subprocess(trained_shop.release.folder)


def test_golden_rows_that_come_out_otherwise_are_told(trained_shop, tmp_path):
    def heavier(raw):
        booster = xgboost.Booster()
        booster.load_model(bytearray(raw))
        stated = json.loads(booster.save_raw("json").decode())
        stated["learner"]["learner_model_param"]["base_score"] = "[9E-1]"
        return json.dumps(stated).encode()

    with pytest.raises(ReleaseRefused, match="golden scores"):
        sandbox.load_in_subprocess(copy_of(trained_shop, tmp_path, heavier))
