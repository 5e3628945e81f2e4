"""The column of each file that names the person: by the values that the files share, then by name.

A column that is different in every row is the key of the row. It is the person only where no other
column of the file can be, or in a file of customers.
"""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.bridges import Bridge, find_bridge, join_over_both_ids, largest_group
from lifecycle.init.cells import Cell, is_email, read_id
from lifecycle.init.id_digits import offer_digits
from lifecycle.init.id_spelling import join_spellings
from lifecycle.init.linked_columns import NUMBER_WORDS, add_linked_columns
from lifecycle.init.money import read_number
from lifecycle.init.people import PersonChoice, PersonValues, choose_people
from lifecycle.init.source import Source, split_words, squash
from lifecycle.init.times import read_times
from lifecycle.init.words import CUSTOMER, EMAIL, ENDINGS, NOT_BY_ENDING, SYNONYMS

# Words of columns of other people than the customer, of columns of the customer, and of columns
# that say something else of the customer than who it is.
_OTHERS = """
    agent assignee staff employee owner rep driver submitter seller vendor supplier manager sender
    mitarbeiter vendeur vendedor empleado
"""
_PERSON_WORDS = """
    customer client user member person requester contact buyer subscriber account external email
    mail kunde kunden mitglied cliente socio usuario adherent utilisateur 客户 会员 用户
"""
# People of other trades: with a word for a number behind them they name the customer.
_PERSON_NOUNS = """
    student pupil learner patient tenant donor passenger rider reader participant attendee
    policyholder insured guest schuler schueler teilnehmer patienten mieter spender gast
    eleve etudiant locataire donateur abonne alumno estudiante paciente inquilino donante
    aluno hospede 学生 患者 用户
"""
_ABOUT = """
    date time at name type status segment group since owner phone city country note notes tags
    description count total
"""


# Names of a key of any row: of customers in a file of customers, of orders in one of orders.
_ROW_NAMES = ("id", "recordid")


def choose_persons(sources: list[Source]) -> dict[str, Cell]:
    """The column of each file that names the person, with how many people other files know too.

    Files without such a column are left out.
    """
    if not sources:
        return {}
    cells = add_linked_columns(
        sources,
        {source.name: person_candidates(source) for source in sources},
        {source.name: _other_ids(source) for source in sources},
    )
    values = {
        source.name: [
            PersonValues(f"SELECT CAST({cell.sql} AS VARCHAR) FROM {source.sample}")
            for cell in cells[source.name]
        ]
        for source in sources
    }
    if len([name for name in values if values[name]]) < 2:
        return {name: listed[0] for name, listed in cells.items() if listed}
    chosen = choose_people(sources[0].connection, values)
    persons = {name: cells[name][choice.number] for name, choice in chosen.items()}
    by_name = {source.name: source for source in sources}
    together = largest_group(by_name, persons)
    persons, together = join_over_both_ids(by_name, cells, persons, together)
    alone = []
    for name, choice in chosen.items():
        if persons[name].column != cells[name][choice.number].column:
            note = f"{persons[name].column} names the customer: it is the id of most files."
            persons[name] = replace(persons[name], notes=(*persons[name].notes, note))
            continue
        if name not in together and choice.shared:
            # Its people are those of a few files alone, by another id than that of the others.
            joined = {other: persons[other] for other in together}
            if bridge := find_bridge(by_name[name], cells, joined, by_name):
                persons[name] = _over(bridge)
                continue
        if choice.shared == 0:
            bridge = find_bridge(by_name[name], cells, persons, by_name)
            persons[name] = (bridge and _over(bridge)) or _by_name(by_name[name], cells[name][0])
            alone += [] if bridge or name in together else [name]
            continue
        # Of a large file a small one can know only a few.
        most = max((other.people for key, other in chosen.items() if key != name), default=0)
        is_few = choice.shared is not None and choice.shared < min(choice.people, most) / 2
        note = _share_note(persons[name], choice, is_few=is_few)
        persons[name] = replace(persons[name], notes=(*persons[name].notes, note))
    persons = join_spellings(by_name, persons)
    known = [
        (by_name[name], each, persons[name])
        for name in persons
        if name in together
        for each in (persons[name], *(c for c in cells[name] if c.column != persons[name].column))
    ]
    return persons | {name: offer_digits(by_name[name], persons[name], known) for name in alone}


def _over(bridge: Bridge) -> Cell:
    own = bridge.own
    return replace(own, sql=bridge.sql(own.sql), notes=(*own.notes, bridge.note))


def _by_name(source: Source, cell: Cell) -> Cell:
    """Without anybody in common with another file, the name decides."""
    people = source.query_count(
        f"SELECT count(DISTINCT lower(trim(CAST({cell.sql} AS VARCHAR)))) FROM {source.sample}"
    )
    note = _share_note(cell, PersonChoice(0, people, 0))
    return replace(cell, notes=(*cell.notes, note))


def _share_note(cell: Cell, choice: PersonChoice, *, is_few: bool = True) -> str:
    note = f"{cell.column} names the customer: {choice.share_note}"
    return f"CHECK: {note}: are their ids written alike in all files?" if is_few else f"{note}."


def person_candidates(source: Source) -> list[Cell]:
    """The columns that can name the person, the best first."""
    if "persons" in source.cache:
        return list(source.cache["persons"])
    ranked = [
        (rank, column) for column in source.types if (rank := _rank(source, column)) is not None
    ]
    cells = [
        cell
        for _, column in sorted(ranked, key=lambda pair: pair[0])
        if (cell := _cell(source, column)) is not None
    ]
    keys = {cell.column for cell in cells if _is_key(source, cell)}
    if len(keys) < len(cells):
        # A key stays behind the others: in a file of customers it is the person all the same.
        # A column that is named as the number of a person stays too: other files may know it.
        named = {column for rank, column in ranked if rank[0] <= 1}
        weak = {c for c in keys if c not in named and not is_email(source, c)}
        cells = [cell for cell in cells if cell.column not in weak]
        cells.sort(key=lambda cell: cell.column in keys)
    if not cells:
        cells = _by_values(source)
    source.cache["persons"] = cells
    return list(cells)


def _rank(source: Source, column: str) -> tuple[int, int] | None:
    """How likely the name is the person's: the smaller the better; None: it is not."""
    name, words = squash(column), split_words(column)
    order = [squash(known) for known in CUSTOMER.split()]
    position = list(source.types).index(column)
    if name in order:
        return 0, order.index(name)
    if set(_OTHERS.split()) & set(words):
        return None
    if name in {squash(known) for known in EMAIL.split()}:
        return 2, position
    if len(words) > 1 and set(_PERSON_WORDS.split()) & set(words) and not _named_otherwise(words):
        return (1 if words[-1] in NUMBER_WORDS else 3), position
    if len(words) > 1 and words[-1] in NUMBER_WORDS and set(_PERSON_NOUNS.split()) & set(words):
        return 1, position
    if is_email(source, column):
        return 3, position
    if name in _ROW_NAMES:
        return 5, position
    if (
        len(words) > 1
        and words[-1] in ENDINGS["customer_id"].split()
        and not _named_otherwise(words)
    ):
        return 4, position
    return None


def _named_otherwise(words: tuple[str, ...]) -> bool:
    return bool({*_ABOUT.split(), *NOT_BY_ENDING.split()} & set(words))


def _cell(source: Source, column: str) -> Cell | None:
    key = ("id", column, True, "")
    if key not in source.cache:
        type_ = source.types[column]
        is_plain = not (type_.startswith(("STRUCT", "MAP", "BLOB")) or type_.endswith("]"))
        source.cache[key] = read_id(source, column) if is_plain else None
    cell: Cell | None = source.cache[key]
    return cell


def _is_key(source: Source, cell: Cell) -> bool:
    """Whether the column is different in every row of a file with more than a few rows."""
    x = f"CAST({cell.sql} AS VARCHAR)"
    rows, distinct = source.query(f"SELECT count({x}), count(DISTINCT {x}) FROM {source.sample}")[0]
    return bool(rows == distinct == source.sampled and rows > 1)


def is_row_key(source: Source, person: Cell | None, event: dict[str, Cell]) -> bool:
    """Whether the column that would name the person is the key of the rows of a table of amounts.

    event: the roles of the file as transactions. A column `id` that is different wherever it is
    filled names orders, not customers.
    """
    is_money = "occurred_at" in event and bool({"amount", "price"} & set(event))
    if person is None or not is_money or squash(person.column) not in _ROW_NAMES:
        return False
    x = f"nullif(trim(CAST({source.sql(person.column)} AS VARCHAR)), '')"
    rows, distinct = source.query(f"SELECT count({x}), count(DISTINCT {x}) FROM {source.sample}")[0]
    return bool(rows == distinct and rows > 1)


# A column whose name says nothing is the person if it has enough values, each on several rows.
_FEWEST_PEOPLE, _ROWS_EACH = 20, 1.5
_ID_TEST = r"regexp_matches(x, '^[A-Za-z#_-]*\d+[A-Za-z]*$|@|^[0-9a-f]{8}-')"


def _by_values(source: Source) -> list[Cell]:
    """The only column of ids that repeat, where no name says who the person is; else nothing."""
    likely = []
    for column in source.types:
        words = split_words(column)
        cell = (
            None
            if _named_otherwise(words) or squash(column) in _known_names()
            else (_cell(source, column))
        )
        if cell is None or not _repeats_as_a_person(source, cell):
            continue
        likely.append(cell)
    if len(likely) != 1:
        return []
    note = f"CHECK: {likely[0].column} is used as the customer only because its values repeat."
    return [replace(likely[0], notes=(*likely[0].notes, note))]


def _other_ids(source: Source) -> list[Cell]:
    """The columns of ids whose names say neither who somebody is nor anything else."""
    taken = {cell.column for cell in person_candidates(source)}
    return [
        cell
        for column in source.types
        if column not in taken
        and squash(column) not in _known_names()
        and not _named_otherwise(split_words(column))
        and not set(_OTHERS.split()) & set(split_words(column))
        and (cell := _cell(source, column)) is not None
        and _holds_ids(source, cell)
    ]


def _holds_ids(source: Source, cell: Cell) -> bool:
    x = f"trim(CAST({cell.sql} AS VARCHAR))"
    rows, ids = source.query(
        f"SELECT count(*), count(*) FILTER ({_ID_TEST}) FROM (SELECT {x} AS x FROM {source.part}) "
        "WHERE x <> ''"
    )[0]
    return bool(rows == ids and read_times(source, cell.column, required=True) is None)


def _known_names() -> set[str]:
    """Names of columns that say something else than who somebody is."""
    roles = {role: names for table in SYNONYMS.values() for role, names in table.items()}
    return {
        squash(name)
        for role, names in roles.items()
        if role != "customer_id"
        for name in (role, *names.split())
    }


def _repeats_as_a_person(source: Source, cell: Cell) -> bool:
    x = f"trim(CAST({cell.sql} AS VARCHAR))"
    rows, distinct, ids = source.query(
        f"SELECT count(nullif(x, '')), count(DISTINCT nullif(x, '')), count(*) FILTER ({_ID_TEST}) "
        f"FROM (SELECT {x} AS x FROM {source.part})"
    )[0]
    is_number = read_number(source, cell.column) is not None
    is_time = read_times(source, cell.column, required=True) is not None
    return bool(
        distinct >= _FEWEST_PEOPLE
        and rows >= _ROWS_EACH * distinct
        and ids == rows
        and not is_number
        and not is_time
    )
