"""Revoking in an issuer's folder, from evidence or from requests in Intel's form (EPID spec section 11)."""

from __future__ import annotations

from fusequote.epid.errors import EpidFormatError
from fusequote.epid.files import (
    FileType,
    Form,
    SigRlRequest,
    header,
    read_group_rl_request,
    read_priv_rl_request,
)
from fusequote.epid.keyfile import open_key
from fusequote.epid.keys import require_same_gid, same_gid
from fusequote.epid.ledger import IssuerFolder
from fusequote.epid.revocation import GroupRl, PrivRl, RevocationList, SigRl


def revoke_by_key(folder: IssuerFolder, data: bytes) -> RevocationList:
    """The next PrivRL, with the key of a key file; raises KeyCheckFailed for one of another group."""
    key = open_key(data, folder.group)
    return folder.issuer.revoke_key(folder.read_list(PrivRl), key)


def revoke_whole_group(folder: IssuerFolder) -> RevocationList:
    """The next GroupRL, with this group."""
    return folder.issuer.revoke_group(folder.read_list(GroupRl))


def revoke_by_request(folder: IssuerFolder, data: bytes, basename: bytes | None = None) -> RevocationList:
    """The next list after a request of any of the three kinds. The evidence in it is checked.

    Raises EpidFormatError, GroupMismatch, KeyCheckFailed; EpidError for a signature that is not good.
    """
    issuer, group = folder.issuer, folder.group
    kinds = (FileType.PRIV_RL_REQUEST, FileType.SIG_RL_REQUEST, FileType.GROUP_RL_REQUEST)
    found = {header(kind, form): kind for kind in kinds for form in Form}.get(bytes(data[:4]))
    if found is FileType.PRIV_RL_REQUEST:
        current = folder.read_list(PrivRl)
        keys = read_priv_rl_request(data)
        for key in keys:
            issuer.revoke_key(current, key)  # checks
        return current.adding(*(key.f for key in keys))
    if found is FileType.SIG_RL_REQUEST:
        request = SigRlRequest.from_bytes(data)
        require_same_gid(group, request.gid, "request")
        return issuer.revoke_signature(folder.read_list(SigRl), request.signature, request.message, basename)
    if found is FileType.GROUP_RL_REQUEST:
        gids = [gid for gid, _ in read_group_rl_request(data)]
        for gid in gids:
            if not same_gid(gid, group.gid):
                raise EpidFormatError(
                    f"the request names group {gid.hex()}: this issuer has {group.gid.hex()} only"
                )
        return revoke_whole_group(folder)
    raise EpidFormatError("not a request to revoke: its header is that of no request", offset=0)
