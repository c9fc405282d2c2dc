from __future__ import annotations

import inspect

import pytest
from grpc import StatusCode

from recsys import errors
from recsys.errors import InvalidInput, NotFound, RecsysError
from serving.api.errors import MOST_MESSAGE, STATUS_CODES, error_of, internal_status, status_of


def returned(error: RecsysError) -> RecsysError:
    status = status_of(error)
    code = next(code for code in StatusCode if code.value[0] == status.code)
    return error_of(code, status.message, status.SerializeToString())


def test_every_domain_error_has_its_own_status() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass)}

    assert {kind for kind in kinds if issubclass(kind, RecsysError)} == set(STATUS_CODES)


def test_named_error_reaches_the_client_as_itself() -> None:
    sent = NotFound("no placement", reason="UNKNOWN_PLACEMENT", metadata={"placement": "hom"})

    received = returned(sent)

    assert type(received) is NotFound
    assert (str(received), received.reason) == ("no placement", "UNKNOWN_PLACEMENT")
    assert received.metadata == {"placement": "hom"}


def test_invalid_input_reaches_the_client_with_its_field() -> None:
    received = returned(InvalidInput("events[3].item_id", "", "1 to 128 bytes"))

    assert isinstance(received, InvalidInput)
    assert (received.field, received.wanted) == ("events[3].item_id", "1 to 128 bytes")
    assert str(received) == "events[3].item_id: got '', wanted 1 to 128 bytes"


@pytest.mark.parametrize("error", [RecsysError("x" * 9_999), InvalidInput("f", "y" * 9_999, "z")])
def test_long_message_is_cut_to_fit_the_headers(error: RecsysError) -> None:
    status = status_of(error)

    assert len(status.message) == MOST_MESSAGE
    assert status.ByteSize() < 2_000


def test_status_of_a_server_that_says_no_more_keeps_its_code_as_reason() -> None:
    received = error_of(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")

    assert isinstance(received, errors.Unavailable)
    assert received.reason == "DEADLINE_EXCEEDED"


def test_internal_status_names_no_inside() -> None:
    assert "Error" not in internal_status().message
