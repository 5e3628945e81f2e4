"""The page as files: `report.html`, and beside it a folder with the tables and the lists."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq

from features.core.errors import BadSetting
from features.core.language import say
from features.core.staged_files import PRIVATE, staging_folder
from serving.batch.writers import out_errors, write_table, write_table_for_spreadsheets
from serving.report.lists import TABLE, write_lists
from serving.report.page import draw_page
from serving.report.source import Source
from serving.report.written_tables import WrittenTables

# The file by which the folder beside a page is known.
MARK = "written-by-lifecycle-report.txt"
MARK_TEXT = "This folder belongs to the page beside it, and is replaced as a whole.\n"


@dataclass(frozen=True)
class WrittenPage:
    """Where the page is, the folder beside it, and how many customers each list has."""

    path: Path
    folder: Path
    customers: Mapping[str, int]

    def report(self) -> dict[str, object]:
        """The same for JSON."""
        return {"page": str(self.path), "files": str(self.folder), "lists": dict(self.customers)}

    def text(self) -> str:
        """The same in lines."""
        return say(
            "→ {page}\n  tables and lists of customers: {folder}",
            page=self.path,
            folder=self.folder,
        )


def files_folder(path: Path) -> Path:
    """The folder beside a page: `report_files` for `report.html`."""
    return path.with_name(f"{path.stem}_files")


def write_page(source: Source, path: Path) -> WrittenPage:
    """Write the page, `tables/<table>.parquet` and `.csv`, and `lists/<list>.csv`.

    A link at `path` is followed. The folder is its owner's alone, as lists name customers, and so
    is the page where it does. BadSetting where something stands there that no page was; StoreFailed
    where the files cannot be written; then the old ones stay. Who is killed between the renames
    leaves no page, and never one beside the tables of another.
    """
    path = check_place(path)
    folder = files_folder(path)
    page = draw_page(source, files=quote(folder.name))
    with out_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(path.parent) as staged:
            files, new_page = staged / "files", staged / "page"
            files.mkdir(mode=0o700)
            (files / MARK).write_text(MARK_TEXT, encoding="utf-8")
            _write_tables(source.tables, files / "tables")
            (files / "lists").mkdir()
            customers, counts = files / "tables" / f"{TABLE}.parquet", {}
            if customers.is_file():
                counts = write_lists(customers, page.lists, files / "lists")
            new_page.write_text(page.html, encoding="utf-8")
            if source.facts.with_ids:
                new_page.chmod(PRIVATE)
            _put_both_in_place(new_page, path, files, folder)
    return WrittenPage(path, folder, counts)


def _put_both_in_place(new_page: Path, path: Path, files: Path, folder: Path) -> None:
    """The old page goes before the old folder does; after an error both are back."""
    old_page, old_folder = new_page.with_name("old page"), files.with_name("old files")
    try:
        _move_if_there(path, old_page)
        _move_if_there(folder, old_folder)
        os.replace(files, folder)
        os.replace(new_page, path)
    except BaseException:
        if old_folder.exists():
            _move_if_there(folder, files)
            os.replace(old_folder, folder)
        _move_if_there(old_page, path)
        raise


def _move_if_there(source: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.replace(source, target)


def check_place(path: Path) -> Path:
    """Where a page may be written: the path with links followed.

    BadSetting for what is no name of a file, for a folder, a device, and for a folder beside it
    that no page wrote: it would be replaced as a whole.
    """
    try:
        path.name.encode("utf-8")
        path = path.resolve()
    except (UnicodeEncodeError, OSError, RuntimeError, ValueError) as error:
        raise _refused("a name that no file can have", "--out is the name of a file.") from error
    if path.is_dir() or not path.name:
        raise _refused("a folder", "--out is the name of a file.")
    if path.exists() and not path.is_file():
        raise _refused("something that is no regular file", "--out is a file, or does not exist.")
    folder = files_folder(path)
    if path.exists() and not (folder / MARK).is_file():
        raise _refused("a file that no page wrote", "--out is a page of before, or nothing yet.")
    if os.path.lexists(folder) and not (folder / MARK).is_file():
        raise _refused(
            f"'{folder.name}' beside it, which no page wrote",
            "The folder beside the page is replaced as a whole, so it must be one of a page.",
        )
    return path


def _refused(got: str, rule: str) -> BadSetting:
    fix = "Give --out another name, such as --out report.html, or move what stands there."
    return BadSetting(where="--out", got=got, rule=rule, fix=fix)


def _write_tables(source: WrittenTables, folder: Path) -> None:
    folder.mkdir()
    for name, table in source.tables.items():
        path, csv = source.files.get(name), folder / f"{name}.csv"
        if path is None:
            write_table(table, folder / f"{name}.parquet")
            write_table_for_spreadsheets(table, csv)
            continue
        shutil.copyfile(path, folder / path.name)
        if path.with_suffix(".csv").is_file():
            shutil.copyfile(path.with_suffix(".csv"), csv)
        else:
            write_table_for_spreadsheets(pq.read_table(path), csv)
