"""The doctor: every finding is seen failing on something really broken, and doing what it says
heals it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serving.api import key_file
from serving.doctor import examine
from serving.doctor.findings import Finding, run_check
from tests.support.damaged_home import ROOT, commands, found, obey, run_folder


def test_a_healthy_home_has_nothing_that_failed_and_is_left_as_it_was(healthy_home, due_at):
    before = {path: path.stat().st_mtime_ns for path in healthy_home.rglob("*") if path.is_file()}
    seen = examine.examine(now=due_at)
    assert {
        path: path.stat().st_mtime_ns for path in healthy_home.rglob("*") if path.is_file()
    } == before
    assert {f.name for f in seen if f.state != "ok"} <= {
        "keys",
        "extra serve",
        "extra dev",
    }, examine.findings_text(seen)
    assert {"home", "disk", "leftovers", "release", "release age", "scores", "scores age"} <= {
        f.name for f in seen
    }


def test_a_folder_with_nothing_in_it_is_a_beginning_and_no_failure(home):
    seen = examine.examine()
    assert found("release").state == found("scores").state == "warning"
    assert "failed" not in {f.state for f in seen if f.name in ("home", "disk", "leftovers")}


def test_a_home_that_is_not_there_is_made_as_told(tmp_path, monkeypatch, trained_shop):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "not there"))
    seen = found("home")
    assert seen.state == "failed"
    assert not (tmp_path / "not there").exists()
    obey(seen, trained_shop)
    assert found("home").state == "ok"


def test_a_home_that_is_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path / "file"))
    assert found("home") == Finding(
        "home", "failed", f"{tmp_path / 'file'} is no folder", "Set LIFECYCLE_HOME to a folder."
    )


@pytest.mark.parametrize("room", [".", "mlruns", "mlruns/releases", "scores"])
def test_a_folder_that_cannot_be_written_is_found_by_writing(healthy_home, room, monkeypatch):
    place = healthy_home / room
    if os.geteuid() == 0:
        # Rights do not bind root; the kernel's own folder takes no file from anybody.
        if not Path("/proc/self").is_dir():
            pytest.skip("no folder here that root cannot write")
        if room == ".":
            monkeypatch.setenv("LIFECYCLE_HOME", "/proc")
            place = Path("/proc")
        else:
            shutil.rmtree(place)
            place.symlink_to("/proc")
    else:
        place.chmod(0o500)
    seen = found("home")
    if place != Path("/proc") and not place.is_symlink():
        place.chmod(0o700)
    assert seen.state == "failed"
    assert str(place) in seen.observed


@pytest.mark.parametrize(("share", "state"), [(2.0, "failed"), (0.5, "warning"), (0.0, "ok")])
def test_room_is_counted_in_runs_as_large_as_the_newest(healthy_home, share, state):
    free = shutil.disk_usage(healthy_home).free
    if free < 6 * examine.GB:
        pytest.skip("this disk has too little room to be found in order")
    run = healthy_home / "scores" / "as_of=2999-01-01" / "run=large"
    run.mkdir(parents=True)
    with (run / "sparse").open("wb") as file:
        file.truncate(int(free * share))
    assert found("disk").state == state


@pytest.mark.parametrize(
    ("free", "state"), [(400 * 10**6, "failed"), (4 * 10**9, "warning"), (6 * 10**9, "ok")]
)
def test_a_disk_that_fills_up_is_found(home, monkeypatch, free, state):
    usage = type(shutil.disk_usage(home))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12 - free, free))
    assert found("disk").state == state


def test_leftovers_of_killed_jobs_are_counted_and_go_as_told(healthy_home, trained_shop):
    places = [
        healthy_home / "mlruns" / "releases",
        run_folder(healthy_home).parent,
        healthy_home / "mlruns",
    ]
    for place in places:
        for name, age in (
            (".making-old" if place.name == "mlruns" else ".staged-old", 2 * 3600),
            (".staged-running", 0),
        ):
            folder = place / name
            folder.mkdir()
            (folder / "scores.parquet").write_text("half")
            moment = folder.stat().st_mtime - age
            os.utime(folder, (moment, moment))
    seen = found("leftovers")
    assert (seen.state, seen.observed) == ("warning", "3 staged folders of killed jobs")
    obey(seen, trained_shop)
    assert found("leftovers").state == "ok"
    assert all((place / ".staged-running" / "scores.parquet").is_file() for place in places)
    assert found("scores").state == "ok"


def test_keys_others_can_read_are_closed_as_told(home, trained_shop):
    pytest.importorskip("bentoml")
    assert (found("keys").state, found("keys").observed) == ("warning", "none yet")
    secret = key_file.make_key().text
    assert (found("keys").state, found("keys").observed) == ("ok", "1 from the file")
    (home / key_file.FILE).chmod(0o644)
    seen = found("keys")
    assert (seen.state, seen.observed) == (
        "failed",
        "the key file can be read or written by others",
    )
    obey(seen, trained_shop)
    assert found("keys").state == "ok"
    assert secret not in examine.findings_text(examine.examine())


@pytest.mark.parametrize("content", ["", "{}", '{"keys": 1}', b"\xff"])
def test_a_key_file_that_cannot_be_read_goes_as_told(home, content):
    (home / key_file.FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    (home / key_file.FILE).chmod(0o600)
    seen = found("keys")
    assert (seen.state, seen.observed) == ("failed", "the key file cannot be read")
    assert commands(seen)[0] == f"rm {home / key_file.FILE}"


def test_keys_of_the_environment_are_counted_and_never_shown(monkeypatch):
    monkeypatch.setenv("LIFECYCLE_API_KEYS", "planted-one, planted-two")
    assert (found("keys").state, found("keys").observed) == ("ok", "2 from the environment")
    assert "planted" not in examine.findings_text(examine.examine())


def test_a_check_that_breaks_hides_no_other():
    def broken():
        raise ZeroDivisionError("a customer's value")

    def unreadable():
        raise PermissionError(13, "Permission denied")

    assert run_check("one", broken)[0].observed == "internal error: ZeroDivisionError"
    assert run_check("two", unreadable)[0].observed == "could not be read: Permission denied"
    assert all(
        f.state == "failed" and f.fix
        for check in (broken, unreadable)
        for f in run_check("x", check)
    )


@pytest.mark.parametrize(
    ("state", "fix"), [("ok", "do something"), ("failed", ""), ("warning", ""), ("fine", "")]
)
def test_a_finding_has_a_fix_exactly_where_it_is_not_ok(state, fix):
    with pytest.raises(ValueError, match="has a fix unless it is ok"):
        Finding("x", state, "found", fix)


def test_the_text_is_aligned_and_tells_the_fix_beneath():
    seen = [Finding("one", "ok", "well"), Finding("a longer name", "failed", "gone", "bring it")]
    lines = examine.findings_text(seen).splitlines()
    assert lines[0].index("well") == lines[1].index("gone") == lines[2].index("do: bring it")
    assert lines[-1] == "  1 ok, 0 warnings, 1 failed"
    assert examine.worst_state(seen) == "failed"
    assert examine.worst_state([]) == "ok"


def test_it_imports_nothing_that_scoring_does_not_need():
    code = (
        "import sys\nfrom serving.doctor.examine import examine\nexamine()\nprint([m for m in"
        " ('mlflow', 'optuna', 'sklearn', 'bentoml', 'training', 'matplotlib') if m in"
        " sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
