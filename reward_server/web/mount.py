"""Adds the page to an app."""

from __future__ import annotations

from fastapi import FastAPI

from reward_server.routes import Services
from reward_server.solutions import Segmenter
from reward_server.web.assets import read_assets
from reward_server.web.explain import Explainer
from reward_server.web.feed import Feed
from reward_server.web.routes import Page, asset_routes, router


def add_page(app: FastAPI, services: Services, feed: Feed, segmenter: Segmenter, *, has_keys: bool) -> None:
    """Read the page's files and add its routes.

    Args:
        app: gets the routes, and the page's parts in ``app.state.page``.
        services: what the page asks.
        feed: what the page shows of the server's work.
        segmenter: cuts the texts that are shown.
        has_keys: whether the server asks for keys.
    """
    explainer = Explainer(services.rewards, services.verdicts, segmenter, services.judge_id)
    app.state.page = Page(feed=feed, explainer=explainer, has_keys=has_keys)
    app.include_router(asset_routes(read_assets()))
    app.include_router(router)
