"""The closed list of reason codes: why a party said yes or no, and at which step of the chain."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Reason", "Step"]


class Step(StrEnum):
    """The six steps of the chain, in order."""

    MANUFACTURE = "manufacture"
    LAUNCH = "launch"
    REPORT = "report"
    PROVISION = "provision"
    QUOTE = "quote"
    VERIFY = "verify"


MANUFACTURE, LAUNCH, REPORT, PROVISION, QUOTE, VERIFY = Step


class Reason(StrEnum):
    """Why the answer is what it is. ``reason.step`` gives it, ``reason.meaning`` is its one line."""

    step: Step
    meaning: str

    def __new__(cls, code: str, step: Step, meaning: str) -> Reason:
        member = str.__new__(cls, code)
        member._value_ = code
        member.step = step
        member.meaning = meaning
        return member

    # Manufacture
    CHIP_NOT_BLANK = "chip.not-blank", MANUFACTURE, "The chip's fuses are burnt already; fuses burn once."
    CHIP_FUSES_DIFFER = "chip.fuses-differ", MANUFACTURE, "The chip's public fuses are not what was burnt."
    CHIP_REFUSED_FUSES = "chip.refused-fuses", MANUFACTURE, "The chip refused the values to burn."
    DEVICE_EXISTS = "maker.device-exists", MANUFACTURE, "The maker has a record of this device id already."
    # Launch: the codes of EINIT, and the faults before it
    CHIP_NOT_LOCKED = (
        "chip.not-locked",
        LAUNCH,
        "The chip has not booted as locked, so enclave leaves do not run.",
    )
    SIG_STRUCT = "launch.invalid-sig-struct", LAUNCH, "SIGSTRUCT's fixed fields are not what they must be."
    ATTRIBUTE = (
        "launch.invalid-attribute",
        LAUNCH,
        "SIGSTRUCT does not allow these ATTRIBUTES, or this signer may not have them.",
    )
    MEASUREMENT = (
        "launch.invalid-measurement",
        LAUNCH,
        "What the chip measured is not SIGSTRUCT's ENCLAVEHASH.",
    )
    SIGNATURE = "launch.invalid-signature", LAUNCH, "SIGSTRUCT's RSA signature is wrong."
    EINITTOKEN = (
        "launch.invalid-einittoken",
        LAUNCH,
        "The signer is not LEPUBKEYHASH's and no good EINITTOKEN was given.",
    )
    LAUNCH_POLICY = "launch.policy", LAUNCH, "The launch enclave does not vouch for this enclave."
    LAUNCH_CPUSVN = "launch.invalid-cpusvn", LAUNCH, "The EINITTOKEN comes from a newer CPUSVN."
    LAUNCH_FAULT = "launch.fault", LAUNCH, "The chip raised #GP or #PF while the enclave was built."
    # Report: leaves within an entry
    REPORT_FAULT = (
        "report.fault",
        REPORT,
        "The chip raised #GP: TARGETINFO or KEYREQUEST has reserved bits set, or no such entry.",
    )
    REPORT_MAC = (
        "report.mac-invalid",
        REPORT,
        "The REPORT's MAC is wrong for this enclave: altered, for another target, of another chip or boot.",
    )
    REPORT_FORMAT = "report.malformed", REPORT, "The REPORT is not 432 bytes with its reserved bytes zero."
    KEY_ATTRIBUTE = "key.invalid-attribute", REPORT, "The enclave lacks the attribute that this key needs."
    KEY_CPUSVN = "key.invalid-cpusvn", REPORT, "The key of a CPUSVN above the chip's own was asked for."
    KEY_ISVSVN = "key.invalid-isvsvn", REPORT, "The key of an ISVSVN above the enclave's own was asked for."
    KEY_NAME = "key.invalid-keyname", REPORT, "There is no key of this name; fuse keys have none."
    # Provision
    DEVICE_UNKNOWN = "provision.device-unknown", PROVISION, "The server knows no device with this PPID."
    DEVICE_REVOKED = "provision.device-revoked", PROVISION, "The server has revoked this device."
    PROVISION_MALFORMED = (
        "provision.malformed",
        PROVISION,
        "A provisioning message has a wrong length or field.",
    )
    PROVISION_NONCE = (
        "provision.nonce-unknown",
        PROVISION,
        "The server never gave out this nonce, or it has expired.",
    )
    PROVISION_REPLAYED = "provision.nonce-replayed", PROVISION, "The nonce was used before."
    PROVISION_KEY = (
        "provision.key-wrong",
        PROVISION,
        "The proof was not made with a PROVISION key that this device can derive, or was altered.",
    )
    PROVISION_TCB = (
        "provision.tcb-not-proven",
        PROVISION,
        "The proof was made with the PROVISION key of another TCB level than the one claimed.",
    )
    PROVISION_TCB_OLD = (
        "provision.tcb-out-of-date",
        PROVISION,
        "No EPID group takes platforms of this TCB level any more.",
    )
    JOIN_PROOF = (
        "provision.join-proof-invalid",
        PROVISION,
        "The join request does not prove knowledge of the member's secret.",
    )
    GROUP_CERTIFICATE = (
        "provision.group-certificate-invalid",
        PROVISION,
        "The group certificate is not signed by the EPID signing key.",
    )
    SERVER_KEY = (
        "provision.server-not-authentic",
        PROVISION,
        "The server's answer is not under the key that only this device and its provisioning server know.",
    )
    CREDENTIAL = (
        "provision.credential-invalid",
        PROVISION,
        "The membership credential fails the member's key check.",
    )
    ESCROW = (
        "provision.escrow-invalid",
        PROVISION,
        "The escrowed secret cannot be opened by this enclave on this chip.",
    )
    # Quote
    NO_KEY = "quote.no-attestation-key", QUOTE, "The platform has no EPID key; provision it."
    BLOB = (
        "quote.blob-unsealable",
        QUOTE,
        "The sealed EPID blob was altered, or sealed by another chip or signer.",
    )
    SIGRL_FORMAT = "quote.sigrl-malformed", QUOTE, "The SigRL has a wrong header or size."
    SIGRL_GROUP = "quote.sigrl-other-group", QUOTE, "The SigRL is for another EPID group."
    SIGRL_SIGNATURE = (
        "quote.sigrl-signature-invalid",
        QUOTE,
        "The SigRL is not signed by the EPID signing key.",
    )
    SELF_REVOKED = "quote.revoked", QUOTE, "A signature on the SigRL was made with this platform's key."
    QE_REPORT = (
        "quote.qe-report-invalid",
        QUOTE,
        "The Quoting Enclave's REPORT does not vouch for this quote and nonce.",
    )
    # Verify: the attestation service
    QUOTE_FORMAT = "quote.malformed", VERIFY, "The bytes are not a version 2 QUOTE."
    QUOTE_DECRYPTION = (
        "quote.undecryptable",
        VERIFY,
        "The quote's signature part does not decrypt or was altered.",
    )
    SIGNATURE_INVALID = (
        "status.signature-invalid",
        VERIFY,
        "The EPID signature is invalid, or its group is unknown.",
    )
    GROUP_REVOKED = "status.group-revoked", VERIFY, "The EPID group is revoked."
    KEY_REVOKED = "status.key-revoked", VERIFY, "The member's private key is on the PrivRL."
    SIGRL_VERSION = (
        "status.sigrl-version-mismatch",
        VERIFY,
        "The quote answers another version of the SigRL than the current one.",
    )
    SIGNATURE_REVOKED = (
        "status.signature-revoked",
        VERIFY,
        "The quote does not prove that its member made no signature on the SigRL.",
    )
    GROUP_OUT_OF_DATE = (
        "status.group-out-of-date",
        VERIFY,
        "The platform's TCB is older than the current one.",
    )
    CONFIGURATION_NEEDED = "status.configuration-needed", VERIFY, "The platform's settings need a change."
    SW_HARDENING_NEEDED = "status.sw-hardening-needed", VERIFY, "The enclave needs mitigations in software."
    CONFIGURATION_AND_SW = (
        "status.configuration-and-sw-hardening-needed",
        VERIFY,
        "Settings and mitigations in software are needed.",
    )
    # Verify: the relying party
    AVR_FORMAT = "avr.malformed", VERIFY, "The attestation report is not the JSON that it should be."
    AVR_SIGNATURE = (
        "avr.signature-invalid",
        VERIFY,
        "The attestation report's signature is wrong for its bytes.",
    )
    AVR_CHAIN = (
        "avr.chain-invalid",
        VERIFY,
        "The report's signing certificate does not lead to the trusted root now.",
    )
    AVR_VERSION = (
        "avr.version-unsupported",
        VERIFY,
        "The attestation report is of another version than asked for.",
    )
    AVR_TIME = "avr.too-old", VERIFY, "The attestation report's time is outside what the policy allows."
    AVR_NONCE = (
        "avr.nonce-mismatch",
        VERIFY,
        "The attestation report does not carry the nonce that was asked for.",
    )
    AVR_REPLAYED = (
        "avr.nonce-replayed",
        VERIFY,
        "The nonce was never given out, has expired, or was used before.",
    )
    QUOTE_BODY = (
        "avr.quote-differs",
        VERIFY,
        "The attestation report is about another quote than the one in hand.",
    )
    SPID = "policy.spid", VERIFY, "The quote was made for another service provider (SPID)."
    LINKABILITY = "policy.linkability", VERIFY, "The quote's signature type is not the one agreed."
    MRENCLAVE = "policy.mrenclave", VERIFY, "MRENCLAVE is not one that the policy names."
    MRSIGNER = "policy.mrsigner", VERIFY, "MRSIGNER is not one that the policy names."
    ISVPRODID = "policy.isvprodid", VERIFY, "ISVPRODID is not the policy's."
    ISVSVN = "policy.isvsvn", VERIFY, "ISVSVN is below the policy's least."
    DEBUG = "policy.debug", VERIFY, "The enclave runs in DEBUG mode: its memory is open."
    REPORTDATA = "policy.report-data", VERIFY, "REPORTDATA is not what was expected."
    ACCEPTED = "accepted", VERIFY, "Every check passed."
