"""Cells of an xlsx sheet that hold an error (#N/A, #DIV/0!): its reader leaves them empty.

They are looked up in the sheet's XML, a piece at a time: no error looks like an empty cell.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

PIECE = 2**20
_OFFICE = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_CELL = re.compile(
    rb'<c\b(?=[^>]*\bt="e")[^>]*\br="([A-Z]{1,3})(\d{1,7})"[^>]*>(?:(?!</c>).)*?<v>([^<]{1,20})</v>',
    re.S,
)


def error_cells(path: Path, sheet: str) -> dict[tuple[int, int], str]:
    """The text of each error by (row from 1 on, column from 0 on); {} for other formats."""
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        member = _member_of(archive, sheet)
        if member is None:
            return {}
        errors: dict[tuple[int, int], str] = {}
        with archive.open(member) as file:
            rest = b""
            while piece := file.read(PIECE):
                piece = rest + piece
                cut = piece.rfind(b"<row")
                cut = cut if cut > 0 else len(piece)
                errors |= _errors_in(piece[:cut])
                rest = piece[cut:]
            return errors | _errors_in(rest)


def _errors_in(xml: bytes) -> dict[tuple[int, int], str]:
    if b't="e"' not in xml:
        return {}
    return {
        (int(row), _column(letters)): text.decode("utf-8", errors="replace")
        for letters, row, text in _CELL.findall(xml)
    }


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _member_of(archive: zipfile.ZipFile, sheet: str) -> str | None:
    """The path of the sheet's XML in the workbook; None where it is not stored so (ods, xlsb)."""
    try:
        workbook = ElementTree.fromstring(archive.read("xl/workbook.xml"))
        relations = ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    except (KeyError, ElementTree.ParseError):
        return None
    ids = {
        each.get("name"): each.get(_OFFICE)
        for each in workbook.iter()
        if each.tag.endswith("}sheet")
    }
    targets = {each.get("Id"): each.get("Target", "") for each in relations}
    target = targets.get(ids.get(sheet))
    if not target:
        return None
    member = target.lstrip("/") if target.startswith("/") else str(PurePosixPath("xl") / target)
    return member if member in archive.namelist() else None
