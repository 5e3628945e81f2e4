"""One customer as a page: the entry of the API's answer and the run's history, in words.

Every number of the score is that of the answer, bit for bit: a figure carries its exact value.
"""

from __future__ import annotations

from features.core.contract import CONTRACT
from features.core.language import use_language
from serving.api.by_id import known_entry, require_run, with_decisions
from serving.api.console.cards import Subject
from serving.api.console.history_cards import history_cards, timeline_card
from serving.api.console.score_cards import score_cards, score_tiles
from serving.api.console.writing import Writer
from serving.api.history_rows import read_rows
from serving.api.page_frame import other_language, render_page
from serving.api.page_paths import customer_address
from serving.api.schemas import RequestedId
from serving.api.state import ServingState


def customer_page(state: ServingState, requested: RequestedId, language: str) -> bytes:
    """The page of a customer.

    NotFound for an unknown one, ReleaseRefused where there is no run, as in the API.
    """
    # Read once: a refresh may replace it while this page is made.
    served, name = state.served, requested.normalized
    run = require_run(served.run)
    known = known_entry(run, requested, release=served.release.id)
    [entry] = with_decisions([known], [requested], served.decided, as_of=run.as_of)
    read = {table: read_rows(run, table, name) for table in CONTRACT}
    rows = {table: each for table, each in read.items() if each is not None}
    subject = Subject(name, served, run, entry, rows, Writer.of_business(served.settings))
    with use_language(language):
        cards = [*score_cards(subject), *history_cards(subject), timeline_card(subject)]
        return render_page(
            "customer",
            language,
            other=customer_address(name, other_language(language)),
            customer=name,
            as_of=subject.write.moment(run.as_of),
            tiles=score_tiles(subject),
            cards=cards,
        )
