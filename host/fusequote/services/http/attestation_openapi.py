"""What the OpenAPI description says of the attestation API's bodies and answers."""

from __future__ import annotations

from typing import Any

from fusequote.services.attestation_status import PseStatus, QuoteStatus

__all__ = ["ERRORS", "REPORT_BODY", "REPORT_RESPONSES", "SIGRL_RESPONSES", "error_response"]

_TEXT = {"type": "string"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message", "hint"],
            "properties": {"kind": _TEXT, "message": _TEXT, "hint": {"type": ["string", "null"]}},
        }
    },
}


def error_response(description: str) -> dict[str, Any]:
    """An answer with an error in the form of all services."""
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


#: Answers that every route may give.
ERRORS: dict[int | str, dict[str, Any]] = {
    413: error_response("The body is too large"),
    429: error_response("Too many requests from this client"),
    500: error_response("A bug in the server"),
    503: error_response("Busy, or the store is not available: try again"),
}
_KEY_ERROR = {401: error_response("No key of a subscription")}

_REPORT = {
    "type": "object",
    "required": ["id", "timestamp", "version", "isvEnclaveQuoteStatus", "isvEnclaveQuoteBody"],
    "additionalProperties": False,
    "properties": {
        "nonce": {"type": "string", "maxLength": 32},
        "id": {"type": "string", "pattern": "^[0-9]{1,39}$"},
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"},
        "version": {"type": "integer", "enum": [3, 4, 5]},
        "attestationType": {"const": "EPID"},
        "epidPseudonym": _BASE64,
        "advisoryURL": _TEXT,
        "advisoryIDs": {"type": "array", "items": _TEXT},
        "isvEnclaveQuoteStatus": {"enum": [status.value for status in QuoteStatus]},
        "revocationReason": {"type": "integer", "enum": [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]},
        "pseManifestStatus": {"enum": [status.value for status in PseStatus]},
        "pseManifestHash": {"type": "string", "pattern": "^[0-9A-F]{64}$"},
        "platformInfoBlob": {"type": "string", "pattern": "^[0-9A-F]{210}$"},
        "isvEnclaveQuoteBody": _BASE64,
        "tcbEvaluationDataNumber": {"type": "integer", "minimum": 1},
    },
}
REPORT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["isvEnclaveQuote"],
                    "properties": {
                        "isvEnclaveQuote": _BASE64 | {"description": "A version 2 QUOTE."},
                        "pseManifest": _BASE64,
                        "nonce": {"type": "string", "maxLength": 32},
                    },
                }
            }
        },
    }
}
REPORT_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An attestation verification report",
        "headers": {
            "X-IASReport-Signature": {
                "description": "base64 of RSA PKCS#1 v1.5 with SHA-256 over the body's bytes",
                "schema": _TEXT,
            },
            "X-IASReport-Signing-Certificate": {
                "description": "signing certificate, then root, PEM, percent-encoded",
                "schema": _TEXT,
            },
            "Advisory-URL": {"description": "version 3 only, with advisories", "schema": _TEXT},
            "Advisory-IDs": {"description": "version 3 only: ids with commas between them", "schema": _TEXT},
        },
        "content": {"application/json": {"schema": _REPORT}},
    },
    400: error_response("The evidence is none: no quote, not decryptable, of another SPID or kind than agreed"),
    **_KEY_ERROR,
    **ERRORS,
}
SIGRL_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "base64 of the SigRL; nothing when the group has no entries",
        "content": {"text/plain": {"schema": _TEXT}},
    },
    404: error_response("No such EPID group"),
    **_KEY_ERROR,
    **ERRORS,
}
