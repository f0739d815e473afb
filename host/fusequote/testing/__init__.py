"""For the tests of verifiers: a pytest plugin with an emulated platform, quotes and reports of every verdict.

pytest finds the plugin by itself (:mod:`fusequote.testing.plugin`); docs/pytest-plugin.md shows its use. Here are the
names of what it can make go wrong: :class:`Case` in a quote, :class:`Fault` in a report.
"""

from __future__ import annotations

from enum import StrEnum

from fusequote.reasons import Reason

__all__ = ["Case", "Fault"]


class Case(StrEnum):
    """What the attestation service shall find of a quote. Each has a group of its own, so that none disturbs another.

    ``reason`` is the code of the reference verdict.
    """

    reason: Reason

    def __new__(cls, name: str, reason: Reason) -> Case:
        member = str.__new__(cls, name)
        member._value_ = name
        member.reason = reason
        return member

    OK = "ok", Reason.ACCEPTED
    #: One field of the body is not the one that was signed.
    SIGNATURE_INVALID = "signature-invalid", Reason.SIGNATURE_INVALID
    UNKNOWN_GROUP = "unknown-group", Reason.SIGNATURE_INVALID
    GROUP_REVOKED = "group-revoked", Reason.GROUP_REVOKED
    #: On the PrivRL: the member's private key is known.
    KEY_REVOKED = "key-revoked", Reason.KEY_REVOKED
    #: On the SigRL: a signature of the member's is known.
    SIGNATURE_REVOKED = "signature-revoked", Reason.SIGNATURE_REVOKED
    #: On the service provider's own list, which is for linkable quotes: always makes one.
    VERIFIER_REVOKED = "verifier-revoked", Reason.SIGNATURE_REVOKED
    #: Made without the group's SigRL.
    SIGRL_VERSION_MISMATCH = "sigrl-version-mismatch", Reason.SIGRL_VERSION
    GROUP_OUT_OF_DATE = "group-out-of-date", Reason.GROUP_OUT_OF_DATE
    CONFIGURATION_NEEDED = "configuration-needed", Reason.CONFIGURATION_NEEDED
    SW_HARDENING_NEEDED = "sw-hardening-needed", Reason.SW_HARDENING_NEEDED
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "configuration-and-sw-hardening-needed", Reason.CONFIGURATION_AND_SW
    #: One byte short. The service refuses these two: there is no report.
    MALFORMED = "malformed", Reason.QUOTE_FORMAT
    UNDECRYPTABLE = "undecryptable", Reason.QUOTE_DECRYPTION

    @property
    def has_report(self) -> bool:
        """Whether the service reports on such a quote instead of refusing it."""
        return self not in (Case.MALFORMED, Case.UNDECRYPTABLE)


class Fault(StrEnum):
    """What is wrong with a report on a quote in which nothing need be wrong. ``reason`` as :class:`Case`'s."""

    reason: Reason

    def __new__(cls, name: str, reason: Reason) -> Fault:
        member = str.__new__(cls, name)
        member._value_ = name
        member.reason = reason
        return member

    #: Signed, but not JSON.
    MALFORMED = "malformed", Reason.AVR_FORMAT
    #: One bit of the signature is another.
    SIGNATURE = "signature", Reason.AVR_SIGNATURE
    #: The signing certificate is of another root, which calls itself the same.
    CHAIN = "chain", Reason.AVR_CHAIN
    #: Version 3 of the API.
    VERSION = "version", Reason.AVR_VERSION
    #: A day before the service's time.
    OLD = "old", Reason.AVR_TIME
    #: An hour after it.
    FUTURE = "future", Reason.AVR_TIME
    #: Another nonce than the one that was asked with.
    NONCE = "nonce", Reason.AVR_NONCE
    #: A good report on another quote of the same enclave.
    OTHER_QUOTE = "other-quote", Reason.QUOTE_BODY
