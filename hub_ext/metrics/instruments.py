"""Counters and histograms of one running service; they begin at 0 with it."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from hub_ext.sessions.passes import Outcome, Pass

disable_created_metrics()  # twice as many series, for nothing that Prometheus reads
_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_START_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_WAIT_S = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 259200)


class Instruments:
    """Everything that is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter(
            "apportion_http_requests",
            "HTTP requests answered, by the class that handles them.",
            "handler",
            "method",
            "status",
        )
        self.request_s = self._histogram(
            "apportion_http_request_duration_seconds",
            "Time from a request to the end of its answer; event streams are not in it.",
            _REQUEST_S,
            "handler",
        )
        self.pass_s = self._histogram(
            "apportion_scheduling_pass_duration_seconds",
            "Time that a scheduling pass took, from reading to writing.",
            _PASS_S,
        )
        self.passes = self._counter(
            "apportion_scheduling_passes",
            "Scheduling passes; stale: dropped, since a rule had changed meanwhile.",
            "outcome",
        )
        self.decisions = self._counter(
            "apportion_scheduling_decisions",
            "Decisions of passes that were written: start, wait, evict.",
            "outcome",
        )
        self.submitted = self._counter(
            "apportion_sessions_submitted", "Sessions submitted.", "project"
        )
        self.started = self._counter(
            "apportion_sessions_started",
            "Sessions that have begun to run, those that start again too.",
            "project",
        )
        self.ended = self._counter(
            "apportion_sessions_ended", "Sessions that have ended, by how.", "project", "status"
        )
        self.failures = self._counter(
            "apportion_session_failures", "Sessions that have ended in ERROR, by reason.", "reason"
        )
        self.evictions = self._counter(
            "apportion_session_evictions",
            "Sessions that were stopped to make room for others, by reason.",
            "project",
            "reason",
        )
        self.wait_s = self._histogram(
            "apportion_session_wait_seconds",
            "Time from submission (or the earliest start that was wished) to the first grant.",
            _WAIT_S,
        )
        self.start_s = self._histogram(
            "apportion_session_start_duration_seconds", "Time from grant to running.", _START_S
        )
        for outcome in Outcome:
            self.passes.labels(outcome.value)
        for kind in ("start", "wait", "evict"):
            self.decisions.labels(kind)

    def expect(self, projects: Iterable[str]) -> None:
        """Begin at 0 for these: a rate misses the first event of a series that was not there."""
        for project in projects:
            self.submitted.labels(project)
            self.started.labels(project)

    def of_pass(self, done: Pass) -> None:
        """A scheduling pass is over."""
        self.pass_s.observe(done.seconds)
        self.passes.labels(done.outcome.value).inc()
        if done.outcome is Outcome.WRITTEN and done.decisions is not None:
            decisions = done.decisions
            self.decisions.labels("start").inc(len(decisions.starts))
            self.decisions.labels("wait").inc(len(decisions.waiting))
            self.decisions.labels("evict").inc(len(decisions.evictions))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
