"""What a user reads when a server does not start.

All of them are SpawnExceptions: a refusal or a failed start of one server is no sign of a sick
hub, and must not count toward ``consecutive_failure_limit``.
"""

from __future__ import annotations

from jupyterhub.spawner import SpawnException

from .engine import EngineError
from .grant import Grant
from .queue_wait import SessionEnded
from .readiness import ServerExited
from .reporting import GrantTakenBack
from .service_client import RequestRefused, ServiceDenied, SessionConflict, SessionGone


def refusal(error: Exception) -> SpawnException:
    """The service's no, or the end of the session while it waited."""
    if isinstance(error, RequestRefused):
        return SpawnException(
            error.message, reason=f"refused-{error.code}", status_code=error.status_code
        )
    if isinstance(error, SessionEnded):
        reason = f"session-{error.session.status.lower()}"
        return SpawnException(str(error), reason=reason, status_code=409)
    if isinstance(error, GrantTakenBack):
        return SpawnException(str(error), reason="reclaimed", status_code=409)
    if isinstance(error, SessionConflict):
        return SpawnException(str(error), reason="conflict", status_code=409)
    if isinstance(error, SessionGone):
        message = "The session is no longer in the queue."
        return SpawnException(message, reason="session-gone", status_code=409)
    if isinstance(error, ServiceDenied):
        message = "The queue service does not accept this hub; please tell the administrators."
        return SpawnException(
            message, reason="service-denied", status_code=503, log_message=str(error)
        )
    message = "The queue service gave an answer that this hub does not understand."
    return SpawnException(message, reason="service", status_code=503, log_message=str(error))


def start_failure(error: Exception, grant: Grant | None, limit_s: float) -> SpawnException:
    """Why the container or the server in it did not start, in words for its user."""
    if isinstance(error, ServerExited):
        return SpawnException(str(error), reason="server-exited", status_code=500)
    if isinstance(error, TimeoutError):
        message = f"The server did not answer within {limit_s:.0f} seconds."
        return SpawnException(message, reason="timeout", status_code=504)
    if isinstance(error, EngineError):
        node, image = (grant.node, grant.image) if grant else ("", "")
        return _engine_failure(error, node, image)
    return SpawnException(str(error), reason="start", status_code=500)


def _engine_failure(error: EngineError, node: str, image: str) -> SpawnException:
    where = f"on {node}" if node else "on this machine"
    if error.not_found and "image" in str(error).lower():
        message = f"The image {image} is not {where}."
        return SpawnException(message, reason="no-image", status_code=500, log_message=str(error))
    if error.status == 0:
        message = f"The Docker engine {where} does not answer."
        return SpawnException(
            message, reason="engine-unreachable", status_code=503, log_message=str(error)
        )
    message = f"The Docker engine {where} could not start the container: {error}"
    return SpawnException(message, reason="engine", status_code=500)
