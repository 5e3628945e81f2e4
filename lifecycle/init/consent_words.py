"""Who may be contacted, where the file says so in words or says who may not."""

from __future__ import annotations

from features.tables.parsing import literal
from lifecycle.init.draft import Draft
from lifecycle.init.source import Source, squash
from lifecycle.init.words import SYNONYMS

_YES = """
    yes true 1 y t subscribed optin optedin granted accepted active ja oui si sim angemeldet
    abonniert 是
"""
_NO = """
    no false 0 n f unsubscribed optout optedout denied declined refused revoked inactive never
    neversubscribed notsubscribed cleaned bounced pending nein non nao abgemeldet 否
"""
# Columns that say who may not be contacted.
_OPT_OUT = """
    unsubscribed opt_out opted_out marketing_opt_out email_opt_out do_not_contact do_not_email dnc
    no_marketing unsubscribe abgemeldet werbewiderspruch
"""


def complete_consent(source: Source, draft: Draft) -> None:
    """The column `consent` of a file of customers, where a column says it but not as a flag.

    A column whose words are unknown is named: without it who said no is in the lists.
    """
    if "consent" in draft.selected:
        return
    wanted = {squash(name) for name in SYNONYMS["customers"]["consent"].split()}
    opt_out = {squash(name) for name in _OPT_OUT.split()}
    for column in source.types:
        name = squash(column)
        if name in wanted | opt_out and column not in draft.used:
            _read_words(source, column, draft, inverted=name in opt_out)
            return


def _read_words(source: Source, column: str, draft: Draft, *, inverted: bool) -> None:
    text = f"CAST({source.sql(column)} AS VARCHAR)"
    rows = source.query(f"SELECT DISTINCT trim({text}) FROM {source.sample}")
    values = sorted({value for (value,) in rows if value})
    yes, no = ({squash(word) for word in words.split()} for words in (_YES, _NO))
    unknown = [value for value in values if squash(value) not in yes | no]
    if unknown or not values:
        draft.notes.append(
            f"CHECK: {column} looks like consent, but it has {len(unknown):,} words that are not "
            "known: it is left out, so customers who said no can be in lists ([consent])."
        )
        return
    refusals = [value for value in values if (squash(value) in no) != inverted]
    listed = ", ".join(literal(value) for value in refusals)
    refused = f"trim({text}) IN ({listed})" if refusals else "false"
    draft.selected["consent"] = (
        f"CASE WHEN trim({text}) = '' OR {text} IS NULL THEN NULL ELSE NOT ({refused}) END"
    )
    draft.used.add(column)
    count = source.query_count(f"SELECT count(*) FROM {source.sample} WHERE {refused}")
    draft.notes.append(f"{column} → consent: {count:,} of {source.sampled:,} rows say no.")
