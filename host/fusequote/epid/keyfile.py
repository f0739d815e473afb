"""A member's key from whatever form its file has."""

from __future__ import annotations

from fusequote.epid.compressed import expand
from fusequote.epid.errors import EpidFormatError, EpidStatus
from fusequote.epid.files import read_member_key
from fusequote.epid.keys import GroupPublicKey, MemberPrivateKey, MembershipCredential


def open_key(data: bytes, group: GroupPublicKey) -> MemberPrivateKey:
    """The key in ``data``: full, or compressed (opened with the group key).

    Raises EpidFormatError, KeyCheckFailed.
    """
    key = read_member_key(data)
    if isinstance(key, MembershipCredential):
        raise EpidFormatError(
            "this is a membership credential: the member's secret f is missing",
            status=EpidStatus.kEpidBadPrivKeyErr,
            hint="finish the join first: fusequote epid join --credential",
        )
    return key if isinstance(key, MemberPrivateKey) else expand(key, group)
