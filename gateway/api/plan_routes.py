"""The routes of `/v1/plans`."""

from __future__ import annotations

from typing import Final

from gateway.api import plan_explaining, plan_trials, plans
from gateway.api.admin_documents import (
    NewPlan,
    PlanActive,
    PlanChange,
    PlanChecked,
    PlanKept,
    PlanReturn,
    PlanText,
    PlanVersions,
)
from gateway.api.plan_documents import (
    PlanDiff,
    PlanDifference,
    PlanExplain,
    PlanExplained,
    PlanReplay,
    PlanReplayed,
)
from gateway.api.problems import MESSAGE_FAULTS, Code
from gateway.api.query import DEFAULT_LIMIT, MAX_LIMIT
from gateway.api.routes import Parameter, Route

_LIMIT: Final = Parameter(
    "limit",
    "results a page",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)

ROUTES: Final = (
    Route(
        "GET",
        "/v1/plans",
        "plan",
        plans.list_plans,
        "Versions of the routing plan, newest first.",
        {200: PlanVersions},
        codes=(Code.QUERY_INVALID, Code.POSTGRES_AWAY),
        parameters=(_LIMIT,),
    ),
    Route(
        "POST",
        "/v1/plans",
        "plan",
        plans.keep_plan,
        "Keep a plan as a new version. The body may also be the TOML itself (application/toml).",
        {201: PlanKept},
        NewPlan,
        codes=(Code.PLAN_INVALID, Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY, Code.REDIS_AWAY),
        texts=("application/toml",),
    ),
    Route(
        "POST",
        "/v1/plans/check",
        "plan",
        plans.check_plan,
        "Say what is wrong with a plan. Nothing is kept.",
        {200: PlanChecked},
        NewPlan,
        texts=("application/toml",),
    ),
    Route(
        "POST",
        "/v1/plans/diff",
        "plan",
        plan_trials.diff_plan,
        "Say what a plan changes, and what it would have moved and cost on the traffic of some days. Nothing is kept. "
        "The body may also be the TOML itself (application/toml).",
        {200: PlanDifference},
        PlanDiff,
        codes=(Code.PLAN_INVALID, Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY),
        texts=("application/toml",),
    ),
    Route(
        "POST",
        "/v1/plans/explain",
        "plan ops",
        plan_explaining.explain_plan,
        "Say where a message would go, and why: its number, every route, every candidate, the choice.",
        {200: PlanExplained},
        PlanExplain,
        codes=(*MESSAGE_FAULTS, Code.PLAN_INVALID, Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY),
    ),
    Route(
        "POST",
        "/v1/plans/replay",
        "plan",
        plan_trials.replay_plan,
        "Say what a plan would have done with messages that were really sent. Nothing is sent or kept. "
        "The body may also be the TOML itself (application/toml).",
        {200: PlanReplayed},
        PlanReplay,
        codes=(Code.PLAN_INVALID, Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY),
        texts=("application/toml",),
    ),
    Route(
        "POST",
        "/v1/plans/rollback",
        "plan",
        plans.rollback,
        "Return to a version, or to the one that was in use before.",
        {200: PlanActive},
        PlanReturn,
        needs_body=False,
        codes=(Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY, Code.REDIS_AWAY),
    ),
    Route(
        "GET",
        "/v1/plans/{version}",
        "plan",
        plans.get_plan,
        "One version of the plan with its text.",
        {200: PlanText},
        codes=(Code.UNKNOWN_PLAN, Code.POSTGRES_AWAY),
    ),
    Route(
        "POST",
        "/v1/plans/{version}/activate",
        "plan",
        plans.activate,
        "Make a version the one in use, in every process within a second.",
        {200: PlanActive},
        PlanChange,
        needs_body=False,
        codes=(Code.UNKNOWN_PLAN, Code.PLAN_INVALID, Code.POSTGRES_AWAY, Code.REDIS_AWAY),
    ),
)
