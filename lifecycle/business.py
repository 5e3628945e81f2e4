"""A business opened from its configuration: what data scientists ask of it, in frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from features.core.errors import BadSetting
from features.core.instants import day_text
from features.core.settings import load_settings
from features.engine import many_dates
from features.engine.consent import with_consent
from features.indicators.what_if import read_what_if
from features.plausibility import definition_report
from features.recipes.stages import STATE_COLUMNS
from features.tables.history import load_history, newest_as_of, refuse_too_late
from lifecycle import pair_rows
from lifecycle.arguments import AsOf, read_path
from lifecycle.campaigns import Campaigns
from lifecycle.commands import check, check_text
from lifecycle.commands.report import Wish, make_page
from lifecycle.commands.value import make_value_tables
from lifecycle.frames import Frames, from_frame, to_frame
from lifecycle.model import Model
from lifecycle.monitoring import Monitoring
from lifecycle.opened import one_at_a_time
from lifecycle.results import Backtest, Examples, Report, Training


class Business(Campaigns, Monitoring):
    """One business as of the data that its configuration names. Open it with `lifecycle.open`.

    Frames are pandas where nothing else is asked; `frames="arrow"` or `frames="polars"` gives
    those. `as_of` is text (`"2024-06-01"`, local midnight, or an RFC 3339 instant), a date or a
    datetime; one without a zone is local time of the business, in a frame of pairs too. In the
    frames that come back it is a datetime in UTC. Calls from several threads wait for each other.
    """

    def __repr__(self) -> str:
        return f"Business({self.settings.business.name!r}, tables={list(self.history.names)})"

    @one_at_a_time
    def check(self, *, definition: bool = False) -> Report:
        """Every row counted, the span of the data, the stages in days, and what looks wrong.

        `["findings"]` lists what looks wrong: name, table, sentence, fix (what to type), counts and
        up to three values. `definition=True` adds `["definition"]`: how the eligible customers, the
        churn rate and the share that came back move with horizon, eligible_days and grace.

        >>> shop.check()["tables"]["transactions"]["rejected"]
        {}
        """
        report = check.build_report(self.history, self._counts, self.settings)
        if definition:
            report["definition"] = definition_report(self.history, self.settings)
        return Report(report, check_text.report_text(report))

    @one_at_a_time
    def audit(self, features: Any = None, *, dates: int = 6, seed: int = 7) -> Report:
        """Check that no feature uses later rows; or judge a feature table that somebody else made.

        `features`: a frame or a file with customer_id, as_of and columns of any kind.
        `["findings"]` then names columns that equal one of ours at a later instant, that foretell
        churn as nothing known does, or that change only after leaving, each with its evidence;
        `["passed"]` is False where one is a leak. `dates`, `seed`: how many instants are looked at,
        and which. Errors: NotEnoughData; ColumnMissing, WrongType and EmptyTable for a table that
        cannot be read or matches no row.

        >>> rows = shop.features(as_of=["2023-01-01", "2023-06-01"])
        >>> shop.audit(features=rows[["customer_id", "as_of", "recency"]])["passed"]
        True
        """
        from features import audit as audits
        from lifecycle.given_tables import read_given

        if features is None:
            report = audits.audit(self.history, self.settings, dates=dates, seed=seed)
            return Report(report, audits.report_text(report))
        table = read_given(features, self.settings, audits.read_feature_table)
        report = audits.audit_table(table, self.history, self.settings, dates=dates, seed=seed)
        return Report(report, audits.table_text(report))

    @one_at_a_time
    def features(
        self,
        *,
        as_of: AsOf | Sequence[AsOf] | None = None,
        pairs: Any = None,
        model: Model | None = None,
        frames: Frames = "pandas",
    ) -> Any:
        """Feature rows of everybody at one or several instants, or of each pair at its own.

        `as_of`: one row for each customer with activity before the instant, by as_of and
        customer_id. `pairs`: a frame with `customer_id` and `as_of`; its rows come back in their
        order with all their columns, then the features. They are null where the customer is unknown
        or had no activity by then. `model`: build the rows that its `predict` takes. What is frozen
        (usual gap, stage limits, windows) comes from the model then; without it, it is learned from
        what was known at the earliest as_of, and differs. Where [consent] score needs it, rows for
        a model are of those who consented.
        Errors: BadSetting where both or neither of as_of and pairs is given; AsOfTooLate for
        instants beyond the data; ColumnMissing, WrongType, EmptyTable for pairs that cannot be
        read.

        >>> rows = shop.features(as_of="2023-01-01")
        >>> bool(rows["as_of"].eq("2023-01-01T00:00:00Z").all())
        True
        """
        if (as_of is None) == (pairs is None):
            raise BadSetting(
                where="features",
                got="both or neither of as_of and pairs",
                rule="Features are made for everybody at some instants, or for pairs.",
                fix="Give one of the two.",
            )
        if model is not None and not isinstance(model, Model):
            raise BadSetting(
                where="model",
                got=f"a {type(model).__name__}",
                rule="It is a model, as lc.load_release gives it.",
                fix="Write model=lc.load_release().",
            )
        definitions, history = None, self.history
        if model is not None:
            # Rows for a model are rows to be scored.
            definitions = model.definitions
            history = with_consent(history, self.settings, "score", at=history.data_until)
        if pairs is not None:
            table = from_frame(pairs)
            rows = pair_rows.features_of_pairs(history, self.settings, table, definitions)
            return to_frame(rows, frames)
        instants = sorted(set(self._instants(as_of)))
        refuse_too_late(history, self.settings, instants[-1])
        rows = many_dates.build_for_dates(
            history, self.settings, as_of=instants, definitions=definitions
        )
        return to_frame(rows, frames)

    @one_at_a_time
    def stages(self, *, frames: Frames = "pandas") -> Any:
        """The stage of every customer, month by month: customer_id, as_of, stage, stage_rule.

        >>> sorted(shop.stages()["stage"].unique())[0]
        'at_risk'
        """
        from training.stage_history import stage_history

        return to_frame(stage_history(self.history, self.settings), frames)

    @one_at_a_time
    def value(
        self,
        *,
        as_of: AsOf | None = None,
        what_if: str | None = None,
        frames: Frames = "pandas",
    ) -> dict[str, Any]:
        """The tables a business looks at, by name: RFM, tiers, cohorts, growth, satisfaction …

        `as_of`: default: the local midnight right after the data. Each row has as_of, population,
        n, low, high (95 %), definition, and missing: what is not in the data, in a row without
        numbers. `what_if`: "retention=+5%" for a table of what that is worth. Errors:
        AsOfTooLate; SeveralCurrencies; BadSetting.

        >>> shop.value()["rfm_segments"]["segment"].iloc[0]
        'champions'
        """
        at = None if as_of is None else self._instants(as_of)[0]
        change = read_what_if(what_if)
        tables = make_value_tables(self.history, self.settings, at, what_if=change).tables
        return {name: to_frame(table, frames) for name, table in tables.items()}

    @one_at_a_time
    def report(
        self, out: str | Path, *, as_of: AsOf | None = None, with_ids: bool = False
    ) -> Report:
        """Draw the page with the answers: one HTML file, tables and lists in a folder beside it.

        In English and Chinese, without a script; nothing in it is loaded from elsewhere. `as_of`:
        default: the local midnight right after the data; scores are those of that day.
        `with_ids`: name the first customers to keep in the page itself. Returns `page`, `files`,
        and in `lists` how many customers each list has. Errors: AsOfTooLate; SeveralCurrencies;
        StoreFailed.

        >>> sorted(shop.report(folder / "report.html"))  # doctest: +SKIP
        ['files', 'lists', 'page']
        """
        at = None if as_of is None else self._instants(as_of)[0]
        options = ", with_ids=True" if with_ids else ""
        wish = Wish(
            read_path(out, where="out"),
            lambda at: (
                f'shop.report("…", as_of="{day_text(at, zone=self.settings.zone)}"{options})'
            ),
            with_ids=with_ids,
        )
        page = make_page(self.history, self._counts, self.settings, at, wish)
        return Report(page.report(), page.text())

    @one_at_a_time
    def examples(self, *, frames: Frames = "pandas") -> Examples:
        """Feature rows with their outcomes at every training and evaluation date.

        Each target of the configuration is a further label, the column target_<name>. The frame
        also has event_within_<h>d for each horizon of the curve and money_within_<h>d for those of
        money (in margin where [value] margin reads the column), null where it is not known yet, or
        where too few rows have a margin; with contracts cancelled_in_window, whether a term
        was cancelled by the end of the horizon.

        Where [consent] train needs it, of those who consented.

        Errors: ImmatureWindow, NotEnoughData where the data are too short for a date.

        >>> examples = shop.examples()
        >>> examples.labels
        ('churned', 'outcome_stage')
        """
        from features.labels.event_times import event_column
        from features.labels.later_money import money_column
        from features.labels.leaving_cause import CANCELLED_COLUMN
        from features.labels.targets import label_column
        from training.examples import LABELS, make_examples
        from training.plan import make_plan

        history = with_consent(self.history, self.settings, "train", at=self.history.data_until)
        examples = make_examples(history, self.settings, make_plan(history, self.settings))
        rows = examples.rows
        empty = {name for name in examples.modelled if rows[name].null_count == rows.num_rows}
        features = tuple(name for name in examples.modelled if name not in empty)
        labels = (*LABELS, *(label_column(name) for name in self.settings.targets))
        later = [event_column(days) for days in self.settings.curve_horizons]
        later += [money_column(days) for days in self.settings.money_horizons]
        later += [CANCELLED_COLUMN] if self.settings.contractual else []
        shown = rows.select([*STATE_COLUMNS, *features, *labels, *later, "split"])
        unused = tuple(name for name in examples.names if name not in features)
        late = examples.late_activity
        return Examples(to_frame(shown, frames), features, unused, late, labels)

    @one_at_a_time
    def train(
        self,
        only: str | None = None,
        *,
        as_of: AsOf | None = None,
        learning_curve: bool = False,
        ablation: bool = False,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Training:
        """Train both models, evaluate them beside the baselines, write a release (not served yet).

        `as_of`: the release of that day; what was recorded at or after it does not exist then.

        `only`: "churn" or "next-stage"; the other model comes from the newest release.
        `learning_curve`: also refit on fewer customers and dates. `ablation`: also refit without
        each family of features. `name`, `tags`: of the runs in MLflow, which stores them as they
        are, so without anything of a customer. Errors: NotEnoughData; LeakSuspected; ReleaseRefused
        where `only` meets a changed configuration; BadSetting for a name or tag of other rules.
        """
        from training import job, past
        from training.reports.release_text import release_text
        from training.tracking.run_labels import read_labels

        labels = read_labels(name, tags)
        at = None if as_of is None else self._instants(as_of)[0]
        history, settings, day = past.what_to_train_on(self.history, self.settings, at, only=only)
        trained = job.train(
            history,
            settings,
            only=only,
            learning_curve=learning_curve,
            with_ablation=ablation,
            past=day,
            labels=labels,
        )
        release = trained.folder.name
        text = release_text(release, trained.status, trained.evaluation, trained.runs)
        return Training(release, trained.status, trained.evaluation, trained.runs, text)

    def promote(self, release: str | None = None, *, force: str | None = None) -> Model:
        """Verify a release (the newest where none is named) and serve it from now on.

        Errors: PromotionRefused where it has no skill or is worse than what is served, unless
        `force` gives a reason, which is recorded.
        """
        from training.promote import promote

        return Model(promote(release, force=force))

    @one_at_a_time
    def judge(
        self,
        predictions: Any,
        *,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Report:
        """Judge anybody's predictions on these labels, beside the same baselines as our models.

        `predictions`: a frame or a file with customer_id, as_of, and p or the seven p_next_<stage>.
        `name`, `tags`: of the run in MLflow. Errors: ColumnMissing, WrongType and EmptyTable
        for predictions that cannot be read or match no row; NotEnoughData.

        >>> rows = shop.examples().frame.query("split == 'evaluate'")
        >>> report = shop.judge(rows[["customer_id", "as_of"]].assign(p=0.3))
        >>> report["predictions"]["judged"] == len(rows)
        True
        """
        from lifecycle.given_tables import read_given
        from training.judge import judge
        from training.predictions_file import read_predictions
        from training.tracking.run_labels import read_labels

        labels = read_labels(name, tags)
        given = read_given(predictions, self.settings, read_predictions)
        judged = judge(self.history, self.settings, given, labels=labels)
        return Report(judged.report, judged.text)

    @one_at_a_time
    def compare(self, *sets: str | Path, **frames: Any) -> Report:
        """Compare predictions with the first of them on the rows that all of them predict.

        `sets`: paths of files, ids of releases or runs that were trained here. `frames`: frames by
        name. Errors: those of `judge`; BadSetting for fewer than two, and where one answers another
        question; FileMissing.
        """
        from lifecycle.given_predictions import given_set
        from training.compare import compare
        from training.reports.compared_text import compared_text

        given = [*((str(each), each) for each in sets), *frames.items()]
        report = compare(
            self.history,
            self.settings,
            [given_set(name, each, self.settings) for name, each in given],
        )
        return Report(report, compared_text(report))

    @one_at_a_time
    def backtest(self, *, as_of: Iterable[AsOf] = (), frames: Frames = "pandas") -> Backtest:
        """Train and predict at earlier dates as if each were today, and compare with what happened.

        `as_of`: the dates; the newest eight where none is given. Errors: ImmatureWindow,
        NotEnoughData.
        """
        from training.backtest.backtest import backtest

        dates = list(as_of)
        walked = backtest(self.history, self.settings, as_of=self._instants(dates) if dates else ())
        report = Report(walked.report, walked.text)
        return Backtest(report, to_frame(walked.predictions, frames), walked.folder)

    @one_at_a_time
    def score(
        self,
        *,
        as_of: AsOf | None = None,
        in_sample: bool = False,
        accept_shift: str | None = None,
        frames: Frames = "pandas",
    ) -> Any:
        """Score everybody at one instant with what is served (default: the last local midnight).

        Where the data end less than max_staleness_days before it, the midnight right after them.

        The scores are also written to `scores/` under LIFECYCLE_HOME, as `lifecycle score` does.
        Errors: ReleaseRefused where nothing is served or the configuration differs; AsOfTooLate;
        AsOfInSample for an as_of whose outcomes the release has learned. With `in_sample` it is
        scored, and every row's `warnings` say in_sample. RunNotPublished where the run moved
        further than training dates ever did, unless `accept_shift` gives the reason for the record.
        """
        from serving.batch import run_folders
        from serving.release.release import current_release_folder
        from serving.release.sandbox import load_in_subprocess

        run_folders.refuse_archetype(self.settings)
        newest = newest_as_of(self.history, self.settings)
        at = newest if as_of is None else self._instants(as_of)[0]
        release = load_in_subprocess(current_release_folder())
        run = run_folders.score_batch(
            self.history,
            self.settings,
            release,
            as_of=at,
            in_sample=in_sample,
            accept_shift=accept_shift,
        )
        return to_frame(pq.read_table(run.folder / "scores.parquet"), frames)


def open_business(
    config: str | Path = "lifecycle.toml", *, changes: Mapping[str, Any] | None = None
) -> Business:
    """Read the configuration and all the data it names.

    `changes`: settings other than in the file, by dotted key, validated like the file. Errors:
    UsageError for the configuration, InputRefused for the data; each says what to type or change.

    >>> shop = lc.open(folder / "lifecycle.toml")
    >>> shop
    Business('Demo shop', tables=['customers', 'transactions', 'interactions', 'feedback'])
    >>> monthly = lc.open(folder / "lifecycle.toml", changes={"churn.horizon_days": 30})
    >>> monthly.settings.churn.horizon_days
    30
    """
    settings = load_settings(read_path(config, where="config"), changes)
    history, counts = load_history(settings)
    return Business(settings, history, counts)


def simulate(
    folder: str | Path,
    *,
    customers: int = 3000,
    days: int = 1096,
    seed: int = 7,
    mode: str = "retail",
    horizon_days: int = 60,
    actions: bool = False,
) -> Business:
    """Write a simulated business to `folder` (data, lifecycle.toml, the truth apart) and open it.

    `mode`: "retail" or "subscription". Equal arguments give equal data. `truth/truth.parquet` holds
    each customer's true probability of leaving at the first of each month. `actions`: with a
    campaign of three actions and a hold-out, in the mode "retail". ValueError for arguments out of
    range.

    >>> len(lc.simulate(folder / "small", customers=50, days=200).stages()) > 0
    True
    """
    from lifecycle import simulation

    simulated = simulation.simulate(
        customers=customers,
        days=days,
        seed=seed,
        mode=mode,
        horizon_days=horizon_days,
        actions=actions,
    )
    simulation.write(simulated, folder=Path(folder))
    return open_business(Path(folder) / "lifecycle.toml")
