"""The operator's API, its part about the provisioning server: groups that are opened, devices that are revoked."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from fusequote.platform.images import AE_ISVSVN
from fusequote.platform.pce import PCE_ISVSVN
from fusequote.services.attestation_describe import group_document
from fusequote.services.attestation_groups import UnknownGroup
from fusequote.services.attestation_operator import Operator
from fusequote.services.http.server import ServiceContext
from fusequote.services.provisioning.members import UnknownDevice

__all__ = ["add_provisioning_routes"]

_Gid = Annotated[str, Field(pattern="^[0-9A-Fa-f]{8}$", description="4 bytes in hexadecimal")]
_Sixteen = Annotated[str, Field(pattern="^[0-9A-Fa-f]{32}$", description="16 bytes in hexadecimal")]
_Svn = Annotated[int, Field(strict=True, ge=0, le=65535)]


class NewGroup(BaseModel):
    """The TCB that members of a new group have proven; SVNs are by default those of this version's enclaves."""

    model_config = ConfigDict(extra="forbid")

    cpusvn: _Sixteen
    isvsvn: _Svn = AE_ISVSVN
    pce_svn: _Svn = PCE_ISVSVN


def add_provisioning_routes(routes: APIRouter, context: ServiceContext, operator: Operator) -> None:
    """Add them to those of the operator."""
    members = context.services.provisioning.members

    @routes.post("/groups", status_code=201)
    def open_group(new: NewGroup) -> dict[str, Any]:
        gid = members.open_group(bytes.fromhex(new.cpusvn), new.isvsvn, new.pce_svn)
        return group_document(operator.group(gid))

    @routes.post("/groups/{gid}/rekey", status_code=201)
    def open_rekey_group(gid: _Gid) -> dict[str, Any]:
        try:
            operator.group(bytes.fromhex(gid))
        except UnknownGroup as error:
            raise HTTPException(404, str(error)) from error
        return group_document(operator.group(members.create_rekey_group(bytes.fromhex(gid))))

    @routes.get("/devices/{device_id}")
    def device(device_id: _Sixteen) -> dict[str, Any]:
        try:
            return members.device_state(bytes.fromhex(device_id)).document()
        except UnknownDevice as error:
            raise HTTPException(404, str(error)) from error

    @routes.post("/devices/{device_id}/revocation")
    def revoke_device(device_id: _Sixteen) -> dict[str, Any]:
        try:
            return members.revoke_device(bytes.fromhex(device_id)).document()
        except UnknownDevice as error:
            raise HTTPException(404, str(error)) from error
