"""What init cannot decide from the files: questions with their counts, their answers and a default.

Guessing is one pure function of the files and the answers. It asks through `Answers`, which gives
the default where nobody answered and remembers every question, so that the same guessing can run
again with what a person said.

answers = Answers({"currency": "EUR"})
answers.ask(question)   # "EUR"
answers.questions         # every question so far, in order
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from features.core.errors import BadSetting, suggestion

# Keys that may be answered whether or not the files leave them open.
_ALWAYS = {"zone", "currency"}


@dataclass(frozen=True)
class Answer:
    """One answer: what is typed, and what it would mean, with the counts that it leads to."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Question:
    """One question about the files; the first answer is the default.

    key: what `--answer KEY=VALUE` names, such as "zone" or "orders.status". text: one sentence that
    names the column and the counts. is_open: any other text is an answer too, such as a zone.
    needs_answer: without an answer init refuses, since no default is right.
    """

    key: str
    text: str
    answers: tuple[Answer, ...]
    is_open: bool = False
    needs_answer: bool = False

    @property
    def default(self) -> Answer:
        """The answer where nobody gives one."""
        return self.answers[0]


def parse_answers(texts: Sequence[str]) -> Answers:
    """The answers of `--answer KEY=VALUE`. BadSetting for a text without `=`, or a key twice."""
    given: dict[str, str] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        key, value = key.strip(), value.strip()
        if not separator or not key or key in given:
            raise BadSetting(
                where="--answer",
                got="a key that is answered twice" if key in given else "a text without KEY=",
                rule="An answer is a key, =, and a value; each key is answered once.",
                fix="Type it like: --answer zone=Europe/London",
                values=[text],
            )
        given[key] = value
    return Answers(given)


class Answers:
    """The answers given, and every question that was asked of them."""

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self.given = dict(given or {})
        if "currency" in self.given:
            self.given["currency"] = self.given["currency"].upper()
        self.questions: dict[str, Question] = {}

    def ask(self, question: Question) -> str:
        """The given answer, or the default. BadSetting for an answer that is none of them."""
        self.questions[question.key] = question
        value = self.given.get(question.key, question.default.value)
        known = [answer.value for answer in question.answers]
        if value not in known and not question.is_open:
            raise BadSetting(
                where=f"--answer {question.key}",
                got="an answer that is none of those asked for",
                rule=f"It is one of {', '.join(known)}.",
                fix=f"Type: --answer {question.key}={known[0]}",
                values=[value],
            )
        return value

    def check_note(self, question: Question) -> str:
        """A sentence for the page: what was decided, and by whom; CHECK where it is the default."""
        value = self.given.get(question.key, question.default.value)
        meaning = next((a.meaning for a in question.answers if a.value == value), value)
        if question.key in self.given:
            return f"{question.text} {meaning} (--answer {question.key}={value})."
        others = ", ".join(a.value for a in question.answers[1:])
        return (
            f"CHECK: {question.text} {meaning} (the default, {value}; or type "
            f"--answer {question.key}=…: {others})."
        )

    @property
    def open_questions(self) -> list[Question]:
        """The questions that nobody answered: their defaults stand."""
        return [one for key, one in self.questions.items() if key not in self.given]

    def refuse_unknown(self) -> None:
        """BadSetting for an answer to a question that was not asked of these files."""
        unknown = sorted(set(self.given) - set(self.questions) - _ALWAYS)
        if unknown:
            known_keys = sorted(set(self.questions) | _ALWAYS)
            hint = suggestion(unknown[0], known_keys)
            raise BadSetting(
                where=f"--answer {unknown[0]}",
                got="an answer to a question that these files do not raise",
                rule=f"The keys are {', '.join(known_keys)}.",
                fix=f"Correct the key: {hint}" if hint else "Leave this answer out.",
            )
