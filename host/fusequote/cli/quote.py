"""Launch an enclave and make an EPID quote of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attest import DebugEnclave, Enclave, SigStructFile
from fusequote.cli.attesting import Attestation, Provisioning, SubscriptionKey
from fusequote.cli.settings import current


def command(
    enclave: Enclave = None,
    sigstruct: SigStructFile = None,
    report_data: Annotated[str, typer.Option(metavar="HEX", help="Up to 64 bytes, the rest zero.")] = "",
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="16 bytes. Default: the home folder's own.")] = None,
    linkable: Annotated[bool, typer.Option("--linkable", help="A signature that shows the same pseudonym.")] = False,
    debug_enclave: DebugEnclave = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the QUOTE there.")] = None,
    platform_socket: Annotated[
        Path | None, typer.Option("--platform", metavar="SOCKET", help="On the chip of this platform daemon.")
    ] = None,
    provisioning: Provisioning = None,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
) -> int:
    """Launch an enclave and make a version 2 QUOTE of it, for `fusequote verify` or any verifier of our services.

    Joins the EPID group first when the platform has no key of it; the group's SigRL is the attestation service's.
    Without --out the quote is printed in base64.
    """
    from fusequote.api import chip_notes
    from fusequote.arch import SignType
    from fusequote.cli.attesting import attestation_service
    from fusequote.cli.output import show_result, stdout
    from fusequote.cli.platforms import open_platform
    from fusequote.cli.values import check_is_file, check_writable, hex_bytes, write_output
    from fusequote.relying.verify import identity_facts
    from fusequote.verdict import ResultDocument

    settings = current()
    for path in (enclave, sigstruct):
        if path is not None:
            check_is_file(path)
    check_writable(out)
    data = hex_bytes("--report-data", report_data, most=64)
    service_provider = settings.home.secret("spid", 16) if spid is None else hex_bytes("--spid", spid, 16)
    with (
        attestation_service(settings.home, attestation, subscription_key) as service,
        open_platform(settings, platform_socket, service, provisioning) as platform,
    ):
        application = platform.launch(enclave, sigstruct, debug_enclave)
        sign_type = SignType.LINKABLE if linkable else SignType.UNLINKABLE
        result = platform.quote(application, data, service_provider, sign_type)
        notes = chip_notes(platform.chip.identity)
        facts = {**identity_facts(application.enclave.identity), "reportdata": data.ljust(64, b"\0").hex()}
    facts.update(spid=service_provider.hex(), gid=result.quote[4:8][::-1].hex(), quote_bytes=len(result.quote))
    if out is not None:
        write_output(out, result.quote)
        facts["file"] = str(out)
    if settings.json:
        facts["quote"] = result.quote.hex()
    code = show_result(ResultDocument("quote", facts, notes=notes), settings)
    if out is None and not settings.json:
        stdout().print(base64.b64encode(result.quote).decode())
    return code
