"""`lifecycle init`: from your files to a commented `lifecycle.toml`, each guess with its reason.

    words            the names of columns that init knows; value_words: those in cells and files
    questions        what a person is asked; settle: a column after the answer
    source           one file: its rows, its columns, and questions about their values
    cell, cells      how the values of one column are written, and the SQL that reads them:
                     times (time_styles, dates, date_text, odd_cells,
                     swapped_dates), money (number_styles,
                     thousands, money_sql), kinds (status_words)
    columns          which column plays which role in a contract table
    people           who a row is about, over all files: person_columns, bridges, nobody,
                     guests, id_spelling
    draft, parts     the SELECT of one file: orders, currency, statuses, unpaid, refunds,
                     feedback, customers, clocks, misfits
    formats/         one file for each known export; known_files makes their SELECTs
    tables           which file is which contract table; united_files: which are read together
    contract_terms   whether contracts are terms or a snapshot; duplicates, dateless
    business         archetype, activity, horizon; business_zone (zone_offsets),
                     business_currency
    toml_page        the guesses as TOML, each reason as a comment above its key
    write_config     files in, a configuration out; interview: the questions around it

Each module imports only from those above it. What nobody has decided stands in the file as
a comment that begins with `CHECK:`.
"""

from __future__ import annotations

from lifecycle.init.formats.registry import describe_formats, format_text
from lifecycle.init.questions import Answers, parse_answers
from lifecycle.init.toml_page import Guess
from lifecycle.init.write_config import write

__all__ = ["Answers", "Guess", "describe_formats", "format_text", "parse_answers", "write"]
