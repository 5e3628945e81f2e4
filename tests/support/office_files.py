"""Small workbooks written by hand: xlsx, ods and xls, with the cells that exports have."""

from __future__ import annotations

import datetime as dt
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

Rows = Sequence[Sequence[Any]]
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_STYLES = (
    f'<styleSheet xmlns="{_MAIN}"><numFmts count="2">'
    '<numFmt numFmtId="164" formatCode="yyyy-mm-dd"/>'
    '<numFmt numFmtId="165" formatCode="yyyy-mm-dd hh:mm:ss"/></numFmts><cellXfs count="3">'
    '<xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>'
)
_EPOCH = dt.datetime(1899, 12, 30)


class SheetError(str):
    """A cell that shows an error, such as #N/A."""


def write_xlsx(path: Path, sheets: Mapping[str, Rows], *, merged: str = "") -> Path:
    """A workbook; None leaves a cell out. merged: a range such as A1:B1 of the first sheet."""
    names = list(sheets)
    relation = f"{_OFFICE}/worksheet"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="a" '
            f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(
            f'<sheet name={quoteattr(name)} sheetId="{n}" r:id="r{n}"/>'
            for n, name in enumerate(names, 1)
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets></workbook>',
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{relation}" Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, len(names) + 1)
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships">{links}<Relationship Id="s" '
            f'Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
        )
        archive.writestr("xl/styles.xml", _STYLES)
        for n, name in enumerate(names, 1):
            tail = (
                f'<mergeCells><mergeCell ref="{merged}"/></mergeCells>' if merged and n == 1 else ""
            )
            rows = "".join(_xlsx_row(number, row) for number, row in enumerate(sheets[name], 1))
            archive.writestr(
                f"xl/worksheets/sheet{n}.xml",
                f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData>{tail}</worksheet>',
            )
    return path


def _xlsx_row(number: int, row: Sequence[Any]) -> str:
    cells = (
        _xlsx_cell(f"{chr(65 + place)}{number}", cell)
        for place, cell in enumerate(row)
        if cell is not None
    )
    return f'<row r="{number}">{"".join(cells)}</row>'


def _xlsx_cell(place: str, cell: Any) -> str:
    match cell:
        case bool():
            return f'<c r="{place}" t="b"><v>{int(cell)}</v></c>'
        case SheetError():
            return f'<c r="{place}" t="e"><v>{cell}</v></c>'
        case dt.datetime():
            return f'<c r="{place}" s="2"><v>{(cell - _EPOCH) / dt.timedelta(days=1)!r}</v></c>'
        case dt.date():
            days = (dt.datetime.combine(cell, dt.time()) - _EPOCH).days
            return f'<c r="{place}" s="1"><v>{days}</v></c>'
        case int() | float():
            return f'<c r="{place}"><v>{cell}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>'


def write_ods(path: Path, sheets: Mapping[str, Rows]) -> Path:
    """An OpenDocument spreadsheet."""
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    tables = "".join(
        f"<table:table table:name={quoteattr(name)}>"
        + "".join(
            f"<table:table-row>{''.join(_ods_cell(cell) for cell in row)}</table:table-row>"
            for row in rows
        )
        + "</table:table>"
        for name, rows in sheets.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{office}office:1.0" '
            f'xmlns:table="{office}table:1.0" xmlns:text="{office}text:1.0"><office:body>'
            f"<office:spreadsheet>{tables}</office:spreadsheet></office:body>"
            "</office:document-content>",
        )
        archive.writestr(
            "META-INF/manifest.xml",
            f'<manifest:manifest xmlns:manifest="{office}manifest:1.0"/>',
        )
    return path


def _ods_cell(cell: Any) -> str:
    if cell is None:
        return "<table:table-cell/>"
    kind, value = "string", ""
    if isinstance(cell, dt.date):
        kind, value = "date", f' office:date-value="{cell.isoformat()}"'
    elif isinstance(cell, int | float):
        kind, value = "float", f' office:value="{cell}"'
    text = f"<text:p>{escape(str(cell))}</text:p>"
    return f'<table:table-cell office:value-type="{kind}"{value}>{text}</table:table-cell>'


def write_xls(path: Path, name: str, rows: Rows) -> Path:
    """A workbook of Excel 97: texts and numbers in one sheet."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def begin(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 1996, 0, 6))

    def text(value: str) -> bytes:
        return struct.pack("<HB", len(value), 1) + value.encode("utf-16-le")

    cells = b""
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            place = struct.pack("<HHH", row, column, 0)
            if isinstance(value, int | float):
                cells += record(0x0203, place + struct.pack("<d", value))
            elif value is not None:
                cells += record(0x0204, place + text(str(value)))
    sheet = begin(0x0010) + cells + record(0x000A, b"")
    label = struct.pack("<BB", len(name), 1) + name.encode("utf-16-le")
    globals_size = len(begin(0x0005)) + 4 + 6 + len(label) + 4
    bound = record(0x0085, struct.pack("<IBB", globals_size, 0, 0) + label)
    stream = begin(0x0005) + bound + record(0x000A, b"") + sheet
    path.write_bytes(_compound_file("Workbook", stream))
    return path


def _compound_file(name: str, stream: bytes) -> bytes:
    """The container of old Office files with one stream."""
    size = max(4096, -(-len(stream) // 512) * 512)
    sectors = size // 512
    fat = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, sectors + 2), 0xFFFFFFFE]
    fat += [0xFFFFFFFF] * (128 - len(fat))
    assert len(fat) == 128

    def entry(title: str, kind: int, child: int, start: int, length: int) -> bytes:
        encoded = (title + "\0").encode("utf-16-le")
        return (
            encoded.ljust(64, b"\0")
            + struct.pack("<HBBiii", len(encoded), kind, 1, -1, -1, child)
            + bytes(36)
            + struct.pack("<IQ", start, length)
        )

    directory = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0) + entry(name, 2, -1, 2, size) + bytes(256)
    header = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack(
            "<HHHHH6xIIIIIIIII",
            0x3E,
            3,
            0xFFFE,
            9,
            6,
            0,
            1,
            1,
            0,
            4096,
            0xFFFFFFFE,
            0,
            0xFFFFFFFE,
            0,
        )
        + struct.pack("<I", 0)
        + b"\xff" * 432
    )
    return header + struct.pack("<128I", *fat) + directory + stream.ljust(size, b"\0")
