"""The operator's API of the attestation service: what `fusequote service` does, over HTTP and with keys of its own."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt

from fusequote.errors import Refused, UsageError
from fusequote.services.attestation_describe import group_document, list_document, subscriber_document
from fusequote.services.attestation_groups import UnknownGroup
from fusequote.services.attestation_operator import ListKind, Operator
from fusequote.services.attestation_status import PseStatus
from fusequote.services.attestation_subscriptions import KeySlot, Subscriptions, UnknownSubscription
from fusequote.services.http.attestation_openapi import ERRORS, error_response
from fusequote.services.http.provisioning_admin import add_provisioning_routes
from fusequote.services.http.server import ServiceContext

__all__ = ["admin_routes"]

_bearer = HTTPBearer(auto_error=False, description="A key of the admin API: `fusequote service admin-key`.")


def _hex(size: int) -> Any:
    return Field(pattern=f"^[0-9A-Fa-f]{{{2 * size}}}$", description=f"{size} bytes in hexadecimal")


def _base64(text: str) -> str:
    try:
        base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("this is not base64") from None
    return text


Gid, Spid, Sha256 = Annotated[str, _hex(4)], Annotated[str, _hex(16)], Annotated[str, _hex(32)]
Base64 = Annotated[str, AfterValidator(_base64), Field(json_schema_extra={"contentEncoding": "base64"})]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TcbChange(_Body):
    """Fields of a TCB record; those that are left out stay."""

    out_of_date: StrictBool | None = None
    configuration_needed: StrictBool | None = None
    sw_hardening_needed: StrictBool | None = None
    joins: StrictBool | None = None
    advisory_ids: list[str] | None = None


class GroupRevocation(_Body):
    """Why a group is revoked: a CRLReason of RFC 5280."""

    reason: StrictInt = 0


class KeyEvidence(_Body):
    """A member's private key that leaked."""

    key: Base64


class QuoteEvidence(_Body):
    """A quote whose maker is meant."""

    quote: Base64


class ShutOut(_Body):
    """Who is shut out: the maker of a linkable quote, or the bearer of a pseudonym with a SPID in a group."""

    quote: Base64 | None = None
    gid: Gid | None = None
    spid: Spid | None = None
    pseudonym: Base64 | None = None


class NewSubscription(_Body):
    """A service provider; without ``spid`` it gets a random one."""

    name: str = Field(min_length=1, max_length=100)
    linkable: StrictBool = False
    spid: Spid | None = None


class SubscriptionChange(_Body):
    """Whether a subscription's keys are good."""

    active: StrictBool


class PseChange(_Body):
    """What reports say of a PSE manifest."""

    status: PseStatus


def admin_routes(context: ServiceContext) -> APIRouter:
    """All routes, at ``/admin/v1``."""
    operator = Operator(context.services.registry, context.services.keys)
    subscriptions = Subscriptions(context.services.store)

    def admin(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> str:
        name = None if credentials is None else subscriptions.admin_of_key(credentials.credentials)
        if name is None:
            raise HTTPException(401, "no key of the admin API", {"WWW-Authenticate": 'Bearer realm="fusequote"'})
        return name

    answers = {
        400: error_response("The operator asked for what cannot be, or the evidence is none"),
        401: error_response("No key of the admin API"),
        404: error_response("No such group, device, subscription or path"),
        409: error_response("Somebody else was first"),
        422: error_response("A field is not what it must be"),
    }
    routes = APIRouter(prefix="/admin/v1", tags=["admin"], dependencies=[Depends(admin)], responses=answers | ERRORS)

    @routes.get("/groups")
    def groups() -> list[dict[str, Any]]:
        return [group_document(state) for state in operator.groups()]

    @routes.get("/groups/{gid}")
    def group(gid: Gid) -> dict[str, Any]:
        return group_document(_known(operator.group, bytes.fromhex(gid)))

    @routes.patch("/groups/{gid}")
    def set_tcb(gid: Gid, change: TcbChange) -> dict[str, Any]:
        return group_document(_known(operator.set_tcb, bytes.fromhex(gid), **change.model_dump()))

    @routes.post("/groups/{gid}/revocation")
    def revoke_group(gid: Gid, why: GroupRevocation) -> dict[str, Any]:
        return group_document(_known(operator.revoke_group, bytes.fromhex(gid), why.reason))

    add_provisioning_routes(routes, context, operator)

    @routes.post("/revocations/keys")
    def revoke_key(evidence: KeyEvidence) -> dict[str, Any]:
        return list_document(_known(operator.revoke_key, base64.b64decode(evidence.key)))

    @routes.post("/revocations/signatures")
    def revoke_signature(evidence: QuoteEvidence) -> dict[str, Any]:
        return list_document(_known(operator.revoke_signature, base64.b64decode(evidence.quote)))

    @routes.get("/verifier-lists")
    def verifier_lists() -> list[dict[str, Any]]:
        return [list_document(state) for state in operator.verifier_lists()]

    @routes.post("/verifier-lists")
    def shut_out(who: ShutOut) -> dict[str, Any]:
        named = (who.gid, who.spid, who.pseudonym)
        if who.quote is not None and named == (None, None, None):
            return list_document(_known(operator.shut_out, base64.b64decode(who.quote)))
        if who.quote is not None or None in named:
            raise UsageError("either a quote, or gid, spid and pseudonym")
        gid, spid = bytes.fromhex(named[0]), bytes.fromhex(named[1])
        return list_document(_known(operator.shut_out_pseudonym, gid, spid, base64.b64decode(named[2])))

    @routes.get(
        "/lists/{kind}",
        response_class=Response,
        responses={200: {"description": "The signed list", "content": {"application/octet-stream": {}}}},
    )
    def publish(kind: ListKind, gid: Annotated[str | None, Query(pattern="^[0-9A-Fa-f]{8}$")] = None) -> Response:
        data = _known(operator.publish, kind, None if gid is None else bytes.fromhex(gid))
        return Response(data, media_type="application/octet-stream")

    @routes.get("/subscriptions")
    def all_subscriptions() -> list[dict[str, Any]]:
        return [subscriber_document(subscriber) for subscriber in subscriptions.all()]

    @routes.post("/subscriptions", status_code=201)
    def subscribe(new: NewSubscription) -> dict[str, Any]:
        spid = None if new.spid is None else bytes.fromhex(new.spid)
        subscriber, primary, secondary = subscriptions.create(new.name, linkable=new.linkable, spid=spid)
        return subscriber_document(subscriber) | {"primary": primary, "secondary": secondary}

    @routes.patch("/subscriptions/{spid}")
    def set_active(spid: Spid, change: SubscriptionChange) -> dict[str, Any]:
        return subscriber_document(_known(subscriptions.set_active, bytes.fromhex(spid), change.active))

    @routes.post("/subscriptions/{spid}/keys/{slot}")
    def renew_key(spid: Spid, slot: KeySlot) -> dict[str, str]:
        return {slot.value: _known(subscriptions.renew_key, bytes.fromhex(spid), slot)}

    @routes.put("/pse/{manifest_hash}", status_code=204)
    def set_pse(manifest_hash: Sha256, change: PseChange) -> None:
        operator.set_pse(bytes.fromhex(manifest_hash), change.status)

    return routes


def _known(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call ``function``; what it does not know is 404, evidence that is none 400."""
    try:
        return function(*arguments, **options)
    except (UnknownGroup, UnknownSubscription) as error:
        raise HTTPException(404, str(error)) from error
    except Refused as error:
        raise HTTPException(400, str(error)) from error
