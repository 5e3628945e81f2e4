"""`lifecycle init`: from your files to a commented `lifecycle.toml`, each guess with its reason.

    words        the names of columns, kinds and files that init knows
    source       one file: its sample, its columns, and questions about their values
    cells        how the values of one column are written, and the SQL that reads them
    columns      which column plays which role in a contract table
    orders       transactions: the money of a row, and whether rows are lines of orders
    tables       which file is which contract table, and the SELECT that reads it
    questions    what init cannot decide, with counts, answers and a default
    people       who a row is about, decided over all files by the values they share
    formats/     one file for each known export; known_files makes their SELECTs
    business     archetype, activity, horizon, zone and currency
    toml_page    the guesses as TOML, each reason as a comment above its key
    write_config the whole command: files in, `lifecycle.toml` out

Each module imports only from those above it. What init could not decide stands in the file as a
comment that begins with `CHECK:`.
"""

from __future__ import annotations

from lifecycle.init.formats.registry import describe_formats, format_text
from lifecycle.init.questions import Answers, parse_answers
from lifecycle.init.toml_page import Guess
from lifecycle.init.write_config import write

__all__ = ["Answers", "Guess", "describe_formats", "format_text", "parse_answers", "write"]
