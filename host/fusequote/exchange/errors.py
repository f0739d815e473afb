"""What can be wrong with a message of the key exchange: one error, with a code for each way."""

from __future__ import annotations

from fusequote import errors

__all__ = ["ExchangeError", "Fault"]


class Fault(errors.Fault):
    """Why a party of the exchange ended it.

    Where Intel's ``tkey_exchange`` has an error of its own for a case, the meaning names it.
    """

    MALFORMED = "exchange.malformed", "the message has a wrong length or field (SGX_ERROR_INVALID_PARAMETER)"
    ORDER = "exchange.out-of-order", "this message does not come now (SGX_ERROR_INVALID_STATE)"
    EXTENDED_GROUP = "exchange.extended-group", "the extended EPID group is not 0, and no other is served"
    GROUP_UNKNOWN = "exchange.group-unknown", "the attestation service knows no such EPID group"
    KDF = "exchange.kdf-mismatch", "the key derivation is not number 1 (SGX_ERROR_KDF_MISMATCH)"
    POINT = "exchange.bad-point", "the ephemeral key is no point of P-256"
    SIGNATURE = (
        "exchange.signature-invalid",
        "the service provider's key did not sign g_b and g_a (SGX_ERROR_INVALID_SIGNATURE)",
    )
    MAC = "exchange.mac-mismatch", "the message's MAC is wrong for this session (SGX_ERROR_MAC_MISMATCH)"
    OTHER_SESSION = "exchange.other-session", "g_a of msg3 is not the one of msg1"
    OTHER_GROUP = "exchange.other-group", "the quote's EPID group is not the one of msg1"
    SPID = "exchange.other-spid", "the service provider asks for a quote under another SPID than expected"
    LINKABILITY = "exchange.linkability", "the service provider asks for another signature type than agreed"
    NOT_TRUSTED = "exchange.not-trusted", "the service provider does not trust this enclave: there is no channel"
    MESSAGE = "exchange.message-invalid", "the message does not authenticate under this session's key"
    REPLAYED = "exchange.message-replayed", "the message was received before, or comes out of order"
    LIMIT = "exchange.too-large", "the message is longer than is taken"
    BUSY = "exchange.busy", "the relying party has as many sessions as it takes; try again"
    CLOSED = "exchange.closed", "the other side ended the exchange"


class ExchangeError(errors.PeerFault):
    """A party ended the exchange."""
