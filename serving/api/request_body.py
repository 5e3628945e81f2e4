"""The body of a request, whole and in time."""

from __future__ import annotations

import anyio
from starlette.requests import Request

from serving.api import strict


async def read_body(request: Request, *, seconds: float) -> bytes:
    """The whole body.

    Malformed where it takes too long, BodyTooLarge by the middleware's limit, ClientDisconnect
    where the caller has gone.
    """
    try:
        with anyio.fail_after(seconds):
            return await request.body()
    except TimeoutError as error:
        rule = f"A body arrives whole, within {seconds:.0f} seconds."
        raise strict.malformed_error("body", "a body that did not arrive", rule) from error
