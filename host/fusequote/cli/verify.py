"""Have a quote reported on by the attestation service, and judge the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attesting import Attestation, ReportRoot, SubscriptionKey
from fusequote.cli.settings import current

#: A quote is 1,116 bytes and 160 for each entry of the SigRL; this leaves room for 100,000 entries.
QUOTE_LIMIT = 1 << 24


def command(
    quote: Annotated[Path, typer.Argument(help="A QUOTE, as `fusequote quote --out` writes it.")],
    mrenclave: Annotated[
        list[str] | None, typer.Option(metavar="HEX", help="Accept this MRENCLAVE; repeatable.")
    ] = None,
    mrsigner: Annotated[list[str] | None, typer.Option(metavar="HEX", help="Accept this MRSIGNER; repeatable.")] = None,
    sigstruct: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Accept what this SIGSTRUCT vouches for, and no older ISVSVN.")
    ] = None,
    isvprodid: Annotated[int | None, typer.Option(min=0, max=65535, help="The ISVPRODID wanted.")] = None,
    min_isvsvn: Annotated[int, typer.Option(min=0, max=65535, help="The least ISVSVN.")] = 0,
    report_data: Annotated[
        str | None, typer.Option(metavar="HEX", help="The REPORTDATA wanted, up to 64 bytes.")
    ] = None,
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="The SPID wanted, 16 bytes.")] = None,
    allow_debug: Annotated[
        bool, typer.Option("--allow-debug", help="Accept an enclave in DEBUG: not in production.")
    ] = False,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
    root: ReportRoot = None,
) -> int:
    """Ask the attestation service about a quote, judge its signed report, and say yes or no.

    The service is the home folder's own, in this process, unless --attestation names a server. At least one of
    --mrenclave, --mrsigner and --sigstruct says whose enclave is accepted. Exit code 0: accepted, 10: refused, with
    every reason.
    """
    from fusequote.api import verify
    from fusequote.cli.attesting import remote_service, root_certificate
    from fusequote.cli.output import exit_code, print_document, show_verdict
    from fusequote.cli.steps import StepsView
    from fusequote.cli.values import check_is_file, hex_bytes, read_limited
    from fusequote.enclave import read_sigstruct, verify_sigstruct
    from fusequote.relying import Policy

    settings = current()
    enclaves = {hex_bytes("--mrenclave", text, 32) for text in mrenclave or ()}
    signers = {hex_bytes("--mrsigner", text, 32) for text in mrsigner or ()}
    if sigstruct is not None:
        check_is_file(sigstruct)
        vouched = read_sigstruct(sigstruct)
        verify_sigstruct(vouched)
        enclaves.add(vouched.enclavehash)
        signers.add(vouched.mrsigner)
        isvprodid = vouched.isvprodid if isvprodid is None else isvprodid
        min_isvsvn = max(min_isvsvn, vouched.isvsvn)
    policy = Policy(
        mrenclaves=frozenset(enclaves) or None,
        mrsigners=frozenset(signers) or None,
        isvprodid=isvprodid,
        min_isvsvn=min_isvsvn,
        allow_debug=allow_debug,
        report_data=None if report_data is None else hex_bytes("--report-data", report_data, most=64),
        spid=None if spid is None else hex_bytes("--spid", spid, 16),
    )
    data = read_limited(quote, "a quote", QUOTE_LIMIT)
    with (
        StepsView(not settings.json) as view,
        remote_service(settings.home, attestation, subscription_key) as service,
    ):
        trusted = None if root is None else root_certificate(settings.home, root)
        verdict = verify(data, policy, home=settings.home, attestation=service, root=trusted, listener=view)
    if settings.json:
        print_document(verdict.to_json())
    else:
        show_verdict(verdict)
    return exit_code(verdict)
