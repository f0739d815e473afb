"""A service provider: exchanges keys with attested enclaves, and answers their messages."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusequote.cli.attesting import Attestation, ReportRoot, SubscriptionKey
from fusequote.cli.settings import current

if TYPE_CHECKING:
    from fusequote.exchange.hosting import Hosting

#: The most bytes of what is given to trusted enclaves.
SECRET_LIMIT = 1 << 20


def command(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 is any free one.")] = 7777,
    transport: Annotated[
        str, typer.Option(metavar="http|tcp", help="tcp: lines of hexadecimal, as Intel's sample has them.")
    ] = "http",
    once: Annotated[bool, typer.Option("--once", help="End after one verdict; the exit code is its.")] = False,
    mrenclave: Annotated[
        list[str] | None, typer.Option(metavar="HEX", help="Trust this MRENCLAVE; repeatable.")
    ] = None,
    mrsigner: Annotated[list[str] | None, typer.Option(metavar="HEX", help="Trust this MRSIGNER; repeatable.")] = None,
    isvprodid: Annotated[int | None, typer.Option(min=0, max=65535, help="The ISVPRODID wanted.")] = None,
    min_isvsvn: Annotated[int, typer.Option(min=0, max=65535, help="The least ISVSVN.")] = 0,
    allow_debug: Annotated[bool, typer.Option("--allow-debug", help="Trust an enclave in DEBUG.")] = False,
    accept_status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Trust this status, too, besides OK; repeatable.")
    ] = None,
    spid: Annotated[str | None, typer.Option(metavar="HEX", help="16 bytes. Default: the home folder's own.")] = None,
    linkable: Annotated[bool, typer.Option("--linkable", help="Ask for linkable quotes.")] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="P-256 private key, PEM. Default: the home folder's own.")
    ] = None,
    secret: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What trusted enclaves get. Default: a hash of their message.")
    ] = None,
    attestation: Attestation = None,
    subscription_key: SubscriptionKey = None,
    root: ReportRoot = None,
) -> int:
    """Serve the key exchange msg0 to msg4: the verdict on each enclave, and secure messages with those trusted.

    When it listens it prints one line of JSON: `ready`, `url`, `pid`. Without --mrenclave and --mrsigner the home
    folder's application signer is trusted.
    """
    from fusequote.cli.attesting import attestation_service, policy_of, provider_key, root_certificate
    from fusequote.cli.values import hex_bytes, read_limited
    from fusequote.errors import UsageError
    from fusequote.exchange import ServiceProvider
    from fusequote.exchange.hosting import Hosting, receipt
    from fusequote.relying import NonceFolder

    settings = current()
    if transport not in ("http", "tcp"):
        raise UsageError(f"--transport is http or tcp, not {transport!r}")
    policy = policy_of(settings.home, mrenclave, mrsigner, isvprodid, min_isvsvn, allow_debug, accept_status)
    given = None if secret is None else read_limited(secret, "a secret", SECRET_LIMIT)
    with attestation_service(settings.home, attestation, subscription_key) as service:
        provider = ServiceProvider(
            key=provider_key(settings.home, key),
            spid=settings.home.secret("spid", 16) if spid is None else hex_bytes("--spid", spid, 16),
            policy=policy,
            service=service,
            root=root_certificate(settings.home, root),
            nonces=NonceFolder(settings.home.relying),
            sign_type=_sign_type(linkable),
        )
        told = _Told(settings.json)
        hosting = Hosting(
            provider,
            answer=receipt if given is None else lambda message: given,
            on_verdict=told.verdict,
            on_trouble=told.trouble,
        )
        return _serve(hosting, told, transport, host, port, once)


def _serve(hosting: Hosting, told: _Told, transport: str, host: str, port: int, once: bool) -> int:
    from fusequote.exchange.running import run_http, run_tcp

    if transport == "tcp":
        run_tcp(hosting, host, port, once=once, ready=told.ready)
    else:
        run_http(hosting, host, port, once=once, ready=told.ready)
    return told.last_code if once else 0


def _sign_type(linkable: bool) -> Any:
    from fusequote.arch import SignType

    return SignType.LINKABLE if linkable else SignType.UNLINKABLE


class _Told:
    """Says what happens: the ready line, and with --json the verdicts, on stdout, a line each; the rest on stderr."""

    def __init__(self, as_json: bool):
        self._json = as_json
        self.last_code = 10  # until somebody is trusted, the answer is no

    def ready(self, url: str) -> None:
        print(json.dumps({"ready": "relying-party", "url": url, "pid": os.getpid(), "emulated": True}), flush=True)

    def verdict(self, peer: str, verdict: Any) -> None:
        from fusequote.cli.output import exit_code, stderr
        from fusequote.verdict import ResultDocument

        self.last_code = exit_code(verdict)
        if self._json:
            print(json.dumps(ResultDocument("relying-party", {"peer": peer}, verdict).to_json()), flush=True)
            return
        reasons = ", ".join(f"{given.code.value} ({given.detail})" for given in verdict.reasons)
        stderr().print(f"{peer}: {'TRUSTED' if verdict.accepted else 'NOT TRUSTED'}: {reasons}")

    def trouble(self, peer: str, error: Any) -> None:
        from fusequote.cli.output import stderr

        stderr().print(f"{peer}: {error.kind}: {error}")
