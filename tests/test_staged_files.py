"""Whole files and folders or none: a reader sees the old content or the new, whatever fails."""

import os
import signal
import subprocess
import sys

import pytest

from features.core.staged_files import put_in_place, staged_file, staged_folder, staging_folder


@pytest.fixture
def place(tmp_path):
    """An empty folder; the shared fixtures put a home into `tmp_path` itself."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


class Cancelled(BaseException):
    """An error that `except Exception` does not see, as Ctrl-C is."""


def write_half_a_file(path, error):
    with staged_file(path) as staged:
        staged.write_text("ne")
        raise error("half written")


def write_half_a_folder(folder, error, **options):
    with staged_folder(folder, **options) as staged:
        (staged / "scores.csv").write_text("ne")
        raise error("half written")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_the_block_ends(place):
    path = place / "LATEST"
    with staged_file(path) as staged:
        staged.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(place) == ["LATEST"]


def test_a_new_file_replaces_the_old_one_only_at_the_end(place):
    path = place / "LATEST"
    path.write_text("old")
    with staged_file(path) as staged:
        staged.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, OSError, Cancelled])
def test_an_error_leaves_the_old_file_and_no_staging_file(place, error):
    path = place / "LATEST"
    path.write_text("old")
    with pytest.raises(error, match="half"):
        write_half_a_file(path, error)
    assert path.read_text() == "old"
    assert names(place) == ["LATEST"]


def test_the_error_of_the_block_is_reported_where_nothing_was_written(place):
    with pytest.raises(ValueError, match="first"), staged_file(place / "LATEST"):
        raise ValueError("first")
    assert names(place) == []


def test_a_missing_folder_is_an_os_error(place):
    with (
        pytest.raises(FileNotFoundError, match="absent"),
        staged_file(place / "absent" / "LATEST") as staged,
    ):
        staged.write_text("new")


def test_a_rename_that_fails_leaves_no_staging_file(place):
    path = place / "taken"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"), staged_file(path) as staged:
        staged.write_text("new")
    assert names(place) == ["taken"]


def test_a_folder_appears_whole(place):
    folder = place / "run=1"
    with staged_folder(folder) as staged:
        (staged / "scores.csv").write_text("1")
        (staged / "history").mkdir()
        (staged / "history" / "events.csv").write_text("2")
        assert not folder.exists()
    assert names(folder) == ["history", "scores.csv"]
    assert names(place) == ["run=1"]


@pytest.mark.parametrize("error", [ValueError, OSError, Cancelled])
def test_an_error_leaves_no_folder(place, error):
    with pytest.raises(error, match="half"):
        write_half_a_folder(place / "run=1", error)
    assert names(place) == []


@pytest.mark.parametrize("replace", [False, True])
def test_an_error_leaves_the_folder_that_stood_there(place, replace):
    folder = place / "run=1"
    folder.mkdir()
    (folder / "scores.csv").write_text("old")
    with pytest.raises(ValueError, match="half"):
        write_half_a_folder(folder, ValueError, replace=replace)
    assert (folder / "scores.csv").read_text() == "old"
    assert names(place) == ["run=1"]


def test_a_folder_that_stands_there_stays_unless_it_is_to_be_replaced(place):
    folder = place / "run=1"
    folder.mkdir()
    (folder / "scores.csv").write_text("old")
    with pytest.raises(OSError, match="run=1"), staged_folder(folder) as staged:
        (staged / "scores.csv").write_text("new")
    assert (folder / "scores.csv").read_text() == "old"
    with staged_folder(folder, replace=True) as staged:
        (staged / "scores.csv").write_text("new")
    assert (folder / "scores.csv").read_text() == "new"
    assert names(place) == ["run=1"]


def test_a_staging_folder_is_gone_unless_it_was_put_in_place(place):
    with staging_folder(place, prefix=".making-") as staged:
        assert staged.name.startswith(".making-")
        (staged / "store.db").write_text("1")
    assert names(place) == []
    with staging_folder(place) as staged:
        (staged / "manifest.json").write_text("{}")
        put_in_place(staged, place / "0123abcd")
    assert names(place) == ["0123abcd"]
    assert names(place / "0123abcd") == ["manifest.json"]


KILLED = """
import os, pathlib, signal, sys
from features.core.staged_files import staged_file, staged_folder

place = pathlib.Path(sys.argv[1])
with staged_file(place / "LATEST") as file, staged_folder(place / "run=1", replace=True) as folder:
    file.write_text("ne")
    (folder / "scores.csv").write_text("ne")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_process_leaves_what_stood_there(place):
    (place / "LATEST").write_text("old")
    (place / "run=1").mkdir()
    (place / "run=1" / "scores.csv").write_text("old")
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(place)],
        env=os.environ | {"PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert (place / "LATEST").read_text() == "old"
    assert (place / "run=1" / "scores.csv").read_text() == "old"
    assert [name for name in names(place) if not name.startswith(".")] == ["LATEST", "run=1"]
