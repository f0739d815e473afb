"""The real applications against their own OpenAPI descriptions, driven by schemathesis: no input makes a server fail,
and no answer is one that the description does not know.
"""

from __future__ import annotations

import importlib

import pytest
import schemathesis
from fusequote.services.http.server import dress, open_context
from fusequote.services.http.settings import ServerSettings
from hypothesis import HealthCheck, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def drive(home, service: str, examples: int, number: int) -> int:
    """Ask each operation of a service this often; how many operations there are."""
    module = importlib.import_module(f"fusequote.services.http.{service}")
    kind = getattr(module, "Settings", ServerSettings)
    context = open_context(home, kind(workers=0, rate=0))
    try:
        schema = schemathesis.openapi.from_asgi("/openapi.json", dress(module.create_app(context), context))
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in operations:

            @seed(number)
            @given(case=operation.as_strategy())
            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=CHECKS)

            ask()
        return len(operations)
    finally:
        context.close()


@pytest.mark.parametrize("service", ["provisioning", "attestation"])
def test_a_few_requests_of_every_kind(home, service, rng):
    assert drive(home, service, 5, rng.getrandbits(32)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("service", ["provisioning", "attestation"])
def test_many_requests_of_every_kind(home, service, rng):
    drive(home, service, 300, rng.getrandbits(32))
