"""Names of the OpenAPI document: the operationId and the tag of each route, derived from its method and path. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

TAGS: Final[Mapping[str, str]] = {
    "Messages": "Send messages, one by one or many at once, and see what became of them.",
    "Batches": "Batches as a whole.",
    "Inbound": "Messages that people sent to you.",
    "Webhooks": "Where events go, and what became of each.",
    "Stop lists": "Numbers that are not to be sent to.",
    "Statistics": "What was sent, delivered and spent.",
    "Carriers": "How carriers do, and orders to them. For operators.",
    "Pauses": "What is kept from sending: classes, clients, tags, carriers. For operators.",
    "Receipts": "Where carriers report what became of messages. For carriers, not for applications.",
    "Doubts": "Receipts and submissions that nobody can place. For operators.",
    "Plans": "The routing plan: versions, checks, activation. For operators.",
    "Datasets": "Long things beside the plan, such as numbering plans: versions, activation. For operators.",
    "Numbers": "Whose a number is, and how that is known. For operators.",
    "Rates": "What carriers ask for a part: price lists in versions. For operators.",
    "Senders": "Which senders are registered where. For operators.",
    "Keys": "Clients, their keys and quotas. For administrators.",
    "Service": "Health, metrics and documentation. No key is needed.",
}

_OF_SEGMENT: Final[Mapping[str, str]] = {
    "messages": "Messages",
    "batches": "Batches",
    "inbound": "Inbound",
    "endpoints": "Webhooks",
    "callbacks": "Webhooks",
    "events": "Webhooks",
    "stoplist": "Stop lists",
    "stats": "Statistics",
    "scorecards": "Statistics",
    "incidents": "Statistics",
    "carriers": "Carriers",
    "receipts": "Receipts",
    "plans": "Plans",
    "orphans": "Doubts",
    "uncertain": "Doubts",
    "rates": "Rates",
    "senders": "Senders",
    "datasets": "Datasets",
    "numbers": "Numbers",
    "keys": "Keys",
    "clients": "Keys",
}

_OWN: Final[Mapping[str, str]] = {
    "POST /v1/messages": "sendMessage",
    "POST /v1/messages/batch": "sendBatch",
    "POST /v1/messages/preview": "previewMessage",
    "GET /v1/stats": "getStatistics",
    "GET /v1/stats/csv": "getStatisticsCsv",
    "GET /v1/stats/arrow": "getStatisticsArrow",
    "GET /v1/stoplist": "listStops",
    "POST /v1/stoplist": "addStops",
    "POST /v1/stoplist/remove": "removeStops",
    "GET /v1/stoplist/{number}": "checkStop",
    "DELETE /v1/stoplist/{number}": "removeStop",
    "GET /v1/pauses": "listPauses",
    "POST /v1/pauses": "pauseSending",
    "DELETE /v1/pauses": "resumeSending",
    "POST /v1/messages/retry": "retryFailedMessages",
    "GET /v1/uncertain": "listUncertain",
    "POST /v1/rates/import": "importRates",
    "GET /v1/rates/month": "getLadders",
    "POST /v1/senders/import": "importSenders",
    "POST /v1/plans/check": "checkPlan",
    "POST /v1/plans/diff": "diffPlans",
    "POST /v1/plans/explain": "explainRoute",
    "POST /v1/plans/replay": "replayPlan",
    "POST /v1/datasets/{kind}": "putDataset",
    "GET /v1/datasets/{kind}/{version}/content": "getDataset",
    "POST /v1/datasets/{kind}/{version}/activate": "activateDataset",
    "POST /v1/datasets/{kind}/rollback": "rollbackDataset",
    "POST /v1/datasets/{kind}/deactivate": "deactivateDataset",
    "GET /v1/numbers/{number}": "getNumber",
    "GET /v1/numbers/unmapped": "listUnmapped",
    "GET /v1/numbers/{number}/history": "getHistory",
    "POST /v1/clients/{name}/quota": "setClientQuota",
    "GET /v1/receipts/{carrier}": "reportReceiptsByGet",
    "POST /v1/receipts/{carrier}": "reportReceipts",
    "POST /v1/endpoints/{id}": "changeEndpoint",
    "POST /v1/callbacks/retry": "retryCallbacks",
    "POST /v1/callbacks/sample": "sendSample",
    "GET /v1/callbacks/secret": "getCallbackSecret",
    "POST /v1/callbacks/secret/rotate": "rotateCallbackSecret",
    "GET /healthz": "getHealth",
    "GET /readyz": "getReadiness",
    "GET /metrics": "getMetrics",
    "GET /v1/openapi.json": "getOpenapi",
    "GET /docs": "getConsole",
    "GET /docs/guide": "getGuide",
    "GET /docs/problems/{code}": "getProblemPage",
}

_VERBS: Final[Mapping[str, str]] = {"GET": "get", "POST": "create", "PUT": "set", "PATCH": "update", "DELETE": "delete"}


def tag(path: str) -> str:
    """What the route is about: a name out of TAGS; a part of the API without one gets its path's first word."""
    if not path.startswith("/v1/") or path == "/v1/openapi.json":
        return "Service"
    segment = path.split("/")[2]
    return _OF_SEGMENT.get(segment, segment.capitalize())


def operation_ids(routes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """A unique name for each method and path; of two that would share one, the later names its last parameter too."""
    names: dict[tuple[str, str], str] = {}
    for method, path in routes:
        name = operation_id(method, path)
        while name in names.values():
            last = path.rpartition("{")[2].partition("}")[0] if "{" in path else "other"
            name += f"By{_camel(last).capitalize()}"
        names[method, path] = name
    return names


def operation_id(method: str, path: str) -> str:
    """A name for a function of a generated client: `cancelMessage`, `listPlans`."""
    if (own := _OWN.get(f"{method} {path}")) is not None:
        return own
    segments = [s for s in path.removeprefix("/v1").split("/") if s]
    nouns = [s for s in segments if not s.startswith("{")]
    if segments[-1].startswith("{"):
        return _VERBS[method] + _joined(nouns, singular=True)
    if len(nouns) < len(segments):  # something of one thing: /messages/{id}/cancel
        *things, action = nouns
        return _camel(action) + _joined(things, singular=True) if method == "POST" else _verb_of(method, nouns)
    return _verb_of(method, nouns)


def _verb_of(method: str, nouns: list[str]) -> str:
    if method == "GET":
        return "list" + _joined(nouns, singular=False)
    return _VERBS[method] + _joined(nouns, singular=True)


def _joined(nouns: list[str], *, singular: bool) -> str:
    words = [_singular(n) for n in nouns[:-1]] + [_singular(n) if singular else n for n in nouns[-1:]]
    return "".join(word[:1].upper() + word[1:] for word in map(_camel, words))


def _singular(noun: str) -> str:
    if noun.endswith("ches"):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith("ss") else noun


def _camel(word: str) -> str:
    first, *others = word.replace(".", "_").replace("-", "_").split("_")
    return first + "".join(o.capitalize() for o in others)
