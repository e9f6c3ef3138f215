"""HTTP requests: tornado tells of each that has been answered."""

from __future__ import annotations

from tornado import web
from tornado.log import access_log

from hub_ext.metrics.instruments import Instruments
from hub_ext.web.request_summary import without_secrets

_STREAM = "text/event-stream"


class RequestLog:
    """The ``log_function`` of an application: counts, and logs as tornado does by itself."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def __call__(self, handler: web.RequestHandler) -> None:
        """A request has been answered."""
        self._count(handler)
        status = handler.get_status()
        log = access_log.info if status < 400 else access_log.warning
        if status >= 500:
            log = access_log.error
        seconds = handler.request.request_time()
        log("%d %s %.2fms", status, without_secrets(handler._request_summary()), 1000 * seconds)

    def _count(self, handler: web.RequestHandler) -> None:
        # whoever asks may invent methods; a label must not
        method = handler.request.method or ""
        known = method if method in handler.SUPPORTED_METHODS else "other"
        name = type(handler).__name__
        self._instruments.requests.labels(name, known, str(handler.get_status())).inc()
        if not handler._headers.get("Content-Type", "").startswith(_STREAM):
            self._instruments.request_s.labels(name).observe(handler.request.request_time())
