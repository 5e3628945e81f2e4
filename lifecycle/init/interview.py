"""The questions of init: asked one by one on a terminal, listed for programs, or left as CHECK.

Guessing is a pure function of the files and the answers, so it simply runs again with what a person
said, until nothing new is asked.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from features.core.errors import BadSetting, Interrupted
from lifecycle.init.questions import Answers, Question
from lifecycle.init.write_config import Configuration, guess_config


def settle_questions(
    files: list[Path],
    out: Path,
    answers: Answers,
    ask: Callable[[Question], str] | None = None,
) -> Configuration:
    """The configuration after all questions; `ask` gives the answer to one of them.

    Without `ask` the defaults stand. Raises as `write_config.write` does, and BadSetting for an
    answer that no question wants.
    """
    while True:
        try:
            config = guess_config(files, out, answers)
        except BadSetting:
            if ask is None or not _needs_answer(answers):
                raise
            config = None
        remaining = answers.open_questions if ask else []
        if config is not None and not remaining:
            answers.refuse_unknown()
            return config
        for question in remaining:
            answers.given[question.key] = ask(question) if ask else question.default.value


def _needs_answer(answers: Answers) -> bool:
    return any(question.needs_answer for question in answers.open_questions)


def ask_on_terminal(question: Question) -> str:
    """One question on a terminal: the answers with a number each; Enter takes the first."""
    print(f"\n{question.text}", file=sys.stderr)
    for number, each in enumerate(question.answers, 1):
        mark = " (default)" if number == 1 and not question.needs_answer else ""
        print(f"  {number}  {each.value}: {each.meaning}{mark}", file=sys.stderr)
    other = ", or type another" if question.is_open else ""
    while True:
        print(f"number{other}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise Interrupted(
                where="init",
                got="the end of the input",
                rule="Every question has an answer.",
                fix="Answer the questions, or type --yes to write them into the file.",
            )
        typed = line.strip()
        if not typed and not question.needs_answer:
            return question.default.value
        if typed.isdigit() and 1 <= int(typed) <= len(question.answers):
            return question.answers[int(typed) - 1].value
        if typed in [each.value for each in question.answers] or (question.is_open and typed):
            return typed
        print(f"not an answer: {_allowed(question)}", file=sys.stderr)


def _allowed(question: Question) -> str:
    numbers = " or ".join(str(number) for number, _ in enumerate(question.answers, 1))
    values = ", ".join(each.value for each in question.answers)
    enter = "" if question.needs_answer else "; Enter takes the default"
    return f"type {numbers}, or {values}{enter}."


def report(config: Configuration, answers: Answers) -> dict[str, Any]:
    """The configuration for programs: guesses, questions with their answers, checks, files."""
    return {
        "guesses": config.rows,
        "questions": [
            {
                "key": question.key,
                "text": question.text,
                "answers": [
                    {"value": each.value, "meaning": each.meaning} for each in question.answers
                ],
                "default": question.default.value,
                "answer": answers.given.get(question.key),
                "is_open": question.is_open,
            }
            for question in answers.questions.values()
        ],
        "checks": _checks(config, answers),
        "files": {
            "given": config.given,
            "used": config.given - len(config.unused),
            "not_used": config.unused,
        },
    }


def _checks(config: Configuration, answers: Answers) -> list[dict[str, Any]]:
    """Every reason that says CHECK: its key, its text, and whether `--answer` takes the key.

    The key is that of the question, else that of the guess, such as tables.transactions.
    """
    keys = {question.text: question.key for question in answers.questions.values()}
    checks = []
    for guess in config.guesses:
        for reason in guess.reasons:
            if "CHECK:" not in reason:
                continue
            text = reason.partition("CHECK:")[2].strip()
            key = next((keys[known] for known in keys if text.startswith(known)), "")
            checks.append({"key": key or guess.key, "text": text, "answerable": bool(key)})
    return checks


def diff_text(out: Path, page: str) -> str:
    """What the page would change in the file, as a unified diff; '' where nothing would change."""
    try:
        current = out.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            where=f"--out {out}",
            got="a file that exists already and is no text",
            rule="init never overwrites a file, and shows what would change in a text alone.",
            fix="Name another --out.",
        ) from error
    lines = difflib.unified_diff(
        current.splitlines(), page.splitlines(), str(out), f"{out} (init)", lineterm=""
    )
    return "\n".join(lines)
