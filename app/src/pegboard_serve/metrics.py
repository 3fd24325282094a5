"""What the server counts, for Prometheus; with several processes each scrape covers all of them.

Processes share their counts through files in ``PROMETHEUS_MULTIPROC_DIR``, which prometheus_client reads when it is
imported: the supervisor sets it before it starts a worker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from pegboard.registry import Version
from pegboard_serve.supervisor import SHARED_METRICS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper bounds in seconds: a compiled row takes 0.0001, a pipeline's 0.01, a large batch 1.
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_MODEL = ("model", "version")

disable_created_metrics()  # type: ignore[no-untyped-call]


class Tally(NamedTuple):
    """The counters of one route and one version."""

    in_progress: Gauge
    seconds: Histogram
    rows: Counter
    requests: Callable[[int], Counter]


class Metrics:
    """One application's counters, in a registry of their own."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._registry = own
        route = ("route", *_MODEL)
        requests = "Prediction requests by route, version and status."
        self._requests = Counter("pegboard_request", requests, (*route, "status"), registry=own)
        seconds = "Time to answer a prediction request."
        self._seconds = Histogram("pegboard_request_duration_seconds", seconds, route, registry=own, buckets=BUCKETS)
        progress = "Prediction requests being answered."
        self._progress = Gauge(
            "pegboard_request_in_progress", progress, route, registry=own, multiprocess_mode="livesum"
        )
        self._rows = Counter("pegboard_rows", "Rows predicted.", route, registry=own)
        unknown = "Values that training has not seen."
        self._unknown = Counter("pegboard_unknown_category", unknown, ("feature", *_MODEL), registry=own)
        reloads = "Looks for another version, by outcome: swapped, unchanged or failed."
        self._reloads = Counter("pegboard_reload", reloads, ("outcome",), registry=own)
        replays = "Versions or kernels that did not answer as their bundle says."
        self._replays = Counter("pegboard_replay_failure", replays, (*_MODEL, "what"), registry=own)
        serving = "Processes that serve a version, with a compiled kernel or with the pipeline itself."
        self._serving = Gauge(
            "pegboard_serving", serving, (*_MODEL, "compiled"), registry=own, multiprocess_mode="livesum"
        )
        self._served: Any = None
        self._tallies: dict[tuple[str, str, int], Tally] = {}

    def of(self, route: str, version: Version) -> Tally:
        """Return the counters of a route and a version: finding a labelled child costs more than counting."""
        key = (route, version.name, version.number)
        if key not in self._tallies:
            names = (route, *_names(version))
            self._tallies[key] = Tally(
                self._progress.labels(*names),
                self._seconds.labels(*names),
                self._rows.labels(*names),
                cache(lambda status: self._requests.labels(*names, str(int(status)))),
            )
        return self._tallies[key]

    def unknown(self, version: Version, counts: Mapping[str, int]) -> None:
        """Count values that training has not seen, by feature."""
        for feature, count in counts.items():
            self._unknown.labels(feature, *_names(version)).inc(count)

    def reloaded(self, outcome: str) -> None:
        """Count a look for another version."""
        self._reloads.labels(outcome).inc()

    def replay_failed(self, version: Version, what: str) -> None:
        """Count a version, or its kernel, that did not answer as its bundle says."""
        self._replays.labels(*_names(version), what).inc()

    def serving(self, version: Version, compiled: bool) -> None:
        """Say which version this process serves from now on, and whether a kernel does."""
        if self._served is not None:
            self._served.set(0)
        self._served = self._serving.labels(*_names(version), str(compiled).lower())
        self._served.set(1)

    def exposition(self) -> bytes:
        """Return everything as Prometheus' text, over all processes."""
        if SHARED_METRICS not in os.environ:
            return generate_latest(self._registry)
        shared = CollectorRegistry()
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def _names(version: Version) -> tuple[str, str]:
    return version.name, str(version.number)
