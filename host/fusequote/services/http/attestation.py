"""The attestation service over HTTP: Intel's REST API, versions 3 to 5, and the operator's own API beside it.

The routes stand at ``/attestation``, ``/sgx/attestation`` and ``/sgx/dev/attestation``, as clients of Intel's hosts
ask for them; there is one service behind all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from prometheus_client import Counter
from pydantic import Field

from fusequote.services.attestation import API_VERSIONS, AVR_VERSION
from fusequote.services.attestation_request import UNAUTHORIZED, Answer, answer_report, answer_sigrl
from fusequote.services.attestation_subscriptions import is_key
from fusequote.services.http.attestation_openapi import REPORT_BODY, REPORT_RESPONSES, SIGRL_RESPONSES
from fusequote.services.http.errors import add_error_answers
from fusequote.services.http.server import ServiceContext, new_application
from fusequote.services.http.settings import ServerSettings
from fusequote.services.http.workers import worker_services

__all__ = ["Settings", "create_app"]

PREFIXES = ("/sgx/dev", "/sgx", "")
_HEADER = "Ocp-Apim-Subscription-Key"
_key = APIKeyHeader(
    name=_HEADER, auto_error=False, description="32 hexadecimal digits, primary or secondary."
)
Key = Annotated[str | None, Depends(_key)]


class Settings(ServerSettings):
    """Settings of the attestation service."""

    max_body: int = Field(4 << 20, ge=1024, le=1 << 28, description="Bytes of a request's body at most.")
    admin: bool = Field(True, description="Serve the operator's API at /admin, for those who have a key of it.")


class _Exactly(Response):
    """An answer whose headers leave as they are: a client that compares their names as text meets Intel's spelling."""

    def __init__(self, answer: Answer):
        self._answer = answer
        super().__init__(answer.body, answer.status)

    def init_headers(self, headers: Any = None) -> None:
        """In place of Starlette's own, which turns names into small letters."""
        self.raw_headers = list(self._answer.headers)


class _Direct(APIRoute):
    """A route that takes the request as it is; what its signature says is for the description alone.

    FastAPI's way of finding arguments costs as much as everything else between the socket and a worker.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint itself, with the one header that it reads."""
        endpoint: Any = self.endpoint

        async def handle(request: Request) -> Response:
            return await endpoint(request, request.headers.get(_HEADER))

        return handle


def create_app(context: ServiceContext) -> FastAPI:
    """The application: report and sigrl for each version, and the admin API unless the settings leave it out."""
    app = new_application(
        "Attestation service (emulated)",
        str(API_VERSIONS[-1]),
        "The REST API of Intel's attestation service for EPID, versions 3, 4 and 5, under roots of fusequote's own. "
        "Emulated: no report of it is evidence about hardware.",
    )
    add_error_answers(app)
    outcomes = Counter(
        "fusequote_attestation_answers", "Answers by status of the report, or kind of error.", ["version", "outcome"],
        registry=context.metrics.registry,
    )  # fmt: skip
    # Straight into the application's own table: every included router is one more to be asked for a request.
    for prefix in PREFIXES:
        for version in sorted(API_VERSIONS, key=lambda version: version != AVR_VERSION):
            _add_routes(app.router, f"{prefix}/attestation/v{version}", version, context, outcomes, shown=not prefix)
    if getattr(context.settings, "admin", False):
        from fusequote.services.http.admin import admin_routes

        app.include_router(admin_routes(context))
    return app


def _add_routes(
    routes: APIRouter, base: str, version: int, context: ServiceContext, outcomes: Counter, *, shown: bool
) -> None:
    services = context.services
    described: dict[str, Any] = {"tags": [f"version {version}"], "include_in_schema": shown, "response_class": Response}

    counted: dict[str, Any] = {}  # finding a counter by its labels takes as long as parsing a header

    def seen(answer: Answer) -> Response:
        counter = counted.get(answer.outcome)
        if counter is None:
            counter = counted[answer.outcome] = outcomes.labels(str(version), answer.outcome)
        counter.inc()
        return _Exactly(answer)

    def sigrl(gid: str, key: Key) -> Response:
        return seen(answer_sigrl(services.attestation, key or "", gid))

    async def report(request: Request, key: Key) -> Response:
        if key is None or not is_key(key):
            return seen(UNAUTHORIZED)
        body = await request.body()
        return seen(await context.workers.run(work_on_report, version, key, body))

    routes.add_api_route(
        f"{base}/report",
        report,
        methods=["POST"],
        route_class_override=_Direct,
        operation_id=f"report_v{version}",
        summary="Verify attestation evidence",
        responses=REPORT_RESPONSES,
        openapi_extra=REPORT_BODY,
        **described,
    )
    routes.add_api_route(
        f"{base}/sigrl/{{gid}}",
        sigrl,
        methods=["GET"],
        operation_id=f"sigrl_v{version}",
        summary="The signature revocation list of an EPID group",
        responses=SIGRL_RESPONSES,
        **described,
    )


def work_on_report(version: int, key: str, body: bytes) -> Answer:
    """A worker's part of a report: everything but HTTP."""
    return answer_report(worker_services().attestation, version, key, body)
