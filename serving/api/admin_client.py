"""A client of the service of merchandisers, which listens on a port of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc

from protos.recsys.v1 import admin_service_pb2 as pb
from protos.recsys.v1 import admin_service_pb2_grpc as pb_grpc
from recsys.events import Position
from recsys.rules.conflicts import Conflict
from recsys.rules.rule import Rule
from serving.api.blocking_calls import Closes, Response, called
from serving.api.channels import CHANNEL_OPTIONS
from serving.api.client_codec import decode_recommendation, said_as_invalid
from serving.api.rule_codec import conflicts_of, rule_message, version_of
from serving.log.rules import RuleVersion
from serving.rules.desk import Applied
from serving.rules.preview import PreviewedList

DEFAULT_TIMEOUT_MS = 10_000.0


class AdminClient(Closes):
    """Applies and previews rules at a running server; one may be used by many threads.

    address: `host:port` of its `admin_port`. timeout_ms: most milliseconds a call may take.

    Every method raises a RecsysError with the server's reason, Unavailable when the service cannot
    be reached or misses the deadline.
    """

    def __init__(self, address: str, *, timeout_ms: float = DEFAULT_TIMEOUT_MS) -> None:
        self._timeout = timeout_ms / 1_000
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        channel: Any = self._channel  # the generated stub is typed for asyncio alone
        self._stub: Any = pb_grpc.AdminServiceStub(channel)

    def list_rules(self) -> Iterator[RuleVersion]:
        """Yield the newest version of every rule, those first that have their way."""
        token = None
        while token != "":
            request = pb.ListRulesRequest(page_token=token or "")
            response = self._call(self._stub.ListRules, request)
            yield from map(version_of, response.rules)
            token = response.next_page_token

    def apply_rules(
        self, rules: Sequence[Rule], *, author: str, reason: str, validate_only: bool = False
    ) -> Applied:
        """Put at most 500 rules in force, all or none; others stay as they are.

        validate_only: say what would become of them, and store nothing.
        """
        with said_as_invalid():
            request = pb.ApplyRulesRequest(
                rules=[rule_message(rule) for rule in rules],
                author=author,
                reason=reason,
                validate_only=validate_only,
            )
        response = self._call(self._stub.ApplyRules, request)
        return Applied(
            tuple(response.changed),
            response.unchanged_count,
            conflicts_of(response.conflicts),
            Position(response.log_position),
        )

    def remove_rule(self, name: str, *, author: str, reason: str) -> Position:
        """Take one rule away; its history stays. Raises NotFound (UNKNOWN_RULE)."""
        request = pb.RemoveRuleRequest(name=name, author=author, reason=reason)
        return Position(self._call(self._stub.RemoveRule, request).log_position)

    def rule_history(self, name: str) -> tuple[RuleVersion, ...]:
        """Return every version of a rule, the newest first. Raises NotFound (UNKNOWN_RULE)."""
        response = self._call(self._stub.GetRuleHistory, pb.GetRuleHistoryRequest(name=name))
        return tuple(map(version_of, response.versions))

    def preview_rules(
        self, rules: Sequence[Rule], placement: str, user_ids: Sequence[str], *, limit: int = 0
    ) -> tuple[PreviewedList, ...]:
        """Return the lists of at most 200 customers without and with some rules; change nothing."""
        with said_as_invalid():
            request = pb.PreviewRulesRequest(
                rules=[rule_message(rule) for rule in rules],
                placement=placement,
                user_ids=user_ids,
                page_size=limit,
            )
        response = self._call(self._stub.PreviewRules, request)
        return tuple(
            PreviewedList(
                one.user_id, decode_recommendation(one.before), decode_recommendation(one.after)
            )
            for one in response.previews
        )

    def check_rules(self, rules: Sequence[Rule] = ()) -> tuple[Conflict, ...]:
        """Return what is wrong with the rules there are, and with these beside them."""
        request = pb.CheckRulesRequest(rules=[rule_message(rule) for rule in rules])
        return conflicts_of(self._call(self._stub.CheckRules, request).conflicts)

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()

    def _call(self, method: Callable[..., Response], request: object) -> Any:
        return called(method, request, timeout_s=self._timeout)
