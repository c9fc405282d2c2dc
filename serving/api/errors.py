"""The one table from the domain's errors to gRPC statuses, and the way back for clients."""

from __future__ import annotations

from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc import StatusCode

from recsys.errors import (
    CorruptBundle,
    GateFailed,
    InvalidInput,
    NotFound,
    NotReady,
    RecsysError,
    Unavailable,
)

DOMAIN = "recsys"
# A status travels in headers, thrice and escaped: all of them together have 8 kilobytes.
MOST_MESSAGE = 300
MOST_CAME = 64
DETAILS_KEY = "grpc-status-details-bin"

STATUS_CODES: dict[type[RecsysError], StatusCode] = {
    InvalidInput: StatusCode.INVALID_ARGUMENT,
    NotFound: StatusCode.NOT_FOUND,
    NotReady: StatusCode.FAILED_PRECONDITION,
    Unavailable: StatusCode.UNAVAILABLE,
    CorruptBundle: StatusCode.DATA_LOSS,
    GateFailed: StatusCode.FAILED_PRECONDITION,
    RecsysError: StatusCode.INTERNAL,
}

ERROR_TYPES: dict[StatusCode, type[RecsysError]] = {
    StatusCode.NOT_FOUND: NotFound,
    StatusCode.FAILED_PRECONDITION: NotReady,
    StatusCode.UNAVAILABLE: Unavailable,
    StatusCode.DEADLINE_EXCEEDED: Unavailable,
    StatusCode.DATA_LOSS: CorruptBundle,
}


def status_code(error: RecsysError) -> StatusCode:
    """Return the code of an error: that of its own type, or of the nearest one above."""
    return next(STATUS_CODES[kind] for kind in type(error).__mro__ if kind in STATUS_CODES)


def status_of(error: RecsysError) -> status_pb2.Status:
    """Return the status with ErrorInfo and, where a field is at fault, BadRequest."""
    message = str(error)[:MOST_MESSAGE]
    status = status_pb2.Status(code=code_pb2.Code.Value(status_code(error).name), message=message)
    metadata = dict(error.metadata)
    if isinstance(error, InvalidInput):
        metadata |= {"came": str(error.came)[:MOST_CAME], "wanted": error.wanted}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    status.details.add().Pack(info)
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=message, reason=error.reason
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return status


def internal_status() -> status_pb2.Status:
    """Return the status of a fault of our own; it tells nothing of the inside."""
    return status_of(
        RecsysError("the service failed on this request; its log says why", reason="INTERNAL")
    )


def error_of(code: StatusCode, message: str, details: bytes = b"") -> RecsysError:
    """Return the error behind a status, for clients; its reason is the server's where it gave one.

    details: the serialized google.rpc.Status; empty where the server said no more.
    """
    info = _info(details)
    reason, metadata = info.reason or code.name, dict(info.metadata)
    if code is StatusCode.INVALID_ARGUMENT and "field" in metadata:
        came, wanted = metadata.get("came", ""), metadata.get("wanted", "")
        return InvalidInput(metadata["field"], came, wanted, reason=reason)
    return ERROR_TYPES.get(code, RecsysError)(message, reason=reason, metadata=metadata)


def _info(details: bytes) -> error_details_pb2.ErrorInfo:
    """Return the ErrorInfo inside a serialized status, an empty one where there is none."""
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details).details:
        if detail.Unpack(info):
            break
    return info
