"""Consent means the same at every door: training, scores, the service, Python and lists."""

from __future__ import annotations

import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.audit import perturbations
from features.core import errors
from features.core.instants import DAY_US, instant
from features.core.settings import settings_from_mapping
from features.engine.consent import consent_counts, with_consent
from features.tables.history import load_history
from lifecycle.business import Business as OpenBusiness
from lifecycle.commands.check import build_report
from lifecycle.commands.check_text import report_text
from serving.api.schemas import ScoreRequest, rfc3339
from serving.api.state import ServingState
from serving.batch import run_folders
from training.job import TrainingRun
from training.reports.scores_text import scores_text

PEOPLE = (
    "customer_id,valid_from,consent\n"
    "a,2024-01-01,yes\n"
    "b,2024-01-01,no\nb,2024-03-01,yes\n"  # agreed later
    "c,2024-01-01,yes\nc,2024-03-01,no\n"  # withdrawn
    "d,2024-01-01,\n"  # never said
    "e,2024-05-01,yes\n"
)
SHOP = "customer_id,occurred_at,amount\n" + "".join(
    f"{who},2024-{month:02d}-{1 + place:02d},10\n"
    for place, who in enumerate("abcdef")
    for month in range(1, 7)
)
REFERRALS = "referrer_id,referred_id,occurred_at\na,b,2024-02-01\na,c,2024-02-01\n"


def load(folder, people=PEOPLE, **consent):
    texts = {"transactions": SHOP, "referrals": REFERRALS}
    texts |= {"customers": people} if people else {}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    mapping = {
        "business": {"zone": "UTC"},
        "files": {f"{name}_file": f"{name}.csv" for name in texts},
        "tables": {name: f"SELECT * FROM {name}_file" for name in texts},
        "consent": consent,
    }
    settings = settings_from_mapping(mapping, folder=folder, where="test")
    return settings, *load_history(settings)


def ids(history, name="transactions", column="customer_id"):
    rows = history.connection.execute(f"SELECT DISTINCT {column} FROM {name} ORDER BY 1")
    return "".join(value for (value,) in rows.fetchall())


@pytest.mark.parametrize(("day", "agreed"), [("2024-02-01", "ac"), ("2024-06-01", "abe")])
def test_the_current_flag_counts_and_an_empty_one_is_no_consent(tmp_path, day, agreed):
    settings, history, _ = load(tmp_path, train=True, score=True)
    at = instant(day, zone="UTC")
    for purpose in ("train", "score"):
        limited = with_consent(history, settings, purpose, at=at)
        assert ids(limited) == agreed
        assert set(ids(limited, "customers")) == set(agreed)
        assert set(ids(limited, "referrals", "referred_id")) <= set(agreed)
        assert limited.data_until == history.data_until
        # Everybody left consents: nothing more to leave out.
        assert with_consent(limited, settings, purpose, at=at) is limited
    assert ids(history) == "abcdef"  # what was read is unchanged


def test_what_needs_no_consent_takes_everybody(tmp_path):
    settings, history, _ = load(tmp_path, score=True)
    assert with_consent(history, settings, "train", at=history.data_until) is history


def test_consent_that_nobody_can_have_given_is_refused(tmp_path):
    plain = "customer_id,valid_from\na,2024-01-01\n"
    settings, history, _ = load(tmp_path, people=plain, train=True)
    with pytest.raises(errors.ColumnMissing, match="no customer with a consent flag"):
        with_consent(history, settings, "train", at=history.data_until)
    with pytest.raises(errors.BadSetting, match="consent"):
        load(tmp_path, people="", train=True)


@pytest.mark.parametrize("purpose", ["train", "score", "list"])
def test_a_flag_that_is_needed_and_not_there_is_refused_before_any_work(tmp_path, purpose):
    """By `check`, and by a training also where only its scores or lists would need the flag."""
    plain = "customer_id,valid_from\na,2024-01-01\n"
    settings, history, counts = load(tmp_path, people=plain, **{purpose: True})
    for begin in (
        lambda: build_report(history, counts, settings),
        lambda: TrainingRun(history, settings),
    ):
        with pytest.raises(errors.ColumnMissing, match=f"{purpose} = false") as refused:
            begin()
        assert refused.value.where == f"[consent] {purpose} = true"


def test_by_default_lists_need_no_flag(tmp_path):
    settings, history, counts = load(tmp_path, people="customer_id\na\n")
    assert build_report(history, counts, settings)["consent"] is None


def test_training_and_examples_see_those_who_consented_alone(tmp_path):
    settings, history, counts = load(tmp_path, train=True)
    assert ids(TrainingRun(history, settings).history) == "abe"
    assert ids(history) == "abcdef"
    quick = settings.model_copy(
        update={"churn": settings.churn.model_copy(update={"horizon_days": 30})}
    )
    rows = OpenBusiness(quick, history, counts).examples(frames="arrow").frame
    assert set(rows["customer_id"].to_pylist()) <= set("abe")


def test_check_counts_the_flags_and_says_what_they_are_needed_for(tmp_path):
    settings, history, counts = load(tmp_path, score=True)
    expected = {"yes": 3, "no": 1, "unknown": 2, "needed_for": ["score", "list"]}
    assert consent_counts(history, settings) == expected
    text = report_text(build_report(history, counts, settings, now=history.data_until))
    assert "consent: yes 3, no 1, unknown 2; needed for score, list" in text
    plain, without, _ = load(tmp_path, people="customer_id,valid_from\na,2024-01-01\n")
    assert consent_counts(without, plain) is None


def test_who_may_be_listed_is_no_part_of_a_release(tmp_path):
    ours = [load(tmp_path, **consent)[0].definitions() for consent in ({}, {"list": False})]
    assert ours[0] == ours[1]
    assert ours[0] != load(tmp_path, score=True)[0].definitions()


def with_flags(business):
    """The trained business where every second customer consents, and consent is needed."""
    consent = business.settings.consent.model_copy(update={"score": True})
    settings = business.settings.model_copy(update={"consent": consent})
    tables = perturbations.read_tables(business.history)
    people = tables["customers"]
    flags = pa.array([int(name[-1]) % 2 == 0 for name in people["customer_id"].to_pylist()])
    place = people.column_names.index("consent")
    tables["customers"] = people.set_column(place, "consent", flags)
    return settings, perturbations.rebuild_history(business.history, tables)


@pytest.fixture
def scored(trained_shop):
    """The run and the release of the shop where consent is needed for scores."""
    settings, history = with_flags(trained_shop)
    release = dataclasses.replace(trained_shop.release, config=settings.definitions())
    batch = run_folders.score_batch(history, settings, release, as_of=trained_shop.run.as_of)
    return settings, history, release, batch


def test_a_run_has_no_row_of_who_did_not_consent(scored, trained_shop):
    _, _, _, batch = scored
    rows = pq.read_table(batch.folder / "scores.parquet")
    everybody = pq.read_table(trained_shop.run.folder / "scores.parquet")["customer_id"]
    expected = [name for name in everybody.to_pylist() if int(name[-1]) % 2 == 0]
    assert rows["customer_id"].to_pylist() == expected
    for file in sorted((batch.folder / "history").glob("*.parquet")):
        assert set(pq.read_table(file)["customer_id"].to_pylist()) <= set(expected)


def test_a_list_names_nobody_without_consent_and_says_how_many(scored):
    _, _, _, batch = scored
    folder = batch.folder
    people = pq.read_table(folder / "history" / "customers.parquet")
    refused = pa.array([False] * people.num_rows)
    place = people.column_names.index("consent")
    assert "of them are not listed" not in scores_text(folder, consent=True)
    pq.write_table(
        people.set_column(place, "consent", refused), folder / "history" / "customers.parquet"
    )
    text = scores_text(folder, consent=True)
    ids = pq.read_table(folder / "scores.parquet")["customer_id"].to_pylist()
    assert not [each for each in ids if each in text.split()]
    assert "of them are not listed: no consent" in text
    assert [each for each in ids if each in scores_text(folder, consent=False).split()]


def test_the_service_scores_no_raw_events_without_consent(shop_service, trained_shop):
    settings, _ = with_flags(trained_shop)
    served = dataclasses.replace(shop_service.desk.served, settings=settings)
    population_at = max(each.population.as_of for each in served.prepared)
    day = rfc3339(population_at)
    bought = [{"occurred_at": day, "amount": 5.0}]
    flags = {"yes": True, "no": False, "empty": None}
    body = {
        "customers": [
            {
                "customer_id": name,
                "transactions": bought,
                "customers": [{"acquired_at": day, "consent": flag}],
            }
            for name, flag in flags.items()
        ]
        + [{"customer_id": "silent", "transactions": bought}],
    }
    request = ScoreRequest.model_validate_json(json.dumps(body))
    entries = ServingState(served).score_by_events(request, now=population_at + DAY_US)["scores"]
    errors_by_id = {entry["customer_id"]: entry["error"] for entry in entries}
    refused = dict.fromkeys(("no", "empty", "silent"), "no_consent")
    assert errors_by_id == {"yes": None, **refused}
    assert all(entry["p_churn"] is None for entry in entries if entry["error"])
