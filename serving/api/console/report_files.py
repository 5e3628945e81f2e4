"""The latest report: its page, and the tables and lists beside it, by exact names.

It is that of the latest run, or, where that has none (`lifecycle score` draws no page), of the
newest run that has one; the page says of which day it is.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from features.core.errors import NotFound
from serving.api.lookup import Lookup
from serving.api.page_frame import content_policy
from serving.api.page_paths import REPORT, REPORT_FOLDER

FOLDER = "report"
PAGE = REPORT.removeprefix(REPORT_FOLDER)
# No dot but the one before the ending, so that no name leads out of the folder.
_FILE = re.compile(
    r"report_files/(?:tables/[a-z0-9_]+\.(?:csv|parquet)|lists/[a-z0-9_]+\.csv)", re.ASCII
)
TYPES = {".csv": "text/csv; charset=utf-8", ".parquet": "application/vnd.apache.parquet"}
_STYLE = re.compile(rb"<style>(.*?)</style>", re.DOTALL)


@dataclass(frozen=True)
class ReportFile:
    """A file of the report and its media type."""

    path: Path
    kind: str


def report_page(run: Lookup) -> tuple[bytes, str]:
    """The page as it was written, and the content policy that allows exactly its style sheet.

    NotFound where no run has a report.
    """
    path = _existing(run, PAGE)
    stat = path.stat()
    return path.read_bytes(), _policy(path, stat.st_mtime_ns, stat.st_size)


def report_file(run: Lookup, name: str) -> ReportFile:
    """A table or a list of the report, such as `report_files/tables/stages.csv`; or NotFound."""
    if _FILE.fullmatch(name) is None:
        raise _not_found()
    path = _existing(run, name)
    return ReportFile(path, TYPES[path.suffix])


@functools.lru_cache(maxsize=4)
def _policy(path: Path, _mtime_ns: int, _size: int) -> str:
    """The policy of a page; it is hashed again once the file has another time or size."""
    style = _STYLE.search(path.read_bytes())
    return content_policy(None if style is None else style[1])


def report_folder(run: Lookup) -> Path | None:
    """The folder of the latest report; None where no run has one."""
    own = run.folder / FOLDER
    if (own / PAGE).is_file():
        return own
    # scores/as_of=<date>/run=<id>/report
    pages = run.folder.parent.parent.glob(f"as_of=*/run=*/{FOLDER}/{PAGE}")
    dated = [(path.parts[-4], path.stat().st_mtime_ns, path.parent) for path in pages]
    return max(dated)[2] if dated else None


def _existing(run: Lookup, name: str) -> Path:
    """The file, if it is one of the report's own folder and no link to another place."""
    folder = report_folder(run)
    if folder is None:
        raise _not_found()
    path = folder / name
    try:
        inside = path.resolve(strict=True) == folder.resolve(strict=True) / name
    except OSError:
        inside = False
    if not (inside and path.is_file()):
        raise _not_found()
    return path


def _not_found() -> NotFound:
    return NotFound(
        where="report",
        got="no such file",
        rule="A report has a page, tables and lists.",
        fix="Open the page, and follow its links; `lifecycle run` writes them.",
    )
