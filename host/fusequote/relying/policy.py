"""What a relying party asks for."""

from __future__ import annotations

from dataclasses import dataclass

from fusequote.arch import ReportBody, SignType
from fusequote.errors import UsageError

__all__ = ["Policy", "TRUSTED_STATUSES"]

#: What is accepted unless the policy says otherwise.
TRUSTED_STATUSES = frozenset({"OK"})


@dataclass(frozen=True)
class Policy:
    """An enclave is accepted when everything that is set here holds; None asks for nothing.

    ``mrenclaves`` and ``mrsigners``: the accepted values, 32 bytes each. ``min_isvsvn``: the least ISVSVN.
    ``report_data``: up to 64 bytes, the rest zero. ``statuses``: accepted isvEnclaveQuoteStatus values.
    ``max_age``: seconds that a report may be old (and 60 s of it that clocks may differ). A production policy
    leaves ``allow_debug`` off. A policy that names neither MRENCLAVE nor MRSIGNER would accept anybody's
    enclave and raises :class:`UsageError`.
    """

    mrenclaves: frozenset[bytes] | None = None
    mrsigners: frozenset[bytes] | None = None
    isvprodid: int | None = None
    min_isvsvn: int = 0
    allow_debug: bool = False
    report_data: bytes | None = None
    spid: bytes | None = None
    sign_type: SignType | None = None
    statuses: frozenset[str] = TRUSTED_STATUSES
    max_age: int = 3600

    def __post_init__(self) -> None:
        if not self.mrenclaves and not self.mrsigners:
            raise UsageError(
                "the policy names neither MRENCLAVE nor MRSIGNER: it would accept anybody's enclave",
                hint="give the measurement or the signer that you expect",
            )
        for value in (*(self.mrenclaves or ()), *(self.mrsigners or ())):
            if len(value) != 32:
                raise UsageError(f"MRENCLAVE and MRSIGNER are 32 bytes, not {len(value)}")
        if self.report_data is not None and len(self.report_data) > 64:
            raise UsageError(f"REPORTDATA holds 64 bytes, not {len(self.report_data)}")
        if self.spid is not None and len(self.spid) != 16:
            raise UsageError(f"a SPID is 16 bytes, not {len(self.spid)}")

    @classmethod
    def for_enclave(cls, identity: ReportBody, **more: object) -> Policy:
        """The policy that wants exactly this enclave: its MRENCLAVE, MRSIGNER, ISVPRODID, and no older
        ISVSVN.
        """
        return cls(
            mrenclaves=frozenset({identity.mrenclave}),
            mrsigners=frozenset({identity.mrsigner}),
            isvprodid=identity.isvprodid,
            min_isvsvn=identity.isvsvn,
            **more,
        )
