"""The schema of a request, generated from the data contract: strict types, known fields only.

`"2"` is no number, `true` is no number, numbers are finite, an unknown field is refused. Instants
are RFC 3339 with an offset and become microseconds UTC. What the settings of the business decide
(minor units, scales, clocks) is checked in `serving.api.request_events`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from features.core.contract import ALL_TABLES, EARLIEST_US, LATEST_US, TRIMMED, Column, Table
from features.core.instants import instant

MAX_CUSTOMERS = 1000
REQUEST_TABLES = (
    "transactions",
    "interactions",
    "feedback",
    "contracts",
    "customers",
    "treatments",
)
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
# As many digits as the contract reads (what is finer than microseconds is cut). No hour 24: Python
# versions differ on it.
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d([.]\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)


class StrictModel(BaseModel):
    """No conversion between types, no unknown fields, finite numbers, frozen."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


def _parse_instant(sent: Any) -> int:
    """RFC 3339 text to microseconds UTC."""
    value = _parse_end(sent)
    if value >= LATEST_US:
        raise _no_instant()
    return value


def _parse_end(sent: Any) -> int:
    """The same without an upper limit: of an end, 9999-12-31 says that there is none."""
    text, value = _string(sent), None
    if _RFC3339.fullmatch(text):
        try:
            value = instant(datetime.fromisoformat(text), zone="UTC")
        except (ValueError, OverflowError):
            value = None
    if value is None or value < EARLIEST_US:
        raise _no_instant()
    return value


def _no_instant() -> PydanticCustomError:
    return PydanticCustomError(
        "instant", "An instant is RFC 3339 with an offset, from 1970 to 2199"
    )


def _clean_text(text: str) -> str | None:
    """As the contract reads text: without TRIMMED around it; None where nothing is left."""
    if _NO_TEXT.search(text):
        raise PydanticCustomError("text", "Text has no lone surrogates and no NUL")
    return text.strip(TRIMMED) or None


def _clean_required_text(text: str) -> str:
    cleaned = _clean_text(text)
    if cleaned is None:
        raise PydanticCustomError("blank", "It is not blank")
    return cleaned


Instant = Annotated[
    int, BeforeValidator(_parse_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
_End = Annotated[
    int, BeforeValidator(_parse_end), WithJsonSchema({"type": "string", "format": "date-time"})
]
Text = Annotated[str, AfterValidator(_clean_text)]
RequiredText = Annotated[str, AfterValidator(_clean_required_text)]
_TYPES: dict[str, Any] = {
    "instant": Instant,
    "text": Text,
    "id": Text,
    "money": float,
    "number": float,
    "flag": bool,
}


def _field(column: Column) -> tuple[Any, Any]:
    """(type, field) of one column, as pydantic's create_model takes them."""
    kind: Any = Literal[column.kinds] if column.kinds else _TYPES[column.type]
    kind = _End if column.open_end else kind
    if column.required:
        # Text cleans to None where it is blank, which a required column must refuse.
        kind = RequiredText if kind is Text else kind
        return kind, Field(description=column.meaning)
    return kind | None, Field(default=None, description=column.meaning)


def _row_model(table: Table) -> type[StrictModel]:
    """The model of one row of a table, without customer_id."""
    fields: dict[str, Any] = {
        column.name: _field(column) for column in table.columns if column.name != "customer_id"
    }
    if table.attributes:
        fields["attributes"] = (
            dict[str, bool | float | Text],
            Field(default={}, description="further attributes of the business, by name"),
        )
    name = table.name.capitalize()
    return create_model(name, __base__=StrictModel, __doc__=table.meaning, **fields)


ROWS = {name: _row_model(ALL_TABLES[name]) for name in REQUEST_TABLES}


class RequestedId(StrictModel):
    """A customer id: `raw` as sent (the answer has it), `normalized` as the contract reads it."""

    raw: str
    normalized: str


def _requested_id(sent: Any) -> RequestedId:
    raw = _string(sent)
    return RequestedId(raw=raw, normalized=_clean_required_text(raw))


RequestedIdField = Annotated[
    RequestedId,
    BeforeValidator(_requested_id),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
REQUESTED_ID: TypeAdapter[RequestedId] = TypeAdapter(RequestedIdField)


class _Customer(StrictModel):
    customer_id: RequestedIdField = Field(description="the customer of these events")


if TYPE_CHECKING:
    CustomerEvents = _Customer
else:
    CustomerEvents = create_model(
        "CustomerEvents",
        __base__=_Customer,
        __doc__="One customer's raw events, all that are known. A table that is left out was not "
        "sent, and the score rests on the others; an empty one says that nothing happened.",
        **{
            name: (
                # Without FailFast, a million bad rows would become a million errors.
                Annotated[list[row], FailFast()],
                Field(
                    default=None,
                    description=f"{ALL_TABLES[name].meaning}; left out: not sent; []: nothing "
                    "happened",
                ),
            )
            for name, row in ROWS.items()
        },
    )


class ScoreRequest(StrictModel):
    """Either `customer_ids`, from the latest run, or `customers` with raw events; up to 1,000."""

    customer_ids: (
        Annotated[list[RequestedIdField], Field(min_length=1, max_length=MAX_CUSTOMERS)] | None
    ) = None
    customers: (
        Annotated[list[CustomerEvents], Field(min_length=1, max_length=MAX_CUSTOMERS)] | None
    ) = None
    as_of: Instant | None = Field(
        default=None, description="default by id: the run's as_of; with events: now"
    )
    history: Literal["request", "run"] = Field(
        default="request",
        description="request: the events are all that are known; run: they are those since the "
        "latest run, whose history of each customer they are added to",
    )
    errors: Literal["whole", "each"] = Field(
        default="whole",
        description="whole: an entry with an error refuses the request; each: it is answered at "
        "its place, with its errors, and the others are scored",
    )
    in_sample: bool = Field(
        default=False,
        description="with events: also score an as_of whose outcomes the release has learned; "
        "every entry then warns in_sample",
    )


def field_path(place: list[str | int]) -> str:
    """The place as text: `customers[3].transactions[0].amount`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "body"


def rfc3339(instant_us: int) -> str:
    """Microseconds UTC as an RFC 3339 instant with `Z`."""
    seconds, rest = divmod(instant_us, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"
