"""The one reader: what a path under [files] names, as SQL over columns of text."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq

from features.tables.parsing import literal
from features.tables.reading import archives, folders, json_rows, kinds, locate, spreadsheets
from features.tables.reading.delimited import read_delimited
from features.tables.reading.encodings import UTF_8
from features.tables.reading.reading import FileReading, Unreadable, sql_of_source
from features.tables.reading.temporary import TemporaryFolder

MOST_NESTED = 3  # a zip in a zip in a gz


def exists(path: Path) -> bool:
    """Whether there is a file, a folder or a link, with or without a name after `#`.

    An address in the web counts too: `read_path` says what to do instead.
    """
    return locate.is_address(path) or os.path.lexists(locate.split_member(path)[0])


def read_path(path: Path, folder: TemporaryFolder) -> FileReading:
    """Read what the path names. Converted files are written to `folder`. Raises Unreadable."""
    file, member = locate.split_member(path)
    locate.require_openable(file)
    if file.is_dir():
        parts = folders.list_parts(file)
        return folders.unite([(part, _read_part(part, folder)) for part in parts])
    return _read_file(file, member, path.name, folder, 0)


def tables_of(path: Path) -> list[Path]:
    """The path itself, or the path of each sheet or member of it that may be a table.

    For `init`, which takes every table of a file. Raises Unreadable.
    """
    file, member = locate.split_member(path)
    locate.require_openable(file)
    if member is not None or file.is_dir():
        return [path]
    kind = kinds.recognise(file)
    if kind.name in kinds.SPREADSHEETS:
        names = spreadsheets.list_sheets(file)
    elif kind.name == "zip":
        names = archives.list_members(file)
    else:
        names = []
    return [Path(f"{path}#{name}") for name in names] if len(names) > 1 else [path]


def _read_part(path: Path, folder: TemporaryFolder) -> FileReading:
    try:
        locate.require_openable(path)
        return _read_file(path, None, path.name, folder, 0)
    except Unreadable as error:
        raise Unreadable(
            f"in its file '{path.name}': {error.got}", error.rule, error.fix
        ) from error


def _read_file(
    path: Path, member: str | None, file: str, folder: TemporaryFolder, depth: int
) -> FileReading:
    """file: the name for people, which stays that of the outer file for an unpacked one."""
    kind = kinds.recognise(path)
    if member is not None and kind.name not in (*kinds.SPREADSHEETS, "zip"):
        raise Unreadable(
            got=f"'#{member}' after {kind.words}",
            rule="Only a workbook has sheets and only a zip archive has files that # can name.",
            fix="Leave out # and the text after it.",
        )
    if kind.name in ("zip", "gz"):
        reading = _unpacked(path, kind.name, member, file, folder, depth)
    elif kind.name in kinds.SPREADSHEETS:
        reading = spreadsheets.read_sheet(path, member, file, folder, kind.words)
    elif kind.name == "parquet":
        reading = _parquet(path, file, folder)
    elif kind.name == "text":
        reading = read_delimited(path, file, kind.encoding or UTF_8, folder)
    else:
        reading = json_rows.read_json(path, kind.name, file, kind.encoding or UTF_8, folder)
    if depth == 0 and (note := kinds.ending_note(path, kind)):
        reading.notes.insert(0, note)
    return reading


def _unpacked(
    path: Path, kind: str, member: str | None, file: str, folder: TemporaryFolder, depth: int
) -> FileReading:
    if depth >= MOST_NESTED:
        raise Unreadable(
            got="an archive in an archive in an archive",
            rule=f"Archives are nested at most {MOST_NESTED} deep.",
            fix="Unpack it, and name the file.",
        )
    if kind == "zip":
        # `orders.zip#book.xlsx#Sheet` names a sheet of a member.
        name, _, inner = (member or "").partition("#")
        target, unpacked = archives.unpack_zip(path, name or None, folder)
    else:
        (target, unpacked), inner = archives.unpack_gzip(path, folder), ""
    reading = _read_file(target, inner or None, file, folder, depth + 1)
    reading.description += f" ('{unpacked}' in {'a zip' if kind == 'zip' else 'a gzip'} archive)"
    return reading


def _parquet(path: Path, file: str, folder: TemporaryFolder) -> FileReading:
    try:
        metadata = pq.read_metadata(path)
    except (OSError, ValueError) as error:
        raise Unreadable(
            got="a damaged Parquet file",
            rule="A Parquet file is complete.",
            fix="Write or download it again.",
        ) from error
    plain = folder.alias(path)
    source = f"read_parquet({literal(str(plain))}, hive_partitioning = false)"
    return FileReading(
        sql_of_source(source, file=file, first_row=1, paths=[plain]),
        "parquet",
        "Parquet",
        tuple(metadata.schema.to_arrow_schema().names),
        metadata.num_rows,
    )
