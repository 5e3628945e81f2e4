"""What a request may say, generated from the data contract: strict types, known fields, finite numbers, stated offsets.

`"2"` is no number, `true` is no number, an unknown field is refused. Instants are RFC 3339 with an offset and become
microseconds UTC. What a business's own settings decide (minor units, scales, clocks) is `serving.api.request_events`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError

from features.core.contract import CONTRACT, EARLIEST_US, LATEST_US, Column, Table
from features.core.errors import Malformed
from features.core.instants import instant
from serving.api.strict import refused

MOST = 1000
SENT = ("transactions", "interactions", "feedback", "contracts", "customers")
# As many digits as the contract reads (what is finer than microseconds is cut), and no 24:00: Pythons differ on it.
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d([.]\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
# What the database trims: every space that Unicode calls one. Tabs and line ends stay, as they do there.
_SPACES = "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


def _instant(stated: str) -> int:
    try:
        at = (
            instant(datetime.fromisoformat(stated), zone="UTC")
            if _RFC3339.fullmatch(stated)
            else None
        )
    except (ValueError, OverflowError):
        at = None
    if at is None or not EARLIEST_US <= at < LATEST_US:
        raise PydanticCustomError(
            "instant", "An instant is RFC 3339 with an offset, from 1970 to 2199"
        )
    return at


def _text(stated: str) -> str | None:
    """As the contract reads text: without the spaces around it, nothing where nothing is left."""
    if _NO_TEXT.search(stated):
        raise PydanticCustomError("text", "Text has no half characters and no NUL")
    return stated.strip(_SPACES) or None


def _required_text(stated: str) -> str:
    text = _text(stated)
    if text is None:
        raise PydanticCustomError("blank", "It is not blank")
    return text


Instant = Annotated[
    str, AfterValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})
]
Text = Annotated[str, AfterValidator(_text)]
RequiredText = Annotated[str, AfterValidator(_required_text)]
_TYPES = {
    "instant": Instant,
    "text": Text,
    "id": Text,
    "money": float,
    "number": float,
    "flag": bool,
}


def _field(column: Column) -> tuple[Any, Any]:
    kind: Any = Literal[column.kinds] if column.kinds else _TYPES[column.type]
    if column.required:
        kind = RequiredText if kind is Text else kind
        return kind, Field(description=column.meaning)
    return kind | None, Field(default=None, description=column.meaning)


def _row_of(table: Table) -> type[Strict]:
    fields = {
        column.name: _field(column) for column in table.columns if column.name != "customer_id"
    }
    if table.attributes:
        fields["attributes"] = (
            dict[str, bool | float | Text],
            Field(default={}, description="the business's further attributes, by name"),
        )
    return create_model(table.name.capitalize(), __base__=Strict, __doc__=table.meaning, **fields)


ROWS = {name: _row_of(CONTRACT[name]) for name in SENT}


class Asked(Strict):
    """The id as it was sent (it is echoed so), and as the contract reads it."""

    sent: str
    read: str


AskedId = Annotated[
    str,
    AfterValidator(lambda sent: Asked(sent=sent, read=_required_text(sent))),
    WithJsonSchema({"type": "string", "minLength": 1}),
]
AskedOne: TypeAdapter[Asked] = TypeAdapter(AskedId, config=ConfigDict(strict=True))
CustomerEvents = create_model(
    "CustomerEvents",
    __base__=Strict,
    __doc__="One customer's raw events, all that is known of them.",
    customer_id=(AskedId, Field(description="whose events these are")),
    **{
        name: (
            Annotated[list[row], FailFast()],
            Field(default=[], description=CONTRACT[name].meaning),
        )
        for name, row in ROWS.items()
    },
)


class ScoreRequest(Strict):
    """Either `customer_ids`, answered from the latest run, or `customers` with their raw events; up to 1,000."""

    customer_ids: Annotated[list[AskedId], Field(min_length=1, max_length=MOST)] | None = None
    customers: Annotated[list[CustomerEvents], Field(min_length=1, max_length=MOST)] | None = None  # type: ignore[valid-type]
    as_of: Instant | None = Field(
        default=None, description="by id: the run's; with events: now, if left out"
    )


def parsed(value: Any) -> ScoreRequest:
    """The request a JSON value makes; Malformed with the path of the first field that breaks its rule."""
    try:
        request = ScoreRequest.model_validate(value)
    except ValidationError as error:
        raise _first(error) from None
    if (request.customer_ids is None) == (request.customers is None):
        raise refused(
            "body", "both kinds of question, or none", "It has either customer_ids or customers."
        )
    if request.customers is not None and len(
        {one.customer_id.read for one in request.customers}
    ) < len(request.customers):
        raise refused(
            "customers", "a customer sent twice", "Each customer stands once, with all events."
        )
    return request


def _first(error: ValidationError) -> Malformed:
    """The first error's path and rule. What the caller wrote is not repeated, neither values nor unknown names."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = list(first["loc"])
    if first["type"] == "extra_forbidden":
        return refused(
            path(place[:-1]), "a field nobody knows", "Every field is known; nothing is ignored."
        )
    if first["type"] == "model_type":
        return refused(path(place), "a value that is no object", "Here stands an object.")
    return refused(path(place), "a field outside its rule", f"{first['msg']}.")


def path(place: list[str | int]) -> str:
    """`customers[3].transactions[0].amount`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.lstrip(".") or "body"


def rfc3339(at: int) -> str:
    """Microseconds UTC as an instant with `Z`."""
    whole, rest = divmod(at, 1_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:06d}Z" if rest else f"{text}Z"
