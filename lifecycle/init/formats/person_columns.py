"""The columns of a file that may say who a row is about."""

from __future__ import annotations

from lifecycle.init.formats.file_columns import FileColumns
from lifecycle.init.formats.format import PersonColumn
from lifecycle.init.words import CUSTOMER

_OWN_IDS = "|".join(name for name in CUSTOMER.split() if name not in ("id", "customer"))


def people_columns(columns: FileColumns, *named: tuple[str, str]) -> tuple[PersonColumn, ...]:
    """The columns (names, what) that the file has; what is "e-mail" is read in lower case."""
    return tuple(
        PersonColumn(
            columns.name(names),
            columns.lower(names) if what == "e-mail" else columns.identifier(names),
            what,
        )
        for names, what in named
        if columns.find(names)
    )


def with_own_ids(
    columns: FileColumns, people: tuple[PersonColumn, ...]
) -> tuple[PersonColumn, ...]:
    """The people, and a further column with the business's own id, such as customer_id.

    Vendors let a business add columns; one with its own id may be what all its files share.
    """
    column = columns.find(_OWN_IDS)
    if column is None or column in {person.column for person in people}:
        return people
    return (*people, PersonColumn(column, columns.identifier(column), "own id"))
