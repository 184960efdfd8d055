"""The published description: every route that reads a body says which, with this server's own bounds."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from judge.registry import build_judge
from reward_server.app import create_app
from reward_server.config import ServerConfig
from reward_server.edge.auth import KeyRing
from reward_server.edge.openapi import describe

WITHOUT_SCHEMA = {"/nemo_gym/seed_session"}
"""Reads an object of any shape."""


@pytest.fixture(scope="module")
def parts() -> tuple[dict[str, Any], list[APIRoute]]:
    config = ServerConfig.model_validate({"judge": {"kind": "scripted"}, "limits": {"max_groups": 7}})
    app = create_app(config, build_judge(config.judge), KeyRing(()))
    routes = [route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema]
    return describe(app, config, needs_key=True), routes


def test_every_route_is_described(parts: Any) -> None:
    document, routes = parts
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert described == {(route.path, method) for route in routes for method in route.methods}


def test_every_body_has_a_schema(parts: Any) -> None:
    document, _ = parts
    posts = {path: item["post"] for path, item in document["paths"].items() if "post" in item}
    assert {path for path, item in posts.items() if "requestBody" not in item} <= WITHOUT_SCHEMA
    for item in posts.values():
        assert {"200", "401", "413", "422", "429", "503"} <= set(item["responses"])


def test_every_reference_leads_somewhere(parts: Any) -> None:
    document, _ = parts

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [found for inner in part.values() for found in references(inner)]
        return [found for inner in part for found in references(inner)] if isinstance(part, list) else []

    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    found = set(references(document))
    assert found
    assert found <= known


def test_bounds_are_those_of_this_server(parts: Any) -> None:
    schemas = parts[0]["components"]["schemas"]
    assert schemas["RewardRequest"]["properties"]["groups"]["maxItems"] == 7
    assert schemas["ResponseIn"]["properties"]["text"]["maxLength"] == 200_000
    assert "x-limit" not in str(schemas)


def test_only_health_needs_no_key(parts: Any) -> None:
    paths = parts[0]["paths"]
    free = {path for path, item in paths.items() for operation in item.values() if not operation["security"]}
    assert free == {"/livez", "/readyz"}
