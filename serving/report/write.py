"""The page as files: `report.html`, and beside it a folder with the tables and the lists."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from features.core.language import say
from features.core.staged_files import replace_folder, staged_file, staging_folder
from serving.batch.writers import out_errors, write_table, write_table_for_spreadsheets
from serving.report.lists import TABLE, write_lists
from serving.report.page import draw_page
from serving.report.source import Source
from serving.report.written_tables import WrittenTables


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

    The files are there before the page that names them. StoreFailed where they cannot be written;
    then the old ones stay.
    """
    folder = files_folder(path)
    page = draw_page(source, files=quote(folder.name))
    with out_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with staging_folder(path.parent) as staged:
            _write_tables(source.tables, staged / "tables")
            (staged / "lists").mkdir()
            customers, counts = staged / "tables" / f"{TABLE}.parquet", {}
            if customers.is_file():
                counts = write_lists(customers, page.lists, staged / "lists")
            replace_folder(staged, folder)
        with staged_file(path) as staged_page:
            staged_page.write_text(page.html, encoding="utf-8")
    return WrittenPage(path, folder, counts)


def _write_tables(source: WrittenTables, folder: Path) -> None:
    folder.mkdir()
    for name, table in source.tables.items():
        path = source.files.get(name)
        if path is None:
            write_table(table, folder / f"{name}.parquet")
            write_table_for_spreadsheets(table, folder / f"{name}.csv")
            continue
        for file in (path, path.with_suffix(".csv")):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
