"""The login form, and errors as people read them: pages that need nothing of what is served."""

from __future__ import annotations

from markupsafe import Markup

from features.core.errors import (
    LifecycleError,
    MethodRefused,
    NotFound,
    OriginRefused,
    Overloaded,
    ReleaseRefused,
    RunRefused,
    public_details,
)
from features.core.language import mark, say, use_language
from serving.api.page_frame import other_language, render_page
from serving.api.page_paths import REPORT_FOLDER, page_language, start_address

# By the type of an error what it is called, and what a person may do.
_TEXTS: dict[type[LifecycleError], tuple[str, str]] = {
    NotFound: (
        mark("There is no such customer"),
        mark("The latest run has no customer with this id. Compare it letter by letter."),
    ),
    ReleaseRefused: (
        mark("There are no scores"),
        mark("Whoever runs this service can type: lifecycle run"),
    ),
    RunRefused: (
        mark("The scores cannot be read"),
        mark("A file of the latest run is missing or damaged. `lifecycle score` writes it again."),
    ),
    MethodRefused: (
        mark("This page cannot be opened this way"),
        mark("Begin again at the start page."),
    ),
    OriginRefused: (
        mark("This form came from another site"),
        mark("Open the start page of this service and send the form from there."),
    ),
    Overloaded: (mark("Too many pages at once"), mark("Wait a second and try again.")),
}
_NO_REPORT = (
    mark("There is no such report or file"),
    mark(
        "No run has a report of this name. `lifecycle run` writes one, and so does "
        "`lifecycle report` with --out in the run's folder."
    ),
)
_OTHERS = (mark("This request was refused"), mark("What was sent breaks a rule of the service."))


def login_page(path: str, *, wrong: bool = False) -> bytes:
    """The form for the key, and nothing else, in the language of the address."""
    language = page_language(path)
    return render_page(
        "login",
        language,
        other=start_address(other_language(language)),
        signed_in=False,
        wrong=wrong,
        command=Markup("<code>lifecycle serve</code>"),
    )


def error_page(path: str, error: LifecycleError) -> bytes:
    """What went wrong, in the language of the address; nothing of what was sent is on it."""
    language = page_language(path)
    title, text = _TEXTS.get(type(error), _OTHERS)
    if isinstance(error, NotFound) and path.startswith(REPORT_FOLDER):
        title, text = _NO_REPORT
    details = public_details(error)
    is_known = type(error) in _TEXTS and not isinstance(error, ReleaseRefused)
    english = [] if is_known else [details["rule"], details["do"]]
    with use_language(language):
        return render_page(
            "error",
            language,
            other=start_address(other_language(language)),
            title=say(title),
            texts=[say(text)],
            english=english,
        )
