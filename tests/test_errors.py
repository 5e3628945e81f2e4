"""The error tree: every leaf has its exit code and status, and values reach the owner only."""

from __future__ import annotations

import pytest

from features.core import errors

CODES = {
    "LifecycleError": (1, 500),
    "UsageError": (2, 400),
    "UnknownKey": (2, 400),
    "BadSetting": (2, 400),
    "SelectRefused": (2, 400),
    "InputRefused": (3, 422),
    "FileMissing": (3, 422),
    "QueryFailed": (3, 422),
    "ColumnMissing": (3, 422),
    "WrongType": (3, 422),
    "NaiveTime": (3, 422),
    "EmptyTable": (3, 422),
    "DuplicateCustomers": (3, 422),
    "ContradictoryVersions": (3, 422),
    "SnapshotRefused": (3, 422),
    "SeveralCurrencies": (3, 422),
    "AsOfTooLate": (3, 422),
    "AsOfInSample": (3, 422),
    "FeedSilent": (3, 422),
    "TimestampsMissing": (3, 422),
    "SeveralRefused": (3, 422),
    "ImmatureWindow": (3, 422),
    "NotEnoughData": (3, 422),
    "LeakSuspected": (3, 422),
    "ArchetypeRefused": (3, 422),
    "RequestRefused": (3, 422),
    "KeyMissing": (3, 401),
    "KeyUnknown": (3, 401),
    "OriginRefused": (3, 403),
    "Overloaded": (3, 429),
    "NotFound": (3, 404),
    "MethodRefused": (3, 405),
    "BodyTooLarge": (3, 413),
    "NotJson": (3, 415),
    "Malformed": (3, 422),
    "ReleaseRefused": (1, 503),
    "RunRefused": (1, 503),
    "PromotionRefused": (1, 503),
    "RunNotPublished": (1, 503),
    "StoreFailed": (4, 503),
    "Interrupted": (5, 503),
}


def tree(kind=errors.LifecycleError):
    return [kind, *(below for child in kind.__subclasses__() for below in tree(child))]


def test_every_error_has_its_exit_code_and_status():
    assert {kind.__name__: (kind.exit_code, kind.status) for kind in tree()} == CODES


def test_the_docstring_draws_the_whole_tree():
    drawn = errors.__doc__ or ""
    assert [kind.__name__ for kind in tree() if kind.__name__ not in drawn] == []


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_the_owner_sees_three_values_and_nobody_else_sees_any(kind):
    error = kind(
        where="here",
        got="5 rows",
        rule="Be good.",
        fix="Try.",
        values=["secret-1", "secret-2", "secret-3", "secret-4"],
    )
    owner, others = errors.owner_text(error), str(errors.public_details(error))
    assert "secret-3" in owner
    assert "secret-4" not in owner
    assert "secret" not in others
    assert "secret" not in str(error)
    assert {"here", "Be good.", "Try."} <= set(errors.public_details(error).values())
