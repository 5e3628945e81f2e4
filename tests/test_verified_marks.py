"""One verification of a release for the workers of a service, a golden score in each of them."""

from __future__ import annotations

import dataclasses
import shutil
import threading

import pytest

from features.core.errors import ReleaseRefused
from serving.api import state as desks
from serving.release import sandbox
from serving.release.verified_marks import verification


def test_who_comes_first_verifies_and_the_others_wait_for_it(tmp_path):
    told, begun, finish = [], threading.Event(), threading.Event()

    def first():
        with verification(tmp_path, "release") as is_verified:
            told.append(("first", is_verified))
            begun.set()
            assert finish.wait(30)

    def second():
        assert begun.wait(30)
        with verification(tmp_path, "release") as is_verified:
            told.append(("second", is_verified))

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    with verification(tmp_path, "another") as is_verified:
        assert not is_verified
    assert told == [("first", False)]
    finish.set()
    for thread in threads:
        thread.join(30)
    assert told == [("first", False), ("second", True)]


def test_a_refusal_leaves_no_mark_and_without_a_folder_there_are_none(tmp_path):
    with pytest.raises(ReleaseRefused, match="crashed"), verification(tmp_path, "release"):
        raise sandbox._refusal("release", "a model that crashed the child process")
    for marks, expected in ((tmp_path, False), (tmp_path, True), (None, False), (None, False)):
        with verification(marks, "release") as is_verified:
            assert is_verified is expected


def test_what_one_worker_verified_no_other_does_but_every_file_is_compared(
    trained_shop, tmp_path, monkeypatch
):
    folder, marks = trained_shop.release.folder, tmp_path / "marks"
    marks.mkdir()
    assert sandbox.load_in_subprocess(folder, marks).id == folder.name
    monkeypatch.setattr(sandbox, "LIMIT_SECONDS", 0.001)  # a child would not end in time
    assert sandbox.load_in_subprocess(folder, marks).id == folder.name
    with pytest.raises(ReleaseRefused, match="could not read"):
        sandbox.load_in_subprocess(folder)
    altered = tmp_path / folder.name
    shutil.copytree(folder, altered)
    (altered / "models.json").write_bytes((folder / "models.json").read_bytes() + b" ")
    with pytest.raises(ReleaseRefused):
        sandbox.load_in_subprocess(altered, marks)


def test_a_process_that_computes_other_scores_does_not_serve(trained_shop):
    release = trained_shop.release
    desks._check_prepared(release)
    scorer = dataclasses.replace(release.scorer, churn_rows=1)
    with pytest.raises(ReleaseRefused, match="golden scores"):
        desks._check_prepared(dataclasses.replace(release, scorer=scorer))
