"""What a file is, by its content first and by its ending only where the content leaves it open."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from features.tables.reading.encodings import Encoding, detect_encoding
from features.tables.reading.reading import Unreadable

HEAD_BYTES = 64 * 1024
# What each kind is called, and the endings that people give it.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("text with separators", (".csv", ".tsv", ".tab", ".txt", ".dat", ".psv")),
    "json": ("JSON", (".json",)),
    "jsonl": ("JSON lines", (".jsonl", ".ndjson", ".json")),
    "parquet": ("Parquet", (".parquet", ".pq", ".parq")),
    "gz": ("a gzip archive", (".gz", ".gzip")),
    "zip": ("a zip archive", (".zip",)),
    "xlsx": ("an Excel workbook", (".xlsx", ".xlsm", ".xlsb")),
    "xls": ("an Excel workbook (97-2003)", (".xls",)),
    "ods": ("an OpenDocument spreadsheet", (".ods",)),
}
SPREADSHEETS = ("xlsx", "xls", "ods")
READABLE = (
    "A file is CSV, TSV or other text with separators, JSON, JSON lines, Parquet, an Excel "
    "workbook (xlsx, xls), an OpenDocument spreadsheet (ods), or one of these in gz or zip."
)
_TO_CSV = "Export the table as CSV or xlsx from the program that wrote it, and name that file."
_UNPACK = "Unpack it, and name the unpacked file."
# First bytes of what people name by mistake.
_FOREIGN = (
    (b"%PDF", "a PDF", _TO_CSV),
    (b"{\\rtf", "an RTF document", _TO_CSV),
    (b"SQLite format 3\x00", "an SQLite database", _TO_CSV),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (b"\x89PNG", "a picture", _TO_CSV),
    (b"\xff\xd8\xff", "a picture", _TO_CSV),
    (b"GIF8", "a picture", _TO_CSV),
    (b"Obj\x01", "an Avro file", "Convert it to Parquet or CSV."),
    (b"ORC", "an ORC file", "Convert it to Parquet or CSV."),
    (b"ARROW1", "an Arrow file", "Convert it to Parquet or CSV."),
)
_MARKUP = re.compile(r"\s*<(!doctype|html|head|body|table|\?xml|svg|!--)", re.IGNORECASE)


@dataclass(frozen=True)
class Kind:
    """name: a key of KINDS. encoding: of text and JSON."""

    name: str
    encoding: Encoding | None = None

    @property
    def words(self) -> str:
        return KINDS[self.name][0]


def recognise(path: Path) -> Kind:
    """The kind of the file. Raises Unreadable for what holds no table, such as a PDF."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip(b"\x00 \t\r\n\xef\xbb\xbf"):
        raise Unreadable(
            got="an empty file" if not head else "a file with nothing but spaces",
            rule="A file has a header and rows.",
            fix="Export it again, or leave it out.",
        )
    for first, words, fix in _FOREIGN:
        # "ORC" and the like may also begin a header.
        if head.startswith(first) and (len(first) > 4 or not _is_plain(head) or first == b"%PDF"):
            raise Unreadable(got=f"{words}{_despite(path)}", rule=READABLE, fix=fix)
    if head.startswith(b"PAR1"):
        return Kind("parquet")
    if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
        return _zipped(path)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _compound(path)
    if head.startswith(b"\x1f\x8b"):
        return Kind("gz")
    return _text(path, head)


def ending_note(path: Path, kind: Kind) -> str | None:
    """A sentence where the ending says something else than the content."""
    ending = path.suffix.lower()
    named = [name for name, (_, endings) in KINDS.items() if ending in endings]
    if not named or kind.name in named:
        return None
    return f"its ending is {ending}, its content is {kind.words}: it is read as {kind.words}"


def _despite(path: Path) -> str:
    ending = path.suffix.lower()
    is_known = any(ending in endings for _, endings in KINDS.values())
    return f", though its name ends in {ending}" if is_known else ""


def _is_plain(head: bytes) -> bool:
    return b"\x00" not in head and head[:1000].isascii()


def _zipped(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            is_document = "mimetype" in names and archive.getinfo("mimetype").file_size < 200
            mime = archive.read("mimetype") if is_document else b""
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise Unreadable(
            got="a damaged zip archive or workbook",
            rule="An archive or a workbook is complete.",
            fix="Download or export it again.",
        ) from error
    if any(name.startswith("xl/workbook.") for name in names):
        return Kind("xlsx")
    if mime.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
        return Kind("ods")
    documents = {"word/": "a Word document", "ppt/": "a presentation", "Index/": "a Numbers file"}
    matches = [
        words for folder, words in documents.items() if any(n.startswith(folder) for n in names)
    ]
    if mime or (matches and path.suffix.lower() != ".zip"):
        words = matches[0] if matches else "an OpenDocument file that is no spreadsheet"
        raise Unreadable(got=f"{words}{_despite(path)}", rule=READABLE, fix=_TO_CSV)
    return Kind("zip")


def _compound(path: Path) -> Kind:
    """An old Excel workbook; a new one with a password is stored in the same container."""
    names = {
        "EncryptedPackage": "a workbook with a password",
        "WordDocument": "a Word document",
        "PowerPoint Document": "a presentation",
        "__substg": "an e-mail",
    }
    with path.open("rb") as file:
        content = file.read(32 * 2**20)
    for name, words in names.items():
        if name.encode("utf-16-le") in content:
            password = name == "EncryptedPackage"
            raise Unreadable(
                got=f"{words}{'' if password else _despite(path)}",
                rule="A workbook has no password." if password else READABLE,
                fix="Open it, remove the password (File, Info, Protect Workbook, Encrypt with "
                "Password, leave it empty), save it."
                if password
                else _TO_CSV,
            )
    return Kind("xls")


def _text(path: Path, head: bytes) -> Kind:
    encoding = detect_encoding(head)
    if encoding is None:
        raise Unreadable(
            got=f"a file that is no text{_despite(path)}",
            rule=READABLE,
            fix=_TO_CSV,
        )
    text = head.decode(encoding.codec, errors="replace").lstrip("\ufeff")
    if _MARKUP.match(text):
        raise Unreadable(
            got=f"a web page or XML{_despite(path)}",
            rule=READABLE,
            fix="Open it in a spreadsheet program and save it as xlsx or CSV, or export it again "
            "as CSV (a page that asks to log in may have been saved instead of the file).",
        )
    start = text.lstrip()
    if re.match(r'\{\s*("|\})', start) or re.match(r"\[\s*(\{|\])", start):
        named_lines = path.suffix.lower() in (".jsonl", ".ndjson")
        return Kind("jsonl" if named_lines else _json_kind(start), encoding)
    return Kind("text", encoding)


def _json_kind(start: str) -> str:
    """JSON lines if a second object follows the first one."""
    if start.startswith("["):
        return "json"
    line, _, rest = start.partition("\n")
    if not (line.rstrip().endswith("}") and _closes(line)):
        return "json"
    # One object alone is a row, unless it holds the rows.
    return "jsonl" if rest.strip() or not re.search(r":\s*\[\s*\{", line) else "json"


def _closes(line: str) -> bool:
    """Whether every bracket that the line opens is closed in it (text in quotes aside)."""
    bare = re.sub(r'"(\\.|[^"\\])*"', "", line)
    return bare.count("{") == bare.count("}") and bare.count("[") == bare.count("]")
