"""The page's routes: its files, the activity, the recent groups, and one pasted group explained."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from reward_server.errors import ApiError
from reward_server.routes import read_body, services_of, tenant_of
from reward_server.schemas import parse_body
from reward_server.web.activity import BUCKET_S
from reward_server.web.assets import HEADERS, Asset
from reward_server.web.explain import Explainer, ExplainRequest
from reward_server.web.feed import Feed
from reward_server.web.view import group_line

LOCAL_NAMES = frozenset({"localhost", ""})
router = APIRouter()


@dataclass(frozen=True, slots=True)
class Page:
    """What the page's routes work with; one per app, in ``app.state.page``."""

    feed: Feed
    explainer: Explainer
    has_keys: bool


def asset_routes(assets: Sequence[Asset]) -> APIRouter:
    """One route for each file, so that no part of a request's path is ever looked up."""
    routes = APIRouter()
    for asset in assets:
        routes.add_api_route(asset.path, sender(asset), methods=["GET"], include_in_schema=False)
    return routes


def sender(asset: Asset) -> Callable[[], Awaitable[Response]]:
    """The handler that sends one file."""
    headers = HEADERS | {"content-type": asset.media_type, "cache-control": "no-cache"}

    async def send() -> Response:
        return Response(asset.body, headers=headers)

    return send


@router.get("/v1/activity")
async def activity(request: Request) -> Response:
    """Counts of the last hour and since the start."""
    page, services = page_of(request), services_of(request)
    shown = page.feed.activity
    return JSONResponse(
        {
            "bucket_s": BUCKET_S,
            "series": shown.series(),
            "totals": shown.totals_out(),
            "queue": shown.queue_length(),
            "judge": {"id": services.judge_id},
            "requests_in_line": request.app.state.edge.gate.waiting,
            "workers": services.config.server.workers,
            "draining": services.lifecycle.draining,
            "keep_groups": page.feed.recent.max_groups,
        },
        headers=data_headers(),
    )


@router.get("/v1/recent")
async def recent(request: Request) -> Response:
    """The kept groups that came with the caller's key, newest first."""
    page = page_of(request)
    refuse_foreign_names(request, page)
    lines = [group_line(kept).model_dump() for kept in page.feed.recent.of(tenant_of(request))]
    reply = {"groups": lines, "keep_groups": page.feed.recent.max_groups, "by_key": page.has_keys}
    return JSONResponse(reply, headers=data_headers())


@router.get("/v1/recent/{key}")
async def recent_group(request: Request, key: str) -> Response:
    """One kept group with its texts, steps and verdicts."""
    page = page_of(request)
    refuse_foreign_names(request, page)
    kept = page.feed.recent.get(key, tenant_of(request))
    if kept is None:
        raise ApiError(404, "not_kept", "this group is not kept any more, or came with another key")
    return json_reply(await page.explainer.open(kept))


@router.post("/v1/explain")
async def explain(request: Request) -> Response:
    """Rewards and verdicts of one group, with its texts and steps."""
    page, limits = page_of(request), services_of(request).config.limits
    parsed = parse_body(ExplainRequest, await read_body(request, limits.max_body_bytes), limits)
    return json_reply(await page.explainer.explain(parsed, tenant_of(request)))


def page_of(request: Request) -> Page:
    """The app's page, with its type."""
    page: Page = request.app.state.page
    return page


def json_reply(model: BaseModel) -> Response:
    """JSON that no cache keeps."""
    return Response(model.model_dump_json(), media_type="application/json", headers=data_headers())


def data_headers() -> dict[str, str]:
    """Headers of replies with texts or counts."""
    return HEADERS | {"cache-control": "no-store"}


def refuse_foreign_names(request: Request, page: Page) -> None:
    """Without keys, give texts only to who calls this machine by its own name.

    A web site can point a name of its own at 127.0.0.1, and a browser on this machine would then let that site read
    what the server answers.
    """
    host = request.headers.get("host", "").strip()
    if page.has_keys or is_local_name(host):
        return
    raise ApiError(
        403, "foreign_host", "without keys the page is for this machine only: open it as http://127.0.0.1:PORT"
    )


def is_local_name(host: str) -> bool:
    """True for this machine's own names and addresses.

    >>> [is_local_name(host) for host in ("127.0.0.1:8100", "localhost", "[::1]:80", "evil.example:8100")]
    [True, True, True, False]
    """
    name = host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name.lower() in LOCAL_NAMES
