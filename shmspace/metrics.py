"""Metrics that add up over all processes: counters, gauges and histograms in a store, and a collector for Prometheus.

They are used as those of `prometheus_client`, with the store in which they are kept. Each process changes numbers of
its own, in about a microsecond and without waiting for others; `read` and `Collector` add them up, in any process.
What a process has counted stays when it ends, is killed or is replaced, and is never counted twice. `fork` is minded.

The numbers are in the store under ``metrics/``; `store.clear()` would make them begin anew. Only `Collector` needs
`prometheus_client`.

>>> import shmspace
>>> from shmspace import metrics
>>> with shmspace.open("doc-metrics", size="2M") as space:
...     store = space.store("metrics")
...     requests = metrics.Counter("requests", "Requests served", ["method"], store=store)
...     requests.labels("get").inc()
...     requests.labels(method="get").inc(2)
...     [(family.name, family.samples) for family in metrics.read(store)]
...     space.destroy()
[('requests', {('get',): 3.0})]
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

from .metric_slots import Series, define, drop_dead, labels_of, labels_segment, series

if TYPE_CHECKING:
    from prometheus_client import Metric

    from .store import Store

__all__ = ["Collector", "Counter", "Family", "Gauge", "Histogram", "read"]

_Mode = Literal["sum", "max", "min", "last"]
_MetricType = TypeVar("_MetricType", bound="_Metric")

_INFINITE = float("inf")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_REDUCE: dict[str, Callable[[Iterable[float]], float]] = {"sum": sum, "max": max, "min": min}


class _Metric:
    """What all metrics have in common: a name, labels, and a store."""

    _type: ClassVar[str]
    _reserved: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        *,
        store: Store,
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
    ) -> None:
        self.name = _full_name(self._type, (namespace, subsystem, name), unit)
        self.documentation = documentation
        self.labelnames = _checked_labels(labelnames, self._reserved)
        self.store = store
        self.unit = unit
        self._labelvalues: tuple[str, ...] | None = None
        self._children: dict[tuple[str, ...], Any] = {}
        family = {"type": self._type, "help": documentation, "labels": list(self.labelnames), "unit": unit}
        define(store, self.name, {**family, **self._particulars()})
        if not self.labelnames:
            self._begin(())

    def _particulars(self) -> dict[str, Any]:
        return {}

    def _prepare(self, prefix: str) -> None:
        raise NotImplementedError

    def _begin(self, labelvalues: tuple[str, ...]) -> None:
        self._labelvalues = labelvalues
        self._prepare(f"{self.name}/{labels_segment(labelvalues)}")

    def __repr__(self) -> str:
        return f"<shmspace.metrics.{type(self).__name__} {self.name}>"

    def labels(self: _MetricType, *labelvalues: object, **labelkwargs: object) -> _MetricType:
        """Give the metric for these values of the labels, by place or by name; any object, as its `str`.

        Raises `ValueError` when the metric has no labels, or others.
        """
        if not self.labelnames:
            raise ValueError(f"{self!r} has no labels")
        if self._labelvalues is not None:
            raise ValueError(f"{self!r} has its labels already: {self._labelvalues}")
        if labelvalues and labelkwargs:
            raise ValueError("values of labels are given by place or by name, not both")
        if labelkwargs:
            if labelkwargs.keys() != set(self.labelnames):
                raise ValueError(f"{self!r} has the labels {self.labelnames}, not {tuple(labelkwargs)}")
            labelvalues = tuple(labelkwargs[name] for name in self.labelnames)
        if len(labelvalues) != len(self.labelnames):
            raise ValueError(f"{self!r} has the labels {self.labelnames}, {len(labelvalues)} values were given")
        values = tuple(map(str, labelvalues))
        child: _MetricType | None = self._children.get(values)
        if child is None:
            child = self._child(values)
        return child

    def _child(self: _MetricType, values: tuple[str, ...]) -> _MetricType:
        child = type(self).__new__(type(self))
        child.__dict__.update(self.__dict__, _children={})
        child._begin(values)
        # Of two threads that make the same one, both are to use the one that was there first.
        kept: _MetricType = self._children.setdefault(values, child)
        return kept

    def _need_labels(self) -> ValueError:
        return ValueError(f"{self!r} has the labels {self.labelnames}, which are to be given with labels()")


class _Observer(_Metric):
    """A metric that takes times."""

    def _observe(self, seconds: float) -> None:
        raise NotImplementedError

    @contextmanager
    def time(self) -> Iterator[None]:
        """Take the time of a block or, as a decorator, of each call of a function, in seconds."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._observe(time.perf_counter() - begin)


class Counter(_Metric):
    """A number that only grows: `inc`. It is the sum of all processes, also of those that have ended.

    `name` (a ``_total`` at its end is left out) and `documentation` are for Prometheus, `labelnames` are labels whose
    values are given by `labels`; `namespace` and `subsystem` stand before the name and `unit` behind it. A metric of
    that name which is in the store already must be the same: else, and for bad names, `ValueError`.

    >>> import shmspace
    >>> with shmspace.open("doc-counter", size="2M") as space:
    ...     failures = Counter("failures", "Failed requests", store=space.store())
    ...     with failures.count_exceptions():
    ...         pass
    ...     failures.inc(0.5)
    ...     read(space.store())[0].samples
    ...     space.destroy()
    {(): 0.5}
    """

    _type = "counter"
    _series: Series | None = None

    def _prepare(self, prefix: str) -> None:
        self._series = series(self.store, f"metrics/counter/{prefix}", 1)
        self._series.begin()

    def inc(self, amount: float = 1) -> None:
        """Add `amount`, which is not negative (else `ValueError`)."""
        if not amount >= 0:
            raise ValueError(f"a counter can only grow, not by {amount}")
        if self._series is None:
            raise self._need_labels()
        self._series.add(amount)

    @contextmanager
    def count_exceptions(
        self, exception: type[BaseException] | tuple[type[BaseException], ...] = Exception
    ) -> Iterator[None]:
        """Count the exceptions that leave a block or, as a decorator, a function."""
        try:
            yield
        except exception:
            self.inc()
            raise


class Gauge(_Observer):
    """A number that goes up and down: `set`, `inc`, `dec`. `mode` says what it is when several processes have set it.

    ``"sum"``, ``"max"``, ``"min"``: of the processes that live; what one had set does not count any more when it has
    ended or was killed. ``"last"``: what was set last, whoever did it and whether he lives; it cannot be counted up and
    down (`RuntimeError`). The rest is as for `Counter`.

    >>> import shmspace
    >>> with shmspace.open("doc-gauge", size="2M") as space:
    ...     running = Gauge("running", "Requests in progress", store=space.store())
    ...     with running.track_inprogress():
    ...         read(space.store())[0].samples
    ...     space.destroy()
    {(): 1.0}
    """

    _type = "gauge"
    _series: Series | None = None
    _key = ""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        *,
        store: Store,
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        mode: _Mode = "sum",
    ) -> None:
        if mode not in (*_REDUCE, "last"):
            raise ValueError(f'mode must be "sum", "max", "min" or "last", not {mode!r}')
        self.mode = mode
        super().__init__(
            name, documentation, labelnames, store=store, namespace=namespace, subsystem=subsystem, unit=unit
        )

    def _particulars(self) -> dict[str, Any]:
        return {"mode": self.mode}

    def _prepare(self, prefix: str) -> None:
        if self.mode == "last":
            self._key = f"metrics/last/{prefix}"
        else:
            self._series = series(self.store, f"metrics/gauge/{prefix}", 1)
            if self.mode == "sum":  # a zero that nobody has set might be the least of all, or the most
                self._series.begin()

    def set(self, value: float) -> None:
        """Set what this process contributes."""
        if self._key:
            self.store.set(self._key, float(value), silent=True)
            return
        if self._series is None:
            raise self._need_labels()
        self._series.put(float(value))

    def inc(self, amount: float = 1) -> None:
        """Add `amount` to what this process contributes."""
        if self.mode == "last":
            raise RuntimeError(f"{self!r} has the mode 'last': it can be set only")
        if self._series is None:
            raise self._need_labels()
        self._series.add(amount)

    def dec(self, amount: float = 1) -> None:
        """Take `amount` from what this process contributes."""
        self.inc(-amount)

    def set_to_current_time(self) -> None:
        """Set it to the seconds since the epoch."""
        self.set(time.time())

    @contextmanager
    def track_inprogress(self) -> Iterator[None]:
        """Count 1 up for the time of a block or, as a decorator, of each call of a function."""
        self.inc()
        try:
            yield
        finally:
            self.dec()

    def _observe(self, seconds: float) -> None:
        self.set(seconds)


class Histogram(_Observer):
    """How many observed values are at most so big, for each bound in `buckets`, and their sum: `observe`.

    `buckets` rise; infinity is added if it is missing (`ValueError` otherwise). It adds up over all processes, also
    those that have ended. The rest is as for `Counter`.

    >>> import shmspace
    >>> with shmspace.open("doc-histogram", size="2M") as space:
    ...     sizes = Histogram("size_bytes", "Size of requests", store=space.store(), buckets=(10, 100))
    ...     for size in (5, 7, 70, 700):
    ...         sizes.observe(size)
    ...     read(space.store())[0].samples
    ...     space.destroy()
    {(): (782.0, 2.0, 1.0, 1.0)}
    """

    _type = "histogram"
    _reserved = frozenset({"le"})
    _series: Series | None = None

    DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, _INFINITE)

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Iterable[str] = (),
        *,
        store: Store,
        namespace: str = "",
        subsystem: str = "",
        unit: str = "",
        buckets: Sequence[float] = DEFAULT_BUCKETS,
    ) -> None:
        bounds = [float(bound) for bound in buckets]
        if bounds != sorted(set(bounds)) or not bounds or bounds == [_INFINITE]:
            raise ValueError(f"buckets must be numbers that rise, at least one of them finite, not {buckets!r}")
        self.buckets = tuple(bounds if bounds[-1] == _INFINITE else [*bounds, _INFINITE])
        super().__init__(
            name, documentation, labelnames, store=store, namespace=namespace, subsystem=subsystem, unit=unit
        )

    def _particulars(self) -> dict[str, Any]:
        return {"buckets": list(self.buckets[:-1])}

    def _prepare(self, prefix: str) -> None:
        self._series = series(self.store, f"metrics/histogram/{prefix}", 1 + len(self.buckets))
        self._series.begin()

    def observe(self, amount: float) -> None:
        """Count one value."""
        if self._series is None:
            raise self._need_labels()
        self._series.observe(amount, 1 + bisect_left(self.buckets, amount))

    def _observe(self, seconds: float) -> None:
        self.observe(seconds)


class Family(NamedTuple):
    """A metric as it is now. `samples` has for each tuple of values of the labels its number, as a float.

    That of a histogram is the sum and then the count of each bucket by itself; `buckets` are their bounds.
    """

    name: str
    type: str
    documentation: str
    unit: str
    labelnames: tuple[str, ...]
    buckets: tuple[float, ...]
    samples: dict[tuple[str, ...], Any]


def read(store: Store) -> list[Family]:
    """Add up all metrics in a store, in the order of their names; any process may, also one that has none itself.

    In a space that was opened with ``readonly=True`` gauges of dead processes count until somebody else reads them.

    >>> import shmspace
    >>> with shmspace.open("doc-read", size="2M") as space:
    ...     read(space.store())
    ...     space.destroy()
    []
    """
    drop_dead(store)
    parts: dict[str, dict[str, list[Any]]] = {}
    for glob in ("counter/*/*/*", "gauge/*/*/*", "histogram/*/*/*", "last/*/*"):
        for entry in store.list(f"metrics/{glob}"):
            _, _, name, labels, *_ = entry.key.split("/")
            parts.setdefault(name, {}).setdefault(labels, []).append(entry.value)
    entries = sorted(store.list("metrics/family/*"), key=lambda entry: entry.key)
    return [_family(entry.index, entry.value, parts.get(entry.index, {})) for entry in entries]


def _family(name: str, family: dict[str, Any], parts: dict[str, list[Any]]) -> Family:
    labelnames = tuple(family["labels"])
    samples: dict[tuple[str, ...], Any] = {}
    for segment, values in sorted(parts.items()):
        labels = labels_of(segment, len(labelnames))
        if family["type"] == "histogram":
            samples[labels] = tuple(map(sum, zip(*values, strict=True)))
        else:
            samples[labels] = _REDUCE.get(family.get("mode", ""), sum)(values)
    buckets = (*family["buckets"], _INFINITE) if "buckets" in family else ()
    return Family(name, family["type"], family["help"], family["unit"], labelnames, buckets, samples)


class Collector:
    """All metrics in a store, for a registry of `prometheus_client` (without it: `ImportError`).

    ``REGISTRY.register(Collector(store))`` in the process that is asked by Prometheus; it may be any.

    >>> import prometheus_client, shmspace
    >>> with shmspace.open("doc-collector", size="2M") as space:
    ...     Counter("jobs", "Jobs done", store=space.store()).inc(3)
    ...     registry = prometheus_client.CollectorRegistry()
    ...     registry.register(Collector(space.store()))
    ...     registry.get_sample_value("jobs_total")
    ...     space.destroy()
    3.0
    """

    def __init__(self, store: Store) -> None:
        try:
            from prometheus_client import metrics_core
        except ModuleNotFoundError as error:
            if error.name != "prometheus_client":
                raise
            raise ImportError(
                "shmspace.metrics.Collector needs prometheus_client: pip install prometheus-client", name=error.name
            ) from None
        self.store = store
        self._core = metrics_core

    def collect(self) -> Iterator[Metric]:
        """Give all metrics as they are now; a registry calls it."""
        for family in read(self.store):
            given = family.name, family.documentation
            if family.type == "histogram":
                yield self._histogram(family)
                continue
            kind = self._core.CounterMetricFamily if family.type == "counter" else self._core.GaugeMetricFamily
            metric = kind(*given, labels=family.labelnames, unit=family.unit)
            for labels, value in family.samples.items():
                metric.add_metric(labels, value)
            yield metric

    def _histogram(self, family: Family) -> Metric:
        metric = self._core.HistogramMetricFamily(
            family.name, family.documentation, labels=family.labelnames, unit=family.unit
        )
        bounds = [_bound_text(bound) for bound in family.buckets]
        for labels, (total, *counts) in family.samples.items():
            metric.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
        return metric


def _bound_text(bound: float) -> str:
    """As Prometheus writes it."""
    from prometheus_client import utils

    untyped: Any = utils
    text: str = untyped.floatToGoString(bound)
    return text


def _full_name(kind: str, parts: Sequence[str], unit: str) -> str:
    if not parts[-1]:
        raise ValueError("a metric needs a name")
    name = "_".join(part for part in parts if part)
    if kind == "counter":
        name = name.removesuffix("_total")
    if unit and not name.endswith(f"_{unit}"):
        name += f"_{unit}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a metric: it may have letters, digits, _ and :, no digit first")
    return name


def _checked_labels(names: Iterable[str], reserved: frozenset[str]) -> tuple[str, ...]:
    given = tuple(names)
    for name in given:
        if not _LABEL.fullmatch(name) or name in reserved:
            raise ValueError(f"{name!r} cannot name a label: letters, digits and _, no digit first, not __ nor le")
    if len(set(given)) != len(given):
        raise ValueError(f"a label has been given twice: {given}")
    return given
