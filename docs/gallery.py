"""Writes docs/gallery.md and docs/gallery/*.svg from the page of `lifecycle demo`: two minutes.

`python -m docs.gallery`. The pictures are those of the page, by the question that they answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from html import unescape
from pathlib import Path

from serving.drawing.style import COLOURS, PICTURES

HERE = Path(__file__).parent
FOLDER = HERE / "gallery"
HEADER = "<!-- Written by docs/gallery.py. Do not edit. -->\n"
MOST = 2  # pictures of a question
SECTION = re.compile(r'<section id="en-([a-z-]+)".*?</section>', re.DOTALL)
QUESTION = re.compile(r"<h2[^>]*>(.*?)</h2>", re.DOTALL)
FIGURE = re.compile(r"<figure>.*?<h3>(.*?)</h3><p>(.*?)</p>.*?(<svg .*?</svg>)", re.DOTALL)
TAGS = re.compile(r"<[^>]+>")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LIFECYCLE_HOME": folder}
        command = [sys.executable, "-m", "lifecycle", "--quiet", "demo", "--into", f"{folder}/shop"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        [page] = Path(folder).glob("scores/as_of=*/run=*/report/report.html")
        write_gallery(page.read_text(encoding="utf-8"))


def write_gallery(html: str) -> None:
    """The first pictures of each question, and the page that shows them."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    english = html.split('<div id="zh"')[0]
    lines = [
        HEADER,
        "# Gallery: what the page answers\n",
        "Pictures of the page that `lifecycle demo` and `lifecycle run` draw, and",
        "`lifecycle report` for any day. The data are simulated. Each picture has its table and a",
        "list of customers.\n",
    ]
    for section in SECTION.finditer(english):
        figures = FIGURE.findall(section[0])[:MOST]
        if figures:
            lines.append(f"## {text_of(QUESTION.search(section[0])[1])}\n")
        for number, (title, text, svg) in enumerate(figures, start=1):
            name = f"{section[1]}-{number}.svg"
            (FOLDER / name).write_text(alone(svg) + "\n", encoding="utf-8")
            lines += [f"**{text_of(title)}.** {text_of(text)}\n", f"![{title}](gallery/{name})\n"]
    (HERE / "gallery.md").write_text("\n".join(lines), encoding="utf-8")


def alone(svg: str) -> str:
    """A picture of the page as a file of its own, with its looks."""
    style = "svg { background: var(--card); font-family: system-ui, sans-serif; }"
    looks = f"<style>{COLOURS}{PICTURES}{style}</style>"
    start, rest = svg.split(">", 1)
    return f'{start} xmlns="http://www.w3.org/2000/svg">{looks}{rest}'


def text_of(html: str) -> str:
    return unescape(TAGS.sub("", html)).strip()


if __name__ == "__main__":
    main()
