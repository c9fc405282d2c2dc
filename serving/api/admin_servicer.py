"""The gRPC service of merchandisers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from grpc.aio import ServicerContext

from protos.recsys.v1 import admin_service_pb2 as pb
from protos.recsys.v1 import admin_service_pb2_grpc as pb_grpc
from recsys.errors import InvalidInput
from recsys.ids import check_id
from recsys.query import MOST_ITEMS
from recsys.rules.rule import Rule, check_rule_name
from serving.api.codec import encode_recommendation
from serving.api.rule_codec import conflict_message, rules_of, version_message
from serving.clock import Clock
from serving.log.rules import RuleVersion, Signature
from serving.rules.desk import RuleDesk
from serving.rules.preview import MOST_PREVIEWED, Preview, PreviewedList

_PAGE_SIZE, _MOST_A_PAGE = 100, 500


class AdminServicer(pb_grpc.AdminServiceServicer):
    """Speaks `recsys.v1.AdminService`; decides nothing itself.

    previewing: gives a preview of rules over what is served. Raises NotReady.
    """

    def __init__(
        self, desk: RuleDesk, previewing: Callable[[Sequence[Rule]], Preview], clock: Clock
    ) -> None:
        self._desk = desk
        self._previewing = previewing
        self._clock = clock

    async def ListRules(
        self,
        request: pb.ListRulesRequest,
        context: ServicerContext[pb.ListRulesRequest, Awaitable[pb.ListRulesResponse]],
    ) -> pb.ListRulesResponse:
        """Return one page of the rules, those first that have their way."""
        start, size = _page(request)
        found = sorted(await self._desk.rules(), key=_order)
        more = len(found) > start + size
        return pb.ListRulesResponse(
            rules=[version_message(one) for one in found[start : start + size]],
            next_page_token=str(start + size) if more else "",
        )

    async def ApplyRules(
        self,
        request: pb.ApplyRulesRequest,
        context: ServicerContext[pb.ApplyRulesRequest, Awaitable[pb.ApplyRulesResponse]],
    ) -> pb.ApplyRulesResponse:
        """Put rules in force, all or none, or say what would become of them."""
        by = Signature(request.author, request.reason)
        rules = rules_of(request.rules)
        done = await self._desk.apply(rules, by, validate_only=request.validate_only)
        return pb.ApplyRulesResponse(
            changed=done.changed,
            unchanged_count=done.unchanged,
            conflicts=[conflict_message(one) for one in done.conflicts],
            log_position=done.position,
        )

    async def RemoveRule(
        self,
        request: pb.RemoveRuleRequest,
        context: ServicerContext[pb.RemoveRuleRequest, Awaitable[pb.RemoveRuleResponse]],
    ) -> pb.RemoveRuleResponse:
        """Take one rule away."""
        check_rule_name("name", request.name)
        by = Signature(request.author, request.reason)
        done = await self._desk.remove([request.name], by)
        return pb.RemoveRuleResponse(log_position=done.last_position)

    async def GetRuleHistory(
        self,
        request: pb.GetRuleHistoryRequest,
        context: ServicerContext[pb.GetRuleHistoryRequest, Awaitable[pb.GetRuleHistoryResponse]],
    ) -> pb.GetRuleHistoryResponse:
        """Return every version of a rule, the newest first."""
        found = await self._desk.history(request.name)
        return pb.GetRuleHistoryResponse(versions=[version_message(one) for one in found])

    async def PreviewRules(
        self,
        request: pb.PreviewRulesRequest,
        context: ServicerContext[pb.PreviewRulesRequest, Awaitable[pb.PreviewRulesResponse]],
    ) -> pb.PreviewRulesResponse:
        """Return the lists of customers without some rules and with them."""
        limit = _checked_preview(request)
        preview = self._previewing(rules_of(request.rules))
        found = await preview.lists(
            request.placement, request.user_ids, now=self._clock(), limit=limit
        )
        return pb.PreviewRulesResponse(previews=[_preview_message(one) for one in found])

    async def CheckRules(
        self,
        request: pb.CheckRulesRequest,
        context: ServicerContext[pb.CheckRulesRequest, Awaitable[pb.CheckRulesResponse]],
    ) -> pb.CheckRulesResponse:
        """Return what is wrong with the rules there are, and with others beside them."""
        found = await self._desk.check(rules_of(request.rules))
        return pb.CheckRulesResponse(conflicts=[conflict_message(one) for one in found])


def _order(version: RuleVersion) -> tuple[int, str]:
    return version.rule.order if version.rule else (0, version.name)


def _page(request: pb.ListRulesRequest) -> tuple[int, int]:
    """Return the place at which a page begins, and its size. Raises InvalidInput."""
    if request.page_size < 0:
        raise InvalidInput("page_size", request.page_size, "0 or more; above 500 means 500")
    token = request.page_token
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise InvalidInput("page_token", token[:64], "`next_page_token` of the page before")
    return int(token or 0), min(request.page_size or _PAGE_SIZE, _MOST_A_PAGE)


def _checked_preview(request: pb.PreviewRulesRequest) -> int:
    """Return the most items of a list. Raises InvalidInput."""
    check_id("placement", request.placement)
    if not 1 <= len(request.user_ids) <= MOST_PREVIEWED:
        raise InvalidInput("user_ids", len(request.user_ids), f"1 to {MOST_PREVIEWED} customers")
    for place, user_id in enumerate(request.user_ids):
        check_id(f"user_ids[{place}]", user_id)
    if request.page_size < 0:
        wanted = f"0 or more; above {MOST_ITEMS} means {MOST_ITEMS}"
        raise InvalidInput("page_size", request.page_size, wanted)
    return min(request.page_size, MOST_ITEMS)


def _preview_message(one: PreviewedList) -> pb.RulePreview:
    return pb.RulePreview(
        user_id=one.user_id,
        before=encode_recommendation(one.before),
        after=encode_recommendation(one.after),
        changes=list(one.changes()),
    )
