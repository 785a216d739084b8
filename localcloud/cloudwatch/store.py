"""Metric values as they were published: exact for three hours, then by the minute and rounded.

A series is a namespace, a name and a set of dimensions. Its values lie in one bucket a second and unit, with how often
each was seen, so that percentiles and trimmed counts are exact. AWS keeps periods under a minute for three hours;
this store does the same, and that also bounds its memory.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Dimensions = tuple[tuple[str, str], ...]
Key = tuple[str, str, Dimensions]

FINE_SECONDS = 3 * 3600  # periods under 60 s are kept three hours (GetMetricStatistics, Period)
KEEP_SECONDS = 15 * 86400  # one-minute data is kept 15 days
COMPACT_EVERY_SECONDS = 600
SIGNIFICANT_DIGITS = 3  # values older than three hours; bounds a minute of latencies to some hundred entries


@dataclass
class Bucket:
    """What was published for one second (or minute) in one unit.

    values/counts hold what is known exactly; a statistic set that hides its values adds to the totals only.
    """

    values: array[float] = field(default_factory=lambda: array("d"))
    counts: array[float] = field(default_factory=lambda: array("d"))
    hidden: float = 0.0
    sample_count: float = 0.0
    total: float = 0.0
    minimum: float = float("inf")
    maximum: float = float("-inf")

    def add(self, value: float, count: float) -> None:
        """Add one value that was seen count times."""
        self.values.append(value)
        self.counts.append(count)
        self._widen(count, value * count, value, value)

    def add_set(self, sample_count: float, total: float, minimum: float, maximum: float) -> None:
        """Add a statistic set; it shows its values only where all of them are equal."""
        if minimum == maximum and sample_count > 0:
            self.add(minimum, sample_count)
            return
        self.hidden += sample_count
        self._widen(sample_count, total, minimum, maximum)

    def merge(self, other: Bucket) -> None:
        """Take in all of another bucket."""
        self.values.extend(other.values)
        self.counts.extend(other.counts)
        self.hidden += other.hidden
        self._widen(other.sample_count, other.total, other.minimum, other.maximum)

    def rounded(self) -> Bucket:
        """Return the same totals with values rounded to three significant digits and equal ones joined."""
        joined: Counter[float] = Counter()
        for value, count in zip(self.values, self.counts, strict=True):
            joined[float(f"{value:.{SIGNIFICANT_DIGITS}g}")] += count  # type: ignore[assignment]  # counts are doubles
        return Bucket(
            array("d", joined.keys()),
            array("d", joined.values()),
            self.hidden,
            self.sample_count,
            self.total,
            self.minimum,
            self.maximum,
        )

    def _widen(self, sample_count: float, total: float, minimum: float, maximum: float) -> None:
        self.sample_count += sample_count
        self.total += total
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)


@dataclass
class _Series:
    """The buckets of one metric: unit -> second -> bucket, and when it last got data (unix s)."""

    fine: dict[str, dict[int, Bucket]] = field(default_factory=dict)
    coarse: dict[str, dict[int, Bucket]] = field(default_factory=dict)
    last_put: float = 0.0


class MetricStore:
    """All metrics of one account and region; safe to use from many threads."""

    def __init__(self) -> None:
        self._series: dict[Key, _Series] = {}
        self._lock = threading.Lock()
        self._compacted = time.time()

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        timestamp: float,
        values: Sequence[float],
        counts: Sequence[float] | None = None,
        unit: str = "None",
        *,
        storage_resolution: int = 1,
    ) -> None:
        """Add values seen at timestamp (unix s); storage_resolution 60 stores them at the start of their minute."""
        if counts is not None and len(counts) != len(values):
            raise ValueError(f"{namespace}/{name}: {len(values)} values but {len(counts)} counts")
        with self._lock:
            bucket = self._bucket(namespace, name, dimensions, timestamp, unit, storage_resolution)
            for place, value in enumerate(values):
                bucket.add(float(value), 1.0 if counts is None else float(counts[place]))

    def put_set(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        timestamp: float,
        statistics: tuple[float, float, float, float],
        unit: str = "None",
        *,
        storage_resolution: int = 60,
    ) -> None:
        """Add a statistic set: (sample count, sum, minimum, maximum)."""
        with self._lock:
            bucket = self._bucket(namespace, name, dimensions, timestamp, unit, storage_resolution)
            bucket.add_set(*statistics)

    def read(self, key: Key, start: float, end: float, period: int, unit: str | None = None) -> dict[int, Bucket]:
        """Return one merged bucket for each period that has data: {start of period: bucket}.

        Periods begin at start (unix s, whole seconds) and end before end. All units are merged unless one is named.
        """
        first, answer = int(start), dict[int, Bucket]()
        with self._lock:
            series = self._series.get(key)
            if series is None:
                return {}
            for second, bucket in _between(series, first, end, unit):
                at = first + (second - first) // period * period
                answer.setdefault(at, Bucket()).merge(bucket)
        return answer

    def units(self, key: Key) -> list[str]:
        """Return the units under which a metric was published."""
        with self._lock:
            series = self._series.get(key)
            return sorted({*series.fine, *series.coarse}) if series else []

    def metrics(self) -> list[tuple[Key, float]]:
        """Return every metric with the time of its last data (unix s), in a fixed order."""
        with self._lock:
            return sorted((key, series.last_put) for key, series in self._series.items())

    def _bucket(
        self, namespace: str, name: str, dimensions: Mapping[str, str], timestamp: float, unit: str, resolution: int
    ) -> Bucket:
        now = time.time()
        if now - self._compacted > COMPACT_EVERY_SECONDS:
            self._compact(now)
        second = int(timestamp // resolution * resolution) if resolution > 1 else int(timestamp)
        series = self._series.setdefault(series_key(namespace, name, dimensions), _Series())
        series.last_put = max(series.last_put, timestamp)
        level = series.fine
        if second < now - FINE_SECONDS:
            second, level = second // 60 * 60, series.coarse
        return level.setdefault(unit, {}).setdefault(second, Bucket())

    def _compact(self, now: float) -> None:
        """Fold what is older than three hours into minutes, and drop what is older than 15 days."""
        self._compacted = now
        for series in self._series.values():
            for unit, buckets in series.fine.items():
                coarse, touched = series.coarse.setdefault(unit, {}), set[int]()
                for second in [second for second in buckets if second < now - FINE_SECONDS]:
                    minute = second // 60 * 60
                    coarse.setdefault(minute, Bucket()).merge(buckets.pop(second))
                    touched.add(minute)
                for minute in touched:
                    coarse[minute] = coarse[minute].rounded()
                for minute in [minute for minute in coarse if minute < now - KEEP_SECONDS]:
                    del coarse[minute]


def series_key(namespace: str, name: str, dimensions: Mapping[str, str]) -> Key:
    """Return the identity of a metric; the order of its dimensions does not matter."""
    return namespace, name, tuple(sorted(dimensions.items()))


def _between(series: _Series, start: int, end: float, unit: str | None) -> Iterator[tuple[int, Bucket]]:
    for level in (series.fine, series.coarse):
        for name, buckets in level.items():
            if unit is not None and name != unit:
                continue
            asked = range(start, int(-(-end // 1)))
            # the shorter way round: each second asked for, or each bucket there is
            seconds: Iterable[int] = (
                asked if len(asked) <= len(buckets) else [each for each in buckets if each in asked]
            )
            for second in seconds:
                bucket = buckets.get(second)
                if bucket is not None:
                    yield second, bucket


STORE = MetricStore()
put = STORE.put
