"""The start page: what is served, and the search for a customer."""

from __future__ import annotations

from markupsafe import Markup

from features.core.language import use_language
from serving.api.console.report_files import report_folder
from serving.api.console.writing import Writer
from serving.api.page_frame import other_language, render_page
from serving.api.page_paths import start_address
from serving.api.served import ServedRelease
from serving.drawing.html import isolated


def start_page(served: ServedRelease, language: str) -> bytes:
    """The page; it says what to type where nothing was scored yet."""
    write = Writer.of_business(served.settings)
    with use_language(language):
        run = None
        if served.run is not None:
            run = {
                "customers": len(served.run.ids),
                "day": write.moment(served.run.as_of),
                "has_report": report_folder(served.run) is not None,
            }
        return render_page(
            "start",
            language,
            other=start_address(other_language(language)),
            business=isolated(served.settings.business.name),
            run=run,
            command=Markup("<code>lifecycle run</code>"),
        )
