"""What a person decides: a column whose values fit two readings becomes the answered one."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.init.cell import Cell
from lifecycle.init.questions import Answer, Answers, Question
from lifecycle.init.source import Source, split_words


def question_key(source: Source, name: str) -> str:
    """What `--answer KEY=VALUE` names: the file and the column, as in orders.order_date."""
    return f"{source.name}.{'_'.join(split_words(name)) or 'column'}"


def settle_cell(source: Source, cell: Cell, answers: Answers) -> Cell:
    """The column as it is read after the answer. Raises the refusal of a column that is used."""
    if cell.refusal is not None:
        raise cell.refusal
    if cell.choice is None:
        return cell
    options = {option.value: option for option in cell.choice.options}
    question = Question(
        question_key(source, f"{cell.column} {cell.choice.name}"),
        f"{cell.choice.text}.",
        tuple(Answer(option.value, option.meaning) for option in cell.choice.options),
    )
    chosen = options[answers.ask(question)].cell
    notes = (answers.check_note(question), *chosen.notes)
    return replace(chosen, notes=notes, choice=None, by_ending=cell.by_ending)
