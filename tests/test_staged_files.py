"""Whole files and folders or none: a reader sees the old content or the new, whatever fails."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from features.core.staged_files import (
    put_in_place,
    replace_folder,
    staged_file,
    staged_folder,
    staging_folder,
)
from tests.support.command_line import ROOT


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
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert (place / "LATEST").read_text() == "old"
    assert (place / "run=1" / "scores.csv").read_text() == "old"
    assert [name for name in names(place) if not name.startswith(".")] == ["LATEST", "run=1"]


LEFT_BEHIND = """
import os, pathlib, signal, sys
from features.core.staged_files import staged_file, staging_folder

place = pathlib.Path(sys.argv[1])
with staged_file(place / "LATEST") as file, staging_folder(place) as folder:
    file.write_text("ne")
    (folder / "scores.csv").write_text("ne")
    for path in (file, folder):
        os.utime(path, (1e9, 1e9))
    print("written", flush=True)
    sys.stdin.read()
"""
kills = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")


@contextlib.contextmanager
def writing_process(place):
    """A process in the middle of writing a file and a folder, both with a date long ago."""
    with subprocess.Popen(
        [sys.executable, "-c", LEFT_BEHIND, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as writer:
        assert writer.stdout.readline() == b"written\n"
        yield writer
        writer.kill()


def write_again(place):
    with staged_file(place / "LATEST") as file, staged_folder(place / "run=2") as folder:
        file.write_text("new")
        (folder / "scores.csv").write_text("new")


def staging_names(folder):
    return [name for name in names(folder) if name.startswith(".")]


@kills
def test_the_next_write_sweeps_what_a_killed_process_left(place):
    with writing_process(place) as writer:
        writer.kill()
    assert len(staging_names(place)) == 2
    write_again(place)
    assert names(place) == ["LATEST", "run=2"]


@kills
def test_what_a_living_process_writes_is_not_swept_however_old(place):
    with writing_process(place):
        left = staging_names(place)
        write_again(place)
        assert staging_names(place) == left
        assert len(left) == 2


@kills
def test_what_was_written_within_the_last_minute_is_not_swept(place):
    with writing_process(place) as writer:
        writer.kill()
    left = staging_names(place)
    for name in left:
        os.utime(place / name)
    write_again(place)
    assert staging_names(place) == left


def test_only_staging_names_are_swept_and_no_link_is_followed(place, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inside").mkdir(parents=True)
    (elsewhere / "file").write_text("stays")
    (place / ".staged-link").symlink_to(elsewhere)
    (place / ".LATEST.999999999").symlink_to(elsewhere / "file")
    (place / ".staged-file").write_text("not a folder")
    for name in (".LATEST.old", ".LATEST.", ".OTHER.999999999", ".LATEST.99999999999999999999999"):
        (place / name).write_text("not ours")
    (place / ".making-other").mkdir()
    before = names(place)
    for path in [*place.iterdir(), elsewhere, elsewhere / "file"]:
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    write_again(place)
    assert names(place) == sorted([*before, "LATEST", "run=2"])
    assert names(elsewhere) == ["file", "inside"]


def test_a_private_file_is_for_its_owner_from_the_start(place):
    path = place / "predictions.csv"
    path.write_text("old")
    path.chmod(0o644)
    with staged_file(path, private=True) as staged:
        assert staged.stat().st_mode & 0o777 == 0o600
        staged.write_text("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_whatever_stands_at_the_name_of_a_folder_can_be_replaced(place, tmp_path, kind):
    folder, elsewhere = place / "run=1", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "scores.csv").write_text("stays")
    if kind == "file":
        folder.write_text("not a folder")
    elif kind == "link":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        (folder / "scores.csv").write_text("old")
    with staged_folder(folder, replace=True) as staged:
        (staged / "scores.csv").write_text("new")
    assert (folder / "scores.csv").read_text() == "new"
    assert not folder.is_symlink()
    assert names(place) == ["run=1"]
    assert (elsewhere / "scores.csv").read_text() == "stays"


def test_a_replacement_that_fails_brings_the_old_folder_back(place):
    folder = place / "run=1"
    folder.mkdir()
    (folder / "scores.csv").write_text("old")
    with pytest.raises(FileNotFoundError, match="absent"):
        replace_folder(place / "absent", folder)
    assert (folder / "scores.csv").read_text() == "old"
    assert names(place) == ["run=1"]
