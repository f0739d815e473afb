"""The whole chain on a chip: manufacture, launch, report, provision, quote, verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fusequote.cli.attesting import Attestation, Provisioning, ReportRoot, SubscriptionKey
from fusequote.cli.settings import current

if TYPE_CHECKING:
    from fusequote.api import AttestResult

Enclave = Annotated[
    Path | None,
    typer.Argument(help="SGXS file (with its SIGSTRUCT) or .signed.so. Default: a sample image of 64 KiB.",
                   show_default=False),
]  # fmt: skip
SigStructFile = Annotated[
    Path | None,
    typer.Option("--sigstruct", metavar="FILE", help="The SIGSTRUCT. Default for an SGXS file: its name with .sig."),
]
DebugEnclave = Annotated[bool, typer.Option("--debug-enclave", help="Launch the enclave with DEBUG.")]


def command(
    enclave: Enclave = None,
    sigstruct: SigStructFile = None,
    report_data: Annotated[
        str | None, typer.Option(metavar="HEX", help="Up to 64 bytes. Default: a hash of the nonce.")
    ] = None,
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="16 bytes. Default: the home folder's own.")] = None,
    linkable: Annotated[bool, typer.Option("--linkable", help="A signature that shows the same pseudonym.")] = False,
    debug_enclave: DebugEnclave = False,
    reprovision: Annotated[bool, typer.Option("--reprovision", help="Join the EPID group again.")] = False,
    quote_out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the QUOTE there.")] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Exchange keys with the relying party at http(s)://host:port or tcp://host:port."
        ),
    ] = None,
    provider_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --exchange: its public key, PEM. Default: the home folder's own."),
    ] = None,
    message: Annotated[
        str | None, typer.Option(metavar="TEXT", help="With --exchange: send this in secret and show the answer.")
    ] = None,
    platform_socket: Annotated[
        Path | None,
        typer.Option("--platform", metavar="SOCKET", help="With --exchange: on the chip of this platform daemon."),
    ] = None,
    provisioning: Provisioning = None,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
    root: ReportRoot = None,
) -> int:
    """Run the chain from the fuse to the verdict and show each step as it happens.

    A blank chip is manufactured first. The services are those of the home folder, in this process, unless
    --provisioning and --attestation name servers. With --exchange the verdict is that of a relying party elsewhere
    (`fusequote relying-party`). Exit code 0: accepted, 10: refused, with the reason.
    """
    from fusequote import api
    from fusequote.cli.attesting import remote_service, root_certificate, trusted_servers
    from fusequote.cli.output import exit_code, print_document, show_verdict
    from fusequote.cli.steps import StepsView
    from fusequote.cli.values import check_is_file, check_writable, hex_bytes, write_output
    from fusequote.errors import UsageError

    settings = current()
    for path in (enclave, sigstruct):
        if path is not None:
            check_is_file(path)
    check_writable(quote_out)
    data = None if report_data is None else hex_bytes("--report-data", report_data, most=64)
    service_provider = None if spid is None else hex_bytes("--spid", spid, 16)
    if exchange is not None:
        from fusequote.cli.exchanging import run_exchange

        _refuse_with_exchange(
            report_data=report_data, reprovision=reprovision, quote_out=quote_out, attestation=attestation, root=root
        )
        return run_exchange(
            exchange,
            enclave,
            sigstruct,
            debug_enclave,
            provider_key,
            message,
            service_provider,
            linkable,
            platform_socket,
            provisioning,
        )
    if provider_key is not None or message is not None or platform_socket is not None:
        raise UsageError("--provider-key, --message and --platform are for --exchange")
    with (
        StepsView(not settings.json) as view,
        remote_service(settings.home, attestation, subscription_key) as service,
    ):
        result = api.attest(
            enclave,
            sigstruct,
            url=settings.chip_url,
            home=settings.home,
            provisioning_url=provisioning,
            attestation=service,
            root=None if root is None else root_certificate(settings.home, root),
            tls=None if provisioning is None else trusted_servers(settings.home),
            report_data=data,
            spid=service_provider,
            sign_type=api.SignType.LINKABLE if linkable else api.SignType.UNLINKABLE,
            debug=debug_enclave,
            reprovision=reprovision,
            listener=view,
            progress=view.pages,
        )
    if quote_out is not None and result.quote is not None:
        write_output(quote_out, result.quote)
    if settings.json:
        print_document(result.to_json())
    else:
        _show_end(result)
        show_verdict(result.verdict)
    return exit_code(result.verdict)


def _refuse_with_exchange(**options: object) -> None:
    from fusequote.errors import UsageError

    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise UsageError(f"{', '.join(given)} cannot be used with --exchange", hint="the exchange decides that itself")


def _show_end(result: AttestResult) -> None:
    from fusequote.cli.output import stderr
    from fusequote.cli.steps import cycles_text

    console = stderr()
    spent = f", {cycles_text(result.chip_cycles)}" if result.chip_cycles else " (this chip counts no cycles)"
    console.print(f"in all: {result.chip_commands} commands to the chip{spent}")
    for note in result.notes:
        console.print(f"note: {note}")
    crossed = _steps_with_keys(result)
    if crossed:
        steps = ", ".join(crossed)
        console.print(f"note: the enclave programs of these steps took keys over the link in the clear: {steps}")


def _steps_with_keys(result: AttestResult) -> list[str]:
    """The finished steps of this run whose programs ask EGETKEY: for PROVISION and seal keys, or to unseal.

    Known from the programs, not counted on the link: a step that was refused half-way is not among them.
    """
    from fusequote.verdict import Phase, Step

    asking = (Step.PROVISION, Step.QUOTE)
    ended = {event.step for event in result.events if event.phase is Phase.FINISHED and event.chip_commands}
    return [step.value for step in asking if step in ended]
