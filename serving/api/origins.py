"""Where a form was sent from: only this service's own pages send its forms."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from features.core.errors import OriginRefused
from serving.api.middleware import header


def refuse_other_origin(request: Request) -> None:
    """OriginRefused for a form that another site sent.

    Browsers say this in Sec-Fetch-Site, and over plain HTTP in Origin alone.
    """
    site, origin = header(request.scope, b"sec-fetch-site"), header(request.scope, b"origin")
    host = header(request.scope, b"x-forwarded-host") or header(request.scope, b"host")
    own = site in ("same-origin", "none") if site else urlsplit(origin).netloc == host
    if (site or origin) and not own:
        raise OriginRefused(
            where="origin",
            got="a form of another site",
            rule="The forms of this service are sent from its own pages.",
            fix="Open the page / of the service and log in there.",
        )


def is_behind_tls(request: Request) -> bool:
    """Whether the browser's connection is encrypted, here or at a proxy that says so."""
    forwarded = header(request.scope, b"x-forwarded-proto").split(",")[0].strip().lower()
    return "https" in (request.scope["scheme"], forwarded)
