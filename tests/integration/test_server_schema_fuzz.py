"""Requests made from the published description, fitting and not fitting it: no fault, no reply that is undescribed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.integration.http_server import Server, running

SMALL = {
    "judge": {"kind": "scripted"},
    # Long texts would be long to make, and say nothing more.
    "limits": {"max_text_chars": 200, "max_problem_chars": 100, "max_groups": 3, "max_responses": 4, "max_steps": 8},
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
ROUTES = ["/v1/rewards", "/v1/judge", "/v1/explain", "/v1/openrlhf", "/v1/slime", "/nemo_gym/verify"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(SMALL) as server:
        yield server


@pytest.fixture(scope="module")
def schema(server: Server) -> Any:
    return schemathesis.openapi.from_dict(server.call("GET", "/openapi.json").json)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("route", ROUTES)
def test_no_request_made_from_the_description_is_a_fault(
    server: Server, schema: Any, route: str, mode: GenerationMode
) -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck), database=None)
    @given(case=schema[route]["POST"].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        reply = case.call(base_url=f"http://127.0.0.1:{server.port}")
        case.validate_response(reply, checks=CHECKS)

    ask()
