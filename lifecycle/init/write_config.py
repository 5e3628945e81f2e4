"""From the user's files to a commented `lifecycle.toml`.

files ─► columns (what is each column?) ─► tables (which table is each file? its SELECT)
      ─► business (archetype, activity, horizon, zone, currency) ─► one TOML page
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.core.errors import BadSetting, ColumnMissing, QueryFailed, StoreFailed
from features.core.staged_files import staged_file
from lifecycle.init import business
from lifecycle.init.business_currency import guess_currency
from lifecycle.init.business_zone import guess_zone
from lifecycle.init.columns import assign_roles
from lifecycle.init.contract_terms import open_ended_note, settle_terms
from lifecycle.init.dateless import has_one_instant, is_labelled_snapshot, refuse_snapshot
from lifecycle.init.duplicates import settle_duplicates
from lifecycle.init.formats.known_files import read_known, split_known
from lifecycle.init.misfits import Misfit, event_misfits
from lifecycle.init.parts import Part
from lifecycle.init.person_columns import person_candidates
from lifecycle.init.questions import Answers
from lifecycle.init.selects import union_select
from lifecycle.init.shared_ids import name_shared_ids
from lifecycle.init.source import Source
from lifecycle.init.tables import assign_tables, label_sources, list_tables, open_engine, open_files
from lifecycle.init.toml_page import Guess, render_page, toml_string

_PAID_TERMS = (
    "subscriptions are a table that is overwritten, so every payment is a term that starts with it "
    "and lasts until the next one is usually due."
)


@dataclass(frozen=True)
class Configuration:
    """What init makes of the files: the guesses, the page, and the files that are not used.

    unused: why, by the name of the file. given: how many files there are.
    """

    guesses: tuple[Guess, ...]
    page: str
    unused: dict[str, str]
    given: int

    @property
    def files_sentence(self) -> str:
        """ "6 of 6 files are used", or also the names of those that are not."""
        used = self.given - len(self.unused)
        names = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return f"{used} of {self.given} files are used{names}"

    @property
    def open_lines(self) -> int:
        """How many lines of the page say CHECK."""
        return sum("CHECK:" in reason for guess in self.guesses for reason in guess.reasons)

    @property
    def rows(self) -> list[dict[str, str]]:
        """The guesses as rows: what, guess, reason."""
        return [
            {"what": guess.key, "guess": guess.value, "reason": " ".join(guess.reasons)}
            for guess in self.guesses
        ]


def write(files: list[Path], out: Path, answers: Answers | None = None) -> list[dict[str, str]]:
    """Write a configuration for `files` to `out`; returns the guesses: what, guess, reason.

    answers: what a person decided; without one the defaults stand, as lines that say CHECK. Raises
    BadSetting where `out` exists or its folder does not, or where an answer is none of those asked
    for; FileMissing, QueryFailed or EmptyTable for a file that cannot be read; ColumnMissing where
    no file holds events, TimestampsMissing or SnapshotRefused for files that cannot be used as they
    are; StoreFailed where `out` cannot be written. Nothing is written then.
    """
    out = Path(out)
    if out.exists():
        raise BadSetting(
            where=f"--out {out}",
            got="a file that exists already",
            rule="init never overwrites a file.",
            fix="Name another --out or delete it.",
        )
    answers = answers or Answers()
    config = guess_config(files, out, answers)
    answers.refuse_unknown()
    write_page(config.page, out)
    return config.rows


def write_page(page: str, out: Path) -> None:
    """Write the page to a file that does not exist yet. StoreFailed where that fails."""
    try:
        # Whole or not at all: an empty file would be in the way of the next init.
        with staged_file(out) as staged:
            staged.write_text(page, encoding="utf-8")
    except OSError as error:
        raise StoreFailed(
            where=str(out),
            got=error.strerror or "a write that failed",
            rule="init writes one file.",
            fix="Name another --out, in a folder that can be written to.",
        ) from error


def guess_config(files: list[Path], out: Path, answers: Answers) -> Configuration:
    """The configuration for `files`, as it would stand at `out`; writes nothing.

    Equal files and answers give an equal configuration. Every question is remembered by `answers`.
    Raises as `write` does.
    """
    out = Path(out)
    if not out.resolve().parent.is_dir():
        raise BadSetting(
            where=f"--out {out}",
            got="a folder that does not exist",
            rule="init writes one file and creates no folders.",
            fix="Create the folder, or name another --out.",
        )
    (connection, keywords), taken = open_engine(), set[str]()
    paths = dict.fromkeys(Path(path).resolve() for path in files)  # a file named twice is read once
    tables = [table for path in paths for table in list_tables(path)]
    sources, skipped = open_files(connection, tables, taken=taken, keywords=keywords)
    try:
        return _guess_all(connection, label_sources(sources), skipped, out, answers)
    except duckdb.Error as error:
        raise QueryFailed(
            where="init",
            got=f"a guessed SELECT that does not run ({type(error).__name__})",
            rule="All rows are written like the sampled ones.",
            fix="Correct the rows that are written differently, or write the configuration by "
            "hand (docs/contract.md).",
        ) from error


def _guess_all(
    connection: duckdb.DuckDBPyConnection,
    sources: list[Source],
    skipped: dict[str, str],
    out: Path,
    answers: Answers,
) -> Configuration:
    known, others = split_known(sources, answers)
    parts, unused = assign_tables(others, answers)
    if "transactions" in parts:
        parts["transactions"] = name_shared_ids(parts["transactions"])
    result = read_known(connection, known, parts, answers)
    parts, unused = result.parts, unused | result.unused
    had_contracts = "contracts" in parts
    terms = settle_terms(connection, parts, answers)
    contractual = "contracts" in parts or terms is not None or result.terms_from_payments
    if had_contracts and "contracts" not in parts:
        unused |= _unused_snapshots(sources, parts, unused, paid=terms is not None)
    if terms is None and result.terms_from_payments:
        terms = Guess("contract.terms_from", '"payments"', (_PAID_TERMS,))
    _refuse_without_events(sources, parts, unused, contractual=contractual)
    duplicates = settle_duplicates(parts)
    activity = business.choose_activity(connection, parts, contractual=contractual)
    settings = [guess for guess in (terms, duplicates) if guess is not None]
    guesses = [
        _guess_files(sources, unused, skipped, out),
        activity.guess,
        business.guess_archetype(contractual=contractual),
        guess_zone(connection, parts, answers),
        guess_currency(parts, answers),
        *settings,
        *business.guess_scales(connection, parts),
        *(_guess_table(name, parts, answers) for name in parts),
        business.guess_horizon(connection, parts, activity, contractual=contractual),
    ]
    stubs = tuple(
        _stub(source, unused[source.name], out) for source in sources if source.name in unused
    )
    names = {source.label: unused[source.name] for source in sources if source.name in unused}
    page, given = render_page(guesses, stubs), len(sources) + len(skipped)
    return Configuration(tuple(guesses), page, names | skipped, given)


def _unused_snapshots(
    sources: list[Source], parts: dict[str, list[Part]], unused: dict[str, str], *, paid: bool
) -> dict[str, str]:
    """The files that no part reads any more: the payments build the terms, or they are left out."""
    used = {part.source.name for files in parts.values() for part in files}
    reason = "one row a subscription, overwritten; the payments build the terms"
    if not paid:
        reason = "left out by an answer (--answer contracts=leave_out)"
    return {
        source.name: reason
        for source in sources
        if source.name not in used and source.name not in unused
    }


def _refuse_without_events(
    sources: list[Source],
    parts: dict[str, list[Part]],
    unused: dict[str, str],
    *,
    contractual: bool,
) -> None:
    events = [*parts.get("transactions", []), *parts.get("interactions", [])]
    for part in events:
        alone = len(events) == 1 and not contractual
        if alone and has_one_instant(part.source, part.cells):
            refuse_snapshot(part.source)
    if events:
        return
    for source in sources:
        people = person_candidates(source)
        if is_labelled_snapshot(source, people[0] if people else None):
            refuse_snapshot(source)
    nearest = {
        source.name: event_misfits(source, assign_roles(source, "transactions"))
        for source in sources
    }
    if set(parts) == {"customers"} and not unused and not any(nearest.values()):
        refuse_snapshot(parts["customers"][0].source)
    read = [f"{source.label}: {unused[source.name]}" for source in sources if source.name in unused]
    read += [
        "; ".join([f"{part.source.label}: {table}", *_sentences(nearest[part.source.name])])
        for table, files in parts.items()
        for part in files
    ]
    raise ColumnMissing(
        where="init",
        got=f"no transactions and no interactions ({'; '.join(read)})",
        rule="At least one file has a customer (customer_id, client_id, user_id …), a time (date, "
        "order_date, timestamp …) and an amount (amount, total, price and quantity …) or an event "
        "(event, kind, visits …).",
        fix="Rename the columns of your file to these names, or write the SELECT by hand: "
        "docs/contract.md.",
        values=[cell for each in nearest.values() for misfit in each for cell in misfit.cells],
    )


def _sentences(misfits: list[Misfit]) -> list[str]:
    return [misfit.sentence for misfit in misfits[:1]]


def _guess_table(name: str, parts: dict[str, list[Part]], answers: Answers) -> Guess:
    reasons = [reason for part in parts[name] for reason in part.reasons]
    if name == "contracts" and (note := open_ended_note(parts, answers)):
        reasons.append(note)
    return Guess(f"tables.{name}", toml_string(union_select(parts[name])), tuple(reasons))


def _guess_files(
    sources: list[Source], unused: dict[str, str], skipped: dict[str, str], out: Path
) -> Guess:
    used = [source for source in sources if source.name not in unused]
    listed = ", ".join(
        f"{source.name} = {toml_string(_path_from(source.path, out))}" for source in used
    )
    not_used = [
        f"not used: {source.label}: {unused[source.name]}."
        for source in sources
        if source.name in unused
    ]
    not_used += [f"not used: {name}: {reason}." for name, reason in skipped.items()]
    reason = "the paths of your files, relative to the folder of this file."
    return Guess("files", f"{{ {listed} }}", (reason, *not_used))


def _stub(source: Source, reason: str, out: Path) -> str:
    """How a file that is not used would be named, with its columns."""
    path = toml_string(_path_from(source.path, out))
    return (
        f"{source.label}: {reason}. Under files: {source.name} = {path}. Its columns: "
        f"{', '.join(source.types)}."
    )


def _path_from(path: Path, out: Path) -> str:
    """The path relative to the folder of `out`; absolute where both share only the root."""
    folder = out.resolve().parent
    try:
        shared = Path(os.path.commonpath([folder, path]))
    except ValueError:  # two drives
        return path.as_posix()
    if shared == Path(shared.anchor):
        return path.as_posix()
    return Path(os.path.relpath(path, folder)).as_posix()
