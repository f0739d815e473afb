"""`fusequote attest --exchange URL`: the enclave's side of the key exchange, on a chip of this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusequote.cli.settings import current

if TYPE_CHECKING:
    from fusequote.exchange.enclave import Outcome

__all__ = ["run_exchange"]


def run_exchange(
    url: str,
    enclave: Path | None,
    sigstruct: Path | None,
    debug: bool,
    key: Path | None,
    message: str | None,
    spid: bytes | None,
    linkable: bool,
    socket: Path | None,
    provisioning: str | None,
) -> int:
    """Launch an enclave, exchange keys with the relying party at ``url``, talk, and show what came of it.

    ``spid`` and ``linkable`` are what is agreed to: with None and False the relying party's SPID and unlinkable quotes.
    ``socket`` is the platform daemon's, None for a chip of one's own, which is provisioned by the server at
    ``provisioning``, None for one in this process.
    """
    from fusequote.api import chip_notes
    from fusequote.arch import SignType
    from fusequote.cli.attesting import attestation_service, provider_public_key
    from fusequote.cli.output import show_result
    from fusequote.cli.platforms import open_platform
    from fusequote.exchange import EnclaveSession
    from fusequote.exchange.client import connect
    from fusequote.relying.verify import identity_facts
    from fusequote.verdict import ResultDocument

    settings = current()
    provider = provider_public_key(settings.home, key)
    with (
        attestation_service(settings.home, None, None) as service,
        open_platform(settings, socket, service, provisioning) as platform,
    ):
        application = platform.launch(enclave, sigstruct, debug)
        agreed = SignType.LINKABLE if linkable else SignType.UNLINKABLE
        session = EnclaveSession(application, platform.quoter, provider, spid=spid, sign_type=agreed)
        talk = connect(session, url)
        try:
            _check_trusted(talk.outcome)
            answer = None if message is None else talk.ask(message.encode())
        finally:
            talk.close()
        notes = chip_notes(platform.chip.identity)
        facts = {
            "status": talk.outcome.status.name.lower(),
            "status_authenticated": talk.outcome.authenticated or answer is not None,
            **identity_facts(application.enclave.identity),
        }
    del facts["reportdata"]  # of the identity, not of this quote
    if answer is not None:
        facts["answer"] = _shown(answer)
    return show_result(ResultDocument("attest", facts, notes=notes), settings)


def _check_trusted(outcome: Outcome) -> None:
    from fusequote.exchange import ExchangeError, Fault

    if outcome.trusted:
        return
    blob = outcome.platform_info
    flags = "" if blob is None else f": {blob.group_flags!s}, {blob.tcb_flags!s}"
    hint = "provision again when this platform's TCB is out of date" if blob is not None else None
    raise ExchangeError(Fault.NOT_TRUSTED, f"{outcome.status.name.lower()}{flags}", hint=hint)


def _shown(answer: bytes) -> str:
    """Text as it is, other bytes in hexadecimal."""
    try:
        text = answer.decode()
    except UnicodeDecodeError:
        return answer.hex()
    return text if text.isprintable() else answer.hex()
