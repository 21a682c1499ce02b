"""The series of a run: read, split, and given the transform, the autoregressions and the window that suit them best.

It is one series, or all those of a file in long form (`--group`). What a global network needs alike is chosen jointly:
scale and differences, window, calendar. Mean and deviation, split, order of the autoregression are each series' own.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from experiments.baselines.autoregression import Autoregression, candidate_orders
from experiments.common import splits
from experiments.common.flags import UserError, user_errors
from experiments.common.series import (
    AUTO,
    DEFAULT_HORIZON,
    DEFAULT_LENGTH,
    DEFAULT_SEASON,
    DEFAULT_SPACING,
    Data,
    Origins,
    SeriesConfig,
    align,
)
from rnn_jax.applications.columns import Columns, known_features
from rnn_jax.applications.series_forecaster import NamedScale
from rnn_jax.data import (
    Level,
    Log,
    Root,
    Series,
    SplitEnds,
    Transform,
    mackey_glass,
    read_series,
    read_series_by,
    split_ends,
)

SHOWN = 5  # series that are named when some are left out


@dataclasses.dataclass(frozen=True, eq=False)
class Panel:
    """The series of a run.

    Args:
      each: series.
      group: columns that name them; () if the file holds one.
      left_out: reason why a series is left out, by name.
    """

    each: list[Data]
    group: tuple[str, ...] = ()
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def first(self) -> Data:
        """The first series, for what all have alike."""
        return self.each[0]

    @property
    def lines(self) -> list[str]:
        """First lines of output: what was read."""
        if not self.group:
            return [self.first.note]
        lengths = [len(data.series.values) for data in self.each]
        columns = ", ".join(map(repr, self.group))
        lines = [
            f"{self.first.source}: {len(self.each) + len(self.left_out):,} series named by {columns}, "
            f"{len(self.each):,} of them used, of {min(lengths):,} to {max(lengths):,} rows (median "
            f"{np.median(lengths):,.0f}), {sum(lengths):,} in all",
            f"Series {self.first.name!r}{self.first.note.removeprefix(self.first.source)}",
        ]
        if self.left_out:
            reasons = [f"{name!r}: {reason}" for name, reason in itertools.islice(self.left_out.items(), SHOWN)]
            more = len(self.left_out) - len(reasons)
            lines.append(f"Left out: {'; '.join(reasons)}{f'; and {more:,} more' if more else ''}")
        return lines

    @property
    def orders(self) -> str:
        """Orders of the autoregressions, for a caption."""
        orders = [data.autoregression.order for data in self.each]
        return f"{min(orders)} to {max(orders)}" if min(orders) < max(orders) else f"{orders[0]}"

    @property
    def means(self) -> str:
        """Sentence of a caption on what pooled numbers are; empty if there is one series."""
        return f" All are means over {len(self.each)} series." if self.group else ""

    def record(self) -> dict[str, Any]:
        """Returns the fields of records of all series pooled."""
        record = self.first.record()
        if self.group:
            counts = ("training/points", "validation/points", "test/points", "filled")
            totals = {name: sum(data.record()[name] for data in self.each) for name in counts}
            record |= {"series": None, "group": ",".join(self.group), "pooled": len(self.each), **totals}
        return record

    def file_fields(self, config: SeriesConfig, model: Any) -> dict[str, Any]:
        """Returns the fields of an application that reads such a file, `ReadsSeries`."""
        layout = {
            "column": config.target,
            "fill": config.fill,
            "delimiter": config.delimiter,
            "decimal": config.decimal,
        }
        first = self.first
        scales = (NamedScale(str(data.name), data.transform, data.columns) for data in self.each if self.group)
        return {
            "model": model,
            "transform": first.transform,
            "window": first.window,
            "columns": first.columns,
            "group": self.group,
            "scales": tuple(scales),
            **layout,
        }


def load(config: SeriesConfig, horizon: int | None) -> Panel:
    """Reads the series of a config, splits them, and chooses transform, autoregressions and window.

    Of several, those that are too short or constant are left out.

    Args:
      config: config of the experiment.
      horizon: steps to forecast; None means the default of the series.

    Raises:
      UserError: if a series cannot be read, none is long enough, or the transform does not suit them.
    """
    source, named = _read(config)
    default = config.data is None
    season = config.season or (DEFAULT_SEASON if default else 12)
    horizon = horizon or (DEFAULT_HORIZON if default else season)
    window = config.window or max(32, 2 * season)
    parts, left_out = list[Part](), dict[str, str]()

    def drop(name: str | None, error: UserError) -> None:
        if name is None:
            raise error
        left_out[name] = str(error).removeprefix(f"{source}: ")

    for name, series in named.items():
        try:
            parts.append(_part(config, source, name, series, season, horizon, window))
        except UserError as error:
            drop(name, error)
    cycles = _cycles(config, source, parts)
    fits = dict[int, list[Fitted]]()
    # OpenBLAS's threads spin while they wait: if cores are shared, this takes twenty times as long with them.
    with threadpoolctl.threadpool_limits(1):
        for index, part in enumerate(parts):
            forms = [each for each in part.transforms if all(_form(each) in other.forms for other in parts)]
            fits[index] = _fits(part, forms, season, horizon, known_features(part.series, cycles, horizon + 1))
            if not fits[index]:
                text = f"{source}: no autoregression could be fitted to the training set; it is too short"
                drop(part.name, UserError(text))
    used = [(part, fits[index]) for index, part in enumerate(parts) if fits[index]]
    if not used:
        reasons = "; ".join(f"{name!r}: {reason}" for name, reason in itertools.islice(left_out.items(), SHOWN))
        raise UserError(f"{source}: no series of --group={','.join(config.group)} can be used: {reasons}")
    form = _best_form(source, used)
    chosen = [(part, min((fit for fit in each if _form(fit.transform) == form), key=_mae)) for part, each in used]
    if config.window is None:  # so that the readout can see as far back as the autoregression
        order = max(fit.model.order for _, fit in chosen)
        window = max(window, min(2 * order, min(p.ends.training for p, _ in chosen) - horizon - form.lost))
    each = []
    for part, (mae, transform, model) in chosen:
        columns = Columns.fitted(part.series, transform, part.ends.training, cycles)
        known = known_features(part.series, cycles, horizon + 1)
        given = part.name, source, part.series, part.ends, season, horizon, window, transform
        each.append(Data(*given, *align(transform, part.series), columns, known, model, mae))
    return Panel(each, config.group, left_out)


class Part(NamedTuple):
    """A series with its splits and the transforms to choose from, fitted to its training set."""

    name: str | None
    series: Series
    ends: SplitEnds
    transforms: list[Transform]

    @property
    def forms(self) -> list[Transform]:
        return list(map(_form, self.transforms))


class Fitted(NamedTuple):
    """An autoregression fitted to a training set."""

    mae: float  # on the validation set
    transform: Transform
    model: Autoregression


def _mae(fit: Fitted) -> float:
    return fit.mae


def _form(transform: Transform) -> Transform:
    """Returns a transform without mean and deviation, which are each series' own."""
    return Transform(transform.scale, transform.lags)


def _best_form(source: str, used: Sequence[tuple[Part, list[Fitted]]]) -> Transform:
    """Returns the transform with the least error on the validation sets, in deviations of each training set."""
    errors = {}
    for form in used[0][0].forms:
        least = [min((fit.mae for fit in fits if _form(fit.transform) == form), default=np.inf) for _, fits in used]
        deviations = [np.std(part.series.values[: part.ends.training]) for part, _ in used] if len(used) > 1 else [1.0]
        errors[form] = float(np.mean(np.divide(least, deviations)))
    best = min(errors, key=lambda form: errors[form])
    if not np.isfinite(errors[best]):
        raise UserError(f"{source}: no transform suits all series of --group: choose one by --transform")
    return best


def _part(
    config: SeriesConfig, source: str, name: str | None, series: Series, season: int, horizon: int, window: int
) -> Part:
    ends = _split(config, source, len(series.values), season, horizon)
    room = ends.training - window - horizon
    transforms = _transforms(config.transform, season, series.values, ends.training)
    candidates = [transform for transform in transforms if transform.lost <= room]
    if not candidates:
        raise UserError(
            f"{source}: too short: its training set has {ends.training} points, and windows of {window} with "
            f"--horizon={horizon} need more; a smaller --window, --season or --horizon needs less"
        )
    return Part(name, series, ends, candidates)


def _read(config: SeriesConfig) -> tuple[str, dict[str | None, Series]]:
    """Returns the source, and the series by name; a single one has none."""
    if config.data is not None:
        layout = config.target, config.fill, config.delimiter, config.decimal, config.covariates
        try:
            if not config.group:
                return config.data, {None: read_series(config.data, *layout)}
            named = read_series_by(config.data, config.group, *layout)
        except ValueError as error:
            hints = {
                "rows are filled": "--fill=N fills gaps of up to N rows",
                "choose ": "as flags --delimiter, --decimal",
            }
            hint = "".join(f"; {hint}" for words, hint in hints.items() if words in str(error))
            raise UserError(f"--data: {error}{hint}") from error
        if len(named) < 2:
            raise UserError(
                f"--group={','.join(config.group)} must name several series, got {next(iter(named))!r} in every row of "
                f"{config.data}; leave it out"
            )
        return config.data, dict[str | None, Series](named.items())
    for name in ("group", "target", "covariates", "calendar", "delimiter", "decimal"):
        if value := getattr(config, name):
            text = ",".join(value) if isinstance(value, tuple) else value
            raise UserError(f"--{name}={text} needs a file: --data=FILE")
    labels = tuple(f"{i * DEFAULT_SPACING:g}" for i in range(DEFAULT_LENGTH))
    values = mackey_glass(DEFAULT_LENGTH, spacing=DEFAULT_SPACING)
    return "Mackey-Glass, tau 17", {None: Series("x", labels, values, np.ones(DEFAULT_LENGTH, bool))}


def _cycles(config: SeriesConfig, source: str, parts: Sequence[Part]) -> tuple[str, ...]:
    """Returns the calendar features that the config asks for and every training set can teach."""
    steps = {str(part.series.step or "no dates"): part.name for part in parts}
    if len(steps) > 1:
        got = ", ".join(f"{step} in {name!r}" for step, name in steps.items())
        raise UserError(f"{source}: all series of --group must have dates at the same steps, got {got}")
    if not config.calendar or not parts:
        return ()
    each = [_own_cycles(source, part) for part in parts]
    shared = tuple(name for name in each[0] if all(name in others for others in each))
    if not shared:
        raise UserError(f"--calendar: the series of {source} span no hour of day, day of week or month twice together")
    return shared


def _own_cycles(source: str, part: Part) -> tuple[str, ...]:
    series, end = part.series, part.ends.training
    if series.times is None or series.step is None:
        raise UserError(f"--calendar needs dates as 2024-01-31 or 2024-01-31 13:00, {source} has {series.labels[0]!r}")
    if cycles := series.step.cycles(series.times[:end]):
        return cycles
    owner = "" if part.name is None else f" of {part.name!r}"
    raise UserError(
        f"--calendar: {source} has steps of {series.step} and a training set{owner} up to {series.labels[end - 1]}, "
        "which resolve and span no hour of day, day of week or month twice"
    )


def _split(config: SeriesConfig, source: str, length: int, season: int, horizon: int) -> SplitEnds:
    shares = splits.shares(config.split)
    with user_errors(f"--split={','.join(config.split)}, {source}"):
        ends = split_ends(length, shares, least=2)
    for split, points in zip(("validation", "test"), np.diff(ends), strict=True):
        if points < horizon:
            raise UserError(
                f"{source}: too short: --horizon={horizon} needs as many points in its {split} set, which has {points}"
            )
    if ends.training <= season:
        raise UserError(f"--season={season} must be shorter than the training set, {ends.training} points")
    return ends


def _transforms(name: str, season: int, values: np.ndarray, end: int) -> list[Transform]:
    """Returns the transforms to choose from, fitted to the training set values[:end]."""
    scales = {scale.name or "level": scale for scale in (Level(), Log(), Root())}
    if name == AUTO:
        all_lags = [(), (1,), *([(season,), (1, season)] if season > 1 else [])]
        transforms = [Transform(scale, lags) for scale, lags in itertools.product(scales.values(), all_lags)]
    else:
        first, *rest = name.split("-")
        if first not in scales or not all(lag.isdecimal() and int(lag) for lag in rest):
            raise UserError(
                f"--transform must be {AUTO}, or {', '.join(scales)} with lags of differences, as level-1 or "
                f"log-1-12, got {name!r}"
            )
        transforms = [Transform(scales[first], tuple(map(int, rest)))]
    fitted, reasons = [], []
    for transform in transforms:
        if not transform.scale.accepts(values):  # the whole series must be accepted, to forecast the test set
            reasons.append(f"{transform.name} cannot take its least value, {values.min():g}")
            continue
        try:
            fitted.append(transform.fitted(values[:end]))
        except ValueError as error:
            reasons.append(str(error))
    if not fitted:
        detail = "the training set cannot be standardised: " if name == AUTO else ""
        raise UserError(f"--transform={name}: {detail}{reasons[-1]}")
    return fitted


def _fits(part: Part, transforms: list[Transform], season: int, horizon: int, known: np.ndarray) -> list[Fitted]:
    """Returns autoregressions fitted to the training set, with their mean absolute error on the validation set."""
    series, ends = part.series, part.ends
    validation = Origins.between(series, *ends[:2], horizon)
    fits = []
    for transform in transforms:
        z, usable = align(transform, series)
        x = np.column_stack([z, Columns.fitted(series, transform, ends.training).forward(series)])
        base = validation.base(series.values, transform)
        future = validation.future(known, horizon)
        for order in candidate_orders(season, int(usable[: ends.training].sum()), x.shape[1]):
            if validation.points[0] - order - transform.lost < 0:  # the first origin has too short a history
                continue
            try:
                model = Autoregression.fit(x[: ends.training], usable[: ends.training], order, known[: ends.training])
            except ValueError:  # too few points
                continue
            with np.errstate(over="ignore", invalid="ignore"):  # some are unstable
                ahead = model.forecast(validation.histories(x, order).transpose(0, 2, 1), future)
                errors = np.abs(transform.inverse(transform.accumulate(ahead), base) - validation.actual)
            mae = float(np.mean(errors[validation.scored]))
            if np.isfinite(mae):
                fits.append(Fitted(mae, transform, model))
    return fits
