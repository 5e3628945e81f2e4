"""Everything that can go wrong, as one tree; each leaf has an exit code and an HTTP status.

    LifecycleError
    ├── UsageError                     2 · 400   the command or the configuration is wrong
    │   ├── UnknownKey                           an unknown key (with a suggestion)
    │   ├── BadSetting                           a value that breaks its rule
    │   └── SelectRefused                        a text under [tables] that is not one plain SELECT
    ├── InputRefused                   3 · 422   the data or the request; the caller can fix it
    │   ├── FileMissing
    │   ├── QueryFailed
    │   ├── ColumnMissing
    │   ├── WrongType
    │   ├── NaiveTime
    │   ├── EmptyTable
    │   ├── DuplicateCustomers
    │   ├── ContradictoryVersions
    │   ├── SnapshotRefused
    │   ├── SeveralCurrencies
    │   ├── AsOfTooLate
    │   ├── FeedSilent                           a table that every score needs has stopped
    │   ├── AsOfInSample                         an as_of whose outcomes the release has learned
    │   ├── TimestampsMissing                    a table without any instant
    │   ├── SeveralRefused                       errors in more than one table
    │   ├── ImmatureWindow
    │   ├── NotEnoughData
    │   ├── LeakSuspected                        a column that knows the outcome, without a clock
    │   └── ArchetypeRefused
    ├── RequestRefused                 3 · 422   a request that the service refuses
    │   ├── KeyMissing                   3 · 401   no key
    │   ├── KeyUnknown                   3 · 401   a key that is not accepted
    │   ├── OriginRefused                3 · 403   a form that another site sent
    │   ├── NotFound                     3 · 404   no such page, or no such customer
    │   ├── MethodRefused                3 · 405
    │   ├── BodyTooLarge                 3 · 413
    │   ├── NotJson                      3 · 415   a media type other than application/json
    │   ├── Overloaded                   3 · 429   too much of this kind of work at once
    │   └── Malformed                    3 · 422   a field that breaks its rule
    ├── ReleaseRefused                 1 · 503   a damaged release, or one of another configuration
    │   └── RunRefused                           a run whose files are missing or damaged
    ├── PromotionRefused               1 · 503   a release without skill, or worse than the champion
    ├── RunNotPublished                1 · 503   a run that looks wrong waits to be accepted
    ├── StoreFailed                    4 · 503   a store that cannot be reached, or is full
    └── Interrupted                    5 · 503   stopped safely; the same command continues the work

An error gives the place, what was got, the rule, and what to do. It is rendered in two ways: the
owner at the command line sees up to three offending values; everybody else sees counts only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

SHOWN_VALUES = 3


class LifecycleError(Exception):
    """Where it happened, what was got, the rule and the fix.

    values: up to three offending values, which only the owner at the command line sees.
    """

    exit_code = 1
    status = 500

    def __init__(
        self, *, where: str, got: str, rule: str, fix: str, values: Iterable[object] = ()
    ) -> None:
        self.where, self.got, self.rule, self.fix = where, got, rule, fix
        self.values = tuple(str(value)[:60] for value in values)[:SHOWN_VALUES]
        super().__init__(f"{where}: {got}. {rule} {fix}")


class UsageError(LifecycleError):
    exit_code, status = 2, 400


class UnknownKey(UsageError):
    pass


class BadSetting(UsageError):
    pass


class SelectRefused(UsageError):
    pass


class InputRefused(LifecycleError):
    exit_code, status = 3, 422


class FileMissing(InputRefused):
    pass


class QueryFailed(InputRefused):
    pass


class ColumnMissing(InputRefused):
    pass


class WrongType(InputRefused):
    pass


class NaiveTime(InputRefused):
    pass


class EmptyTable(InputRefused):
    pass


class DuplicateCustomers(InputRefused):
    pass


class ContradictoryVersions(InputRefused):
    pass


class SnapshotRefused(InputRefused):
    pass


class SeveralCurrencies(InputRefused):
    pass


class SeveralRefused(InputRefused):
    """`errors`: those of several tables, in the order of the configuration."""

    errors: tuple[LifecycleError, ...] = ()


class AsOfTooLate(InputRefused):
    pass


class FeedSilent(InputRefused):
    pass


class AsOfInSample(InputRefused):
    pass


class TimestampsMissing(InputRefused):
    pass


class ImmatureWindow(InputRefused):
    pass


class NotEnoughData(InputRefused):
    pass


class LeakSuspected(InputRefused):
    pass


class ArchetypeRefused(InputRefused):
    pass


class RequestRefused(LifecycleError):
    exit_code, status = 3, 422


class KeyMissing(RequestRefused):
    status = 401


class KeyUnknown(RequestRefused):
    status = 401


class OriginRefused(RequestRefused):
    status = 403


class NotFound(RequestRefused):
    status = 404


class MethodRefused(RequestRefused):
    status = 405


class BodyTooLarge(RequestRefused):
    status = 413


class NotJson(RequestRefused):
    status = 415


class Overloaded(RequestRefused):
    """`retry_after`: seconds until it is worth trying again."""

    status = 429
    retry_after = 1


class Malformed(RequestRefused):
    """`errors`: all errors of the entries of a request, as far as they are shown, this one first.

    error_count: how many there are.
    """

    errors: tuple[LifecycleError, ...] = ()
    error_count = 0


class ReleaseRefused(LifecycleError):
    exit_code, status = 1, 503


class RunRefused(ReleaseRefused):
    """A file of the latest run is missing, or not as it was written."""


class PromotionRefused(LifecycleError):
    exit_code, status = 1, 503


class RunNotPublished(LifecycleError):
    exit_code, status = 1, 503


class StoreFailed(LifecycleError):
    exit_code, status = 4, 503


class Interrupted(LifecycleError):
    exit_code, status = 5, 503


def join_errors(errors: Sequence[LifecycleError]) -> LifecycleError:
    """The only error, or a SeveralRefused that has them all. At least one is needed."""
    if len(errors) == 1:
        return errors[0]
    joined = SeveralRefused(
        where=", ".join(error.where for error in errors),
        got="; ".join(error.got for error in errors),
        rule=" ".join(dict.fromkeys(error.rule for error in errors)),
        fix=" ".join(dict.fromkeys(error.fix for error in errors)),
    )
    joined.errors = tuple(errors)
    return joined


def owner_text(error: LifecycleError) -> str:
    """The error for the owner at the command line: four lines, up to three offending values."""
    if isinstance(error, SeveralRefused) and error.errors:
        return "\n".join(owner_text(each) for each in error.errors)
    shown = f" ({', '.join(repr(value) for value in error.values)})" if error.values else ""
    return (
        f"error in {error.where}\n"
        f"  got:  {error.got}{shown}\n"
        f"  rule: {error.rule}\n"
        f"  do:   {error.fix}"
    )


def public_details(error: LifecycleError) -> dict[str, Any]:
    """The error for HTTP, logs, metrics and MLflow: the place and the rule, never a value.

    Of a request whose entries have errors, also `errors` (a list of where and rule) and
    `error_count`, as there may be more than are listed.
    """
    details: dict[str, Any] = {
        "error": type(error).__name__,
        "where": error.where,
        "rule": error.rule,
        "do": error.fix,
    }
    if isinstance(error, Malformed) and error.errors:
        details["errors"] = [{"where": each.where, "rule": each.rule} for each in error.errors]
        details["error_count"] = error.error_count
    return details


def suggestion(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`did you mean 'x'?` where a known name is similar enough, else ''.

    cutoff: the least similarity, 0 … 1, as difflib's ratio.
    """
    similar = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{similar[0]}'?" if similar else ""
