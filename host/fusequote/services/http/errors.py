"""Answers to what is wrong with a request before a route sees it, in the form that all errors of the services have."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fusequote.services.http.limits import error_body

__all__ = ["add_error_answers"]

_KINDS = {401: "unauthorized", 404: "not-found", 405: "method-not-allowed"}


def add_error_answers(app: FastAPI) -> None:
    """Have the application answer unknown paths, wrong methods and invalid fields with our errors.

    What was sent is never repeated: it may hold a key.
    """

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        body = error_body(_KINDS.get(error.status_code, "http"), str(error.detail))
        return Response(body, error.status_code, error.headers, "application/json")

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()[:5])
        return Response(error_body("bad-request", said), 422, None, "application/json")
