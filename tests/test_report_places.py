"""Where a page may be written: nothing but a page's own is replaced, and rights are kept."""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from features.core.errors import BadSetting, StoreFailed
from serving.report.source import Facts, Source
from serving.report.write import check_place, files_folder, write_page
from serving.report.written_tables import WrittenTables
from tests.support.command_line import run_here

FACTS = Facts("A shop", "2025-01-01", 60, False, 365, 60, "lifecycle report")
EMPTY = Source(WrittenTables({}), FACTS)
TABLE = pa.table({"day": ["2024-12-31"], "customers": [20]})
ONE_TABLE = WrittenTables({"growth": TABLE})


def test_a_folder_that_no_page_wrote_is_never_replaced(tmp_path):
    own = tmp_path / "report_files"
    own.mkdir()
    (own / "thesis.txt").write_text("three years of work")
    with pytest.raises(BadSetting, match="no page wrote"):
        write_page(EMPTY, tmp_path / "report.html")
    assert (own / "thesis.txt").read_text() == "three years of work"
    assert not (tmp_path / "report.html").exists()


def test_a_file_or_a_dead_link_in_the_place_of_the_folder_stays(tmp_path):
    (tmp_path / "a_files").write_text("mine")
    (tmp_path / "b_files").symlink_to(tmp_path / "nowhere")
    for name in ("a", "b"):
        with pytest.raises(BadSetting, match="no page wrote"):
            write_page(EMPTY, tmp_path / f"{name}.html")
    assert (tmp_path / "a_files").read_text() == "mine"
    assert (tmp_path / "b_files").is_symlink()


def test_a_file_that_no_page_wrote_is_not_replaced(tmp_path):
    path = tmp_path / "pages" / "report.html"
    path.parent.mkdir()
    path.write_text("a page of my own")
    with pytest.raises(BadSetting, match="no page wrote"):
        write_page(EMPTY, path)
    assert path.read_text() == "a page of my own"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "/dev/null", "/dev/full", "a\0b", "\udcff.html", "x/\udcff.html"]
)
def test_what_is_no_name_of_a_file_is_refused(name):
    with pytest.raises(BadSetting, match="--out"):
        check_place(Path(name))


def test_the_command_refuses_a_place_before_it_computes(shop, tmp_path):
    folder, _, _ = shop
    for out in ("", str(tmp_path), "/dev/null"):
        done = run_here("report", "-c", folder / "lifecycle.toml", "--out", out)
        assert done.returncode == 2
        assert "--out" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("*.html")) == []


def test_a_link_to_the_page_is_followed(tmp_path):
    real, link = tmp_path / "real" / "page.html", tmp_path / "report.html"
    real.parent.mkdir()
    link.symlink_to(real)
    written = write_page(EMPTY, link)
    assert link.is_symlink()
    assert written.path == real.resolve()
    assert written.folder == files_folder(real.resolve())
    assert not files_folder(link).exists()


@pytest.mark.parametrize("with_ids", [False, True])
def test_what_names_customers_is_its_owners_alone(tmp_path, with_ids):
    facts = dataclasses.replace(FACTS, with_ids=with_ids)
    written = write_page(Source(WrittenTables({}), facts), tmp_path / "report.html")
    plain = tmp_path / "plain"
    plain.touch()
    expected = 0o600 if with_ids else stat.S_IMODE(plain.stat().st_mode)
    assert stat.S_IMODE(written.path.stat().st_mode) == expected
    assert stat.S_IMODE(written.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("renames", [1, 2, 3, 4])
def test_page_and_folder_are_replaced_together_or_not_at_all(tmp_path, monkeypatch, renames):
    pages = tmp_path / "pages"
    path = pages / "report.html"
    write_page(Source(ONE_TABLE, FACTS), path)
    before = _all_files(pages)
    replace, calls = os.replace, iter(range(1, 100))

    def fail_at_one(source, target):
        if next(calls) == renames:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    facts = dataclasses.replace(FACTS, business="Another shop")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_one)
        with pytest.raises(StoreFailed, match="No space left"):
            write_page(Source(WrittenTables({}), facts), path)
    assert _all_files(pages) == before


def _all_files(folder: Path) -> dict[Path, bytes]:
    return {each: each.read_bytes() for each in folder.rglob("*") if each.is_file()}
