"""A folder of parts: files of one kind with the same table, such as one a month."""

from __future__ import annotations

from pathlib import Path

from features.tables.reading.reading import (
    BadRows,
    FileReading,
    FileSql,
    Unreadable,
)

MOST_PARTS = 5_000
_NO_PARTS = ("_SUCCESS", "Thumbs.db", "desktop.ini")


def list_parts(path: Path) -> list[Path]:
    """The files of a folder by name, without hidden ones. Raises Unreadable."""
    entries = sorted(path.iterdir(), key=lambda each: each.name)
    visible = [each for each in entries if each.name[0] not in "._~" and each.name not in _NO_PARTS]
    parts = [each for each in visible if not each.is_dir()]
    inner = [each.name for each in visible if each.is_dir()]
    if inner or not parts:
        raise Unreadable(
            got=f"a folder with the folder '{inner[0]}' in it"
            if inner
            else "a folder without files",
            rule="A folder under [files] holds the parts of one table, and no further folders.",
            fix=f'Name the inner folder, such as "{path.name}/{inner[0]}/".'
            if inner
            else "Put the files there, or correct the path.",
        )
    if len(parts) > MOST_PARTS:
        raise Unreadable(
            got=f"a folder of {len(parts):,} files",
            rule=f"A folder has at most {MOST_PARTS:,} parts.",
            fix="Unite small files into larger ones, such as one a month.",
        )
    return parts


def unite(parts: list[tuple[Path, FileReading]]) -> FileReading:
    """The rows of all parts, columns united by name; rows that are in two parts stay twice."""
    kinds: dict[str, str] = {}
    for path, reading in parts:
        kinds.setdefault(reading.kind, path.name)
    if len(kinds) > 1:
        shown = ", ".join(f"'{name}' ({kind})" for kind, name in list(kinds.items())[:3])
        raise Unreadable(
            got=f"a folder with files of {len(kinds)} kinds: {shown}",
            rule="The parts of one table have one format.",
            fix="Put other files into another folder, or name each file under [files].",
        )
    _refuse_other_tables(parts)
    bad_rows = BadRows()
    notes: list[str] = []
    for path, reading in parts:
        bad_rows.extend(reading.bad_rows)
        notes += [f"{path.name}: {note}" for note in reading.notes]
    descriptions = list(dict.fromkeys(reading.description for _, reading in parts))
    shown = descriptions[0] if len(descriptions) == 1 else f"{descriptions[0]} and other"
    readings = [reading.sql for _, reading in parts]
    return FileReading(
        FileSql(
            _union([each.plain for each in readings]),
            _union([each.numbered for each in readings]),
            tuple(path for each in readings for path in each.paths),
        ),
        "folder",
        f"a folder of {len(parts):,} files, {shown}",
        tuple(dict.fromkeys(name for _, reading in parts for name in reading.columns)),
        sum(reading.rows for _, reading in parts),
        notes,
        bad_rows,
    )


def _refuse_other_tables(parts: list[tuple[Path, FileReading]]) -> None:
    """A part with other columns than the first one is another table."""
    first, reading = parts[0]
    names = {name.lower() for name in reading.columns}
    for path, other in parts[1:]:
        columns = {name.lower() for name in other.columns}
        if 2 * len(names & columns) < min(len(names), len(columns)):
            raise Unreadable(
                got=f"a folder of different tables: '{path.name}' has {len(names & columns)} of "
                f"the {len(names)} columns of '{first.name}'",
                rule="The parts of one table have the same columns, or most of them.",
                fix="Put each table into a folder of its own, or name each file under [files].",
            )


def _union(selects: list[str]) -> str:
    return " UNION ALL BY NAME ".join(f"({select})" for select in selects)
