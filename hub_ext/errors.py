"""Refusals that a caller can understand: one class per kind, with an HTTP status."""

from __future__ import annotations


class ApportionError(Exception):
    """A refusal with a stable ``code``, a sentence for people and maybe the field at fault."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code

    def as_json(self) -> dict[str, dict[str, str]]:
        """The error body of the REST API (DESIGN 10)."""
        error = {"code": self.code, "message": self.message}
        if self.field is not None:
            error["field"] = self.field
        return {"error": error}


class BadValue(ApportionError):
    """A value that can never be right (400)."""

    status = 400
    code = "bad_value"


class Forbidden(ApportionError):
    """Known caller, not allowed (403)."""

    status = 403
    code = "forbidden"


class NotFound(ApportionError):
    """Missing, or not the caller's to know about (404)."""

    status = 404
    code = "not_found"


class Conflict(ApportionError):
    """The thing exists already, or is no longer in a state that allows this (409)."""

    status = 409
    code = "conflict"


class OverLimit(ApportionError):
    """Over a limit that waiting will not lift (422)."""

    status = 422
    code = "over_limit"


class EngineAway(ApportionError):
    """The container engine gives no answer now; try again (503)."""

    status = 503
    code = "engine_away"
