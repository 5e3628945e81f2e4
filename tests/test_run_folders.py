"""A run folder that somebody damaged is refused by its reader and repaired by the next score."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from features.core import errors, progress
from features.core.instants import DAY_US
from serving.api import lookup
from serving.batch import run_folders

NESTED = b"[" * 100_000


@pytest.fixture
def status_lines():
    progress.set_quiet(False)
    yield
    progress.set_quiet(None)


def files_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def score(trained_shop, earlier_days=0):
    b = trained_shop
    as_of = b.run.as_of - earlier_days * DAY_US
    return run_folders.score_batch(b.history, b.settings, b.release, as_of=as_of)


def change_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def put_a_folder(path):
    path.unlink()
    path.mkdir()


def put_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def content(new):
    return lambda path: path.write_bytes(new)


def edit(**changes):
    return lambda path: path.write_text(json.dumps(json.loads(path.read_text()) | changes))


DAMAGE = {
    "a byte changed": ("scores.parquet", change_a_byte),
    "a byte of the history changed": ("history/transactions.parquet", change_a_byte),
    "a file missing": ("features.parquet", lambda path: path.unlink()),
    "a file of the history missing": ("history/transactions.parquet", lambda path: path.unlink()),
    "a file cut": ("population.parquet", cut),
    "a file empty": ("scores.parquet", content(b"")),
    "a folder for a file": ("scores.parquet", put_a_folder),
    "a pipe for a file": ("features.parquet", put_a_pipe),
    "a pipe for the manifest": ("manifest.json", put_a_pipe),
    "no manifest": ("manifest.json", lambda path: path.unlink()),
    "a manifest cut": ("manifest.json", cut),
    "a manifest nested deeply": ("manifest.json", content(NESTED)),
    "a manifest not UTF-8": ("manifest.json", content(b"\xff\xfe\x00")),
    "a manifest that is a list": ("manifest.json", content(b"[]")),
    "a manifest with null files": ("manifest.json", edit(files=None)),
    "a manifest without files": ("manifest.json", edit(files={})),
    "the manifest of another run": ("manifest.json", edit(run="0" * 16)),
    "a manifest of other rows": ("manifest.json", edit(rows=7)),
}


# Further ways of what others do: a file that differs, a manifest that is none.
REPEATED = {
    "a byte changed",
    "a file cut",
    "a file of the history missing",
    "a manifest cut",
    "a manifest not UTF-8",
    "a manifest with null files",
    "a pipe for the manifest",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow, pytest.mark.long] if kind in REPEATED else [])
        for kind in DAMAGE
    ],
)
def test_a_damaged_run_is_repaired_byte_for_byte(
    healthy_home, trained_shop, status_lines, capsys, kind
):
    name, damage = DAMAGE[kind]
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    before = files_of(folder)
    damage(folder / name)
    run = score(trained_shop)
    assert (run.folder, run.fresh) == (folder, True)
    assert files_of(folder) == before
    assert lookup.load_lookup(folder).run == run.id
    assert capsys.readouterr().err.count("is damaged; it is computed again and replaced") == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert not score(trained_shop).fresh


def test_a_file_that_is_not_of_the_run_stays_where_it_is(healthy_home, trained_shop):
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    (folder / "notes.txt").write_text("of the owner")
    assert not score(trained_shop).fresh
    assert (folder / "notes.txt").read_text() == "of the owner"


LATEST = {
    "empty": b"",
    "text": b"not JSON",
    "not UTF-8": b"\xff\xfe",
    "nested deeply": NESTED,
    "null": b"null",
    "a far as_of": b'{"as_of": 9e99, "folder": "as_of=x/run=y"}',
    "a removed run": b'{"as_of": 9000000000000000, "folder": "as_of=x/run=y"}',
    "another place": b'{"as_of": 9000000000000000, "folder": "/"}',
    "a place above": b'{"as_of": 9000000000000000, "folder": "../scores"}',
    "NUL": b'{"as_of": 9000000000000000, "folder": "\\u0000"}',
}


@pytest.mark.parametrize("kind", LATEST)
def test_a_latest_that_names_no_run_is_replaced(healthy_home, trained_shop, kind):
    pointer = healthy_home / "scores" / "LATEST"
    before = pointer.read_text()
    pointer.write_bytes(LATEST[kind])
    run = score(trained_shop)
    assert pointer.read_text() == before
    assert lookup.latest_run_folder() == run.folder


def test_a_latest_with_another_as_of_than_its_run_is_replaced(healthy_home, trained_shop):
    pointer = healthy_home / "scores" / "LATEST"
    before = pointer.read_text()
    pointer.write_text(json.dumps(json.loads(before) | {"as_of": 9_000_000_000_000_000}))
    score(trained_shop)
    assert pointer.read_text() == before


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), content(b"garbage")])
def test_a_lost_latest_never_goes_back(healthy_home, trained_shop, damage, status_lines, capsys):
    pointer, b = healthy_home / "scores" / "LATEST", trained_shop
    newest = b.run.as_of + DAY_US
    run_folders.score_batch(b.history, b.settings, b.release, as_of=newest)
    before = pointer.read_text()
    damage(pointer)
    older = score(b)
    assert older.as_of < newest
    assert pointer.read_text() == before
    assert "now it names the newest" in capsys.readouterr().err


def test_a_pipe_for_latest_is_replaced_and_a_folder_is_refused(healthy_home, trained_shop):
    pointer = healthy_home / "scores" / "LATEST"
    before = pointer.read_text()
    put_a_pipe(pointer)
    score(trained_shop)
    assert pointer.read_text() == before
    put_a_folder(pointer)
    with pytest.raises(errors.StoreFailed, match="Remove scores/LATEST"):
        score(trained_shop)


def test_a_file_at_the_place_of_a_days_runs_is_refused_with_what_to_do(healthy_home, trained_shop):
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    shutil.rmtree(folder.parent)
    folder.parent.write_text("")
    with pytest.raises(errors.StoreFailed, match=f"Remove scores/{folder.parent.name}"):
        score(trained_shop)


@pytest.mark.parametrize("kind", sorted(set(LATEST) - {"a removed run", "NUL"}))
def test_a_reader_refuses_a_latest_that_cannot_be_followed(healthy_home, kind):
    (healthy_home / "scores" / "LATEST").write_bytes(LATEST[kind])
    with pytest.raises(errors.ReleaseRefused, match="a pointer that cannot be read"):
        lookup.latest_run_folder()


@pytest.mark.parametrize(
    "manifest",
    [
        NESTED,
        b"\xff",
        b"[]",
        b"7",
        b"{}",
        b'{"files": null}',
        b'{"files": []}',
        b'{"files": {"scores.parquet": null}}',
        b'{"files": {"scores.parquet": {"sha256": null}}}',
    ],
    ids=lambda text: text[:60].decode("latin-1"),
)
def test_a_reader_refuses_any_manifest_that_is_none(healthy_home, trained_shop, manifest):
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    (folder / "manifest.json").write_bytes(manifest)
    with pytest.raises(errors.ReleaseRefused, match="lifecycle score"):
        lookup.load_lookup(folder)


@pytest.mark.parametrize("missing", ["run", "as_of", "release"])
def test_a_reader_refuses_a_manifest_that_does_not_say_what_the_run_is(
    healthy_home, trained_shop, missing
):
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    edit(**{missing: None})(folder / "manifest.json")
    with pytest.raises(errors.ReleaseRefused, match="not one of a run"):
        lookup.load_lookup(folder)


def test_a_reader_opens_only_files_of_the_run_whatever_the_manifest_names(
    healthy_home, trained_shop, tmp_path
):
    folder = healthy_home / trained_shop.run.folder.relative_to(trained_shop.home)
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for ever
    path = folder / "manifest.json"
    files = json.loads(path.read_text())["files"]
    names = (str(tmp_path / "pipe"), "../../../../pipe", "/dev/stdin")
    outside = dict.fromkeys(names, files["scores.parquet"])
    edit(files=files | outside)(path)
    assert lookup.load_lookup(folder).run == trained_shop.run.id
    edit(files=outside)(path)
    with pytest.raises(errors.ReleaseRefused, match="no readable manifest"):
        lookup.load_lookup(folder)
