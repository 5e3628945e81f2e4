"""From a JSON value to a question: entries that keep the rules of their fields, and the others.

Every error of every entry is listed by its path, as far as MOST_COUNTED. The service then answers
no entry, or (`"errors": "each"`) those without an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from features.core.errors import Malformed
from serving.api.entry_errors import EntryErrors
from serving.api.schemas import (
    REQUESTED_ID,
    ROWS,
    CustomerEvents,
    RequestedId,
    ScoreRequest,
    field_path,
)
from serving.api.strict import malformed_error

ENTRIES = ("customer_ids", "customers")
_PLACEHOLDER = "-"


@dataclass(frozen=True)
class Question:
    """A request: its good entries, where they stood in it, and the errors of the others.

    `sent`: the ids of all entries as they were sent, None where that is none.
    """

    request: ScoreRequest
    places: Sequence[int]
    errors: EntryErrors
    sent: Sequence[str | None]

    @property
    def by_id(self) -> bool:
        """Whether the entries are ids."""
        return self.request.customer_ids is not None


def parse_request(value: Any) -> ScoreRequest:
    """The request in a JSON value; Malformed with the path of the first field with an error."""
    return parse_question(value).request


def parse_question(value: Any) -> Question:
    """The question in a JSON value; Malformed where it is refused as a whole."""
    errors = EntryErrors(each=isinstance(value, dict) and value.get("errors") == "each")
    try:
        request = ScoreRequest.model_validate(value)
    except ValidationError as error:
        if errors.each and all(value.get(name) is not None for name in ENTRIES):
            raise _both_kinds() from None
        _note_field_errors(error, value, errors)
        errors.refuse_whole()
        request = _without_bad_entries(value, errors)
    _refuse_other_shapes(request)
    places = [place for place in range(_count_entries(value)) if place not in errors.by_place]
    if request.customers is not None:
        _note_repeated(request.customers, places, errors)
        errors.refuse_whole()
        good = [place not in errors.by_place for place in places]
        customers = list(compress(request.customers, good))
        request = request.model_copy(update={"customers": customers})
        places = list(compress(places, good))
    return Question(request, places, errors, _sent_ids(value) if errors.each else ())


def _note_repeated(
    customers: Sequence[CustomerEvents], places: Sequence[int], errors: EntryErrors
) -> None:
    """Note each customer that was sent more than once: no entry has all events of it."""
    counted = Counter(customer.customer_id.normalized for customer in customers)
    for place, customer in zip(places, customers, strict=True):
        if counted[customer.customer_id.normalized] > 1:
            rule = "Each customer is sent once, with all events."
            path = field_path(["customers", place, "customer_id"])
            errors.add(place, malformed_error(path, "a customer sent twice", rule))


def _refuse_other_shapes(request: ScoreRequest) -> None:
    if (request.customer_ids is None) == (request.customers is None):
        raise _both_kinds()
    if request.in_sample and request.customers is None:
        rule = "in_sample goes with raw events; a run's rows carry their own warnings."
        raise malformed_error("in_sample", "in_sample with customer_ids", rule)
    if request.history == "run" and request.customers is None:
        rule = "history goes with newer events; by id alone the run's scores are the answer."
        raise malformed_error("history", "history with customer_ids", rule)


def _both_kinds() -> Malformed:
    rule = "A body has either customer_ids or customers."
    return malformed_error("body", "both kinds of request, or none", rule)


def _count_entries(value: Mapping[str, Any]) -> int:
    return sum(len(value.get(name) or ()) for name in ENTRIES)


def _sent_ids(value: Mapping[str, Any]) -> list[str | None]:
    ids = value.get("customer_ids")
    if ids is None:
        ids = [
            entry.get("customer_id") if isinstance(entry, dict) else None
            for entry in value["customers"]
        ]
    return [each if _is_id(each) else None for each in ids]


def _is_id(value: Any) -> bool:
    try:
        REQUESTED_ID.validate_python(value)
    except ValidationError:
        return False
    return True


def _note_field_errors(error: ValidationError, value: Any, errors: EntryErrors) -> None:
    """Note the errors of entries; Malformed for one of the request itself."""
    listed = _details(error)
    for each in listed:
        if not _is_of_entry(each["loc"]):
            raise _field_error(each)
    tables: set[tuple[int | str, ...]] = set()
    for each in listed:
        place, table = each["loc"][1], each["loc"][:3]
        if isinstance(place, int) and table not in tables:
            for further in _all_errors(each, value):
                if errors.skips(place):
                    break
                errors.add(place, further)
            if _is_of_row(each["loc"]):
                tables.add(table)


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _is_of_entry(place: Sequence[int | str]) -> bool:
    return len(place) > 1 and place[0] in ENTRIES and isinstance(place[1], int)


def _is_of_row(place: Sequence[int | str]) -> bool:
    return len(place) > 3 and place[0] == "customers" and place[2] in ROWS


def _all_errors(error: ErrorDetails, value: Any) -> Iterator[Malformed]:
    """The error; of a row of a table those of this row and of all after it.

    The check of a table stops at its first bad row.
    """
    place = error["loc"]
    if not _is_of_row(place):
        yield _field_error(error)
        return
    name, first = str(place[2]), int(place[3])
    rows = value["customers"][place[1]][name]
    for number in range(first, len(rows)):
        try:
            ROWS[name].model_validate(rows[number])
        except ValidationError as refused:
            for each in _details(refused):
                yield _field_error(each, before=(*place[:3], number))


def _without_bad_entries(value: Mapping[str, Any], errors: EntryErrors) -> ScoreRequest:
    """The request without the entries that have errors, also where none is left."""
    name = next(name for name in ENTRIES if value.get(name) is not None)
    rest = ScoreRequest.model_validate({**value, name: None, "customer_ids": [_PLACEHOLDER]})
    good = [each for place, each in enumerate(value[name]) if place not in errors.by_place]
    entries: list[CustomerEvents] | list[RequestedId]
    if name == "customers":
        entries = [CustomerEvents.model_validate(each) for each in good]
        return rest.model_copy(update={"customer_ids": None, "customers": entries})
    entries = [REQUESTED_ID.validate_python(each) for each in good]
    return rest.model_copy(update={"customer_ids": entries})


def _field_error(error: ErrorDetails, before: Sequence[int | str] = ()) -> Malformed:
    """An error's path and rule; neither a value nor an unknown name of the caller."""
    place = [*before, *error["loc"]]
    # An unknown name is the caller's text, so the path ends above it.
    if error["type"] == "extra_forbidden":
        rule = "Only known fields are accepted; none is ignored."
        return malformed_error(field_path(place[:-1]), "an unknown field", rule)
    if error["type"] == "model_type":
        return malformed_error(field_path(place), "a value that is no object", "It is an object.")
    return malformed_error(field_path(place), "a field that breaks its rule", f"{error['msg']}.")
