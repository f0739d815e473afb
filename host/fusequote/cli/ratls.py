"""TLS with attested servers: a server of an enclave, and the client that checks it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.attest import DebugEnclave, Enclave, SigStructFile
from fusequote.cli.attesting import Attestation, Provisioning, ReportRoot, SubscriptionKey
from fusequote.cli.settings import current

app = typer.Typer(help="TLS with attested servers: a server of an enclave, and the client that checks it.")


@app.command()
def serve(
    enclave: Enclave = None,
    sigstruct: SigStructFile = None,
    debug_enclave: DebugEnclave = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 4433,
    form: Annotated[
        str, typer.Option(metavar="quote|report", help="What the certificate carries: quote (as Gramine) or report.")
    ] = "quote",
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="16 bytes. Default: the home folder's own.")] = None,
    chip: Annotated[str | None, typer.Option("--chip", metavar="URL", help="The chip, sim:// by default.")] = None,
    platform_socket: Annotated[
        Path | None, typer.Option("--platform", metavar="SOCKET", help="On the chip of this platform daemon.")
    ] = None,
    provisioning: Provisioning = None,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
) -> int:
    """Launch an enclave, make it a TLS key and a certificate with its quote, and echo every line, until SIGTERM.

    When it listens it prints one line of JSON: `ready`, `host`, `port`, `pid`.
    """
    from fusequote.arch import SignType
    from fusequote.cli.attesting import attestation_service
    from fusequote.cli.platforms import open_platform
    from fusequote.cli.values import check_is_file, hex_bytes
    from fusequote.errors import UsageError
    from fusequote.ratls import make_key, quote_certificate, report_certificate, report_data
    from fusequote.ratls.tls import LineServer, server_context

    settings = current()
    if chip is not None:
        settings.chip = chip
    if form not in ("quote", "report"):
        raise UsageError(f"--form is quote or report, not {form!r}")
    for path in (enclave, sigstruct):
        if path is not None:
            check_is_file(path)
    provider = settings.home.secret("spid", 16) if spid is None else hex_bytes("--spid", spid, 16)
    key = make_key()
    with (
        attestation_service(settings.home, attestation, subscription_key) as service,
        open_platform(settings, platform_socket, service, provisioning) as platform,
    ):
        application = platform.launch(enclave, sigstruct, debug_enclave)
        quote = platform.quote(application, report_data(key.public_key()), provider, SignType.UNLINKABLE).quote
        if form == "quote":
            certificate = quote_certificate(key, quote)
        else:
            certificate = report_certificate(key, service.report(quote, secrets.token_hex(16)))
        server = LineServer(server_context(certificate, key), host, port, lambda line: line, tell=_log)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        ready = {"ready": "ratls", "host": host, "port": server.port, "pid": os.getpid(), "emulated": True}
        print(json.dumps(ready), flush=True)
        server.serve()
    return 0


@app.command()
def connect(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The server.")],
    message: Annotated[str | None, typer.Option(metavar="TEXT", help="Send this line and show the answer.")] = None,
    mrenclave: Annotated[
        list[str] | None, typer.Option(metavar="HEX", help="Trust this MRENCLAVE; repeatable.")
    ] = None,
    mrsigner: Annotated[list[str] | None, typer.Option(metavar="HEX", help="Trust this MRSIGNER; repeatable.")] = None,
    isvprodid: Annotated[int | None, typer.Option(min=0, max=65535, help="The ISVPRODID wanted.")] = None,
    min_isvsvn: Annotated[int, typer.Option(min=0, max=65535, help="The least ISVSVN.")] = 0,
    allow_debug: Annotated[bool, typer.Option("--allow-debug", help="Trust an enclave in DEBUG.")] = False,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
    root: ReportRoot = None,
) -> int:
    """Connect, judge the enclave behind the server's certificate, and only then speak.

    Without --mrenclave and --mrsigner the home folder's application signer is trusted. Exit code 0: accepted, 10:
    refused, with every reason.
    """
    from fusequote.cli.attesting import attestation_service, policy_of, root_certificate
    from fusequote.cli.output import show_result
    from fusequote.ratls import check_certificate
    from fusequote.ratls.tls import attested_connection
    from fusequote.relying import NonceFolder
    from fusequote.verdict import ResultDocument

    settings = current()
    host, port = _split(address)
    policy = policy_of(settings.home, mrenclave, mrsigner, isvprodid, min_isvsvn, allow_debug)
    trusted = root_certificate(settings.home, root)
    facts: dict[str, str | int | bool] = {"address": address}
    with attestation_service(settings.home, attestation, subscription_key) as service:
        nonces = NonceFolder(settings.home.relying)
        connection, verdict = attested_connection(
            host, port, lambda der: check_certificate(der, policy, root=trusted, service=service, nonces=nonces)
        )
    if connection is not None:
        with connection:
            facts["tls"] = connection.version() or "?"
            if message is not None:
                facts["answer"] = _ask(connection, message)
    return _show(facts, verdict, show_result, ResultDocument)


def _show(facts, verdict, show_result, document) -> int:
    from fusequote.cli.output import show_verdict

    settings = current()
    code = show_result(document("ratls connect", facts, verdict), settings)
    if not settings.json:
        show_verdict(verdict)
    return code


def _split(address: str) -> tuple[str, int]:
    from fusequote.errors import UsageError

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{address!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _ask(connection, message: str) -> str:
    from fusequote.errors import UsageError
    from fusequote.ratls import RatlsError, RatlsFault
    from fusequote.ratls.tls import LINE_LIMIT

    if "\n" in message or len(message.encode()) > LINE_LIMIT:
        raise UsageError(f"--message is one line of at most {LINE_LIMIT:,} bytes")
    try:
        with connection.makefile("rwb") as lines:
            lines.write(message.encode() + b"\n")
            lines.flush()
            answer = lines.readline(LINE_LIMIT + 1)
    except OSError as error:
        raise RatlsError(RatlsFault.TLS, str(error)) from error
    return answer.rstrip(b"\n").decode(errors="replace")


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
