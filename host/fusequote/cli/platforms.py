"""Where a command's enclaves run: on a chip that it opens, or on that of a platform daemon."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusequote.errors import UsageError

if TYPE_CHECKING:
    from fusequote.arch import SignType
    from fusequote.cli.settings import Settings
    from fusequote.platform.application import ApplicationEnclave
    from fusequote.platform.quoting import QuoteResult
    from fusequote.relying.service import ReportSource

__all__ = ["OpenPlatform", "open_platform"]


@dataclass(frozen=True)
class OpenPlatform:
    """A chip with a Quoting Enclave. ``quoter`` has init_quote and get_quote.

    ``launch``: (file or None for the sample, its SIGSTRUCT's file, whether with DEBUG) to the application.
    ``quote``: (application, REPORTDATA, SPID, signature type) to a quote against the SigRL that the attestation service
    has for the group now, for which the Quoting Enclave vouched to the application.
    """

    quoter: Any
    launch: Callable[[Path | None, Path | None, bool], ApplicationEnclave]
    quote: Callable[[ApplicationEnclave, bytes, bytes, SignType], QuoteResult]

    @property
    def chip(self) -> Any:
        """The chip."""
        return self.quoter.chip


@contextlib.contextmanager
def open_platform(
    settings: Settings, socket: Path | None, service: ReportSource, provisioning: str | None = None
) -> Iterator[OpenPlatform]:
    """The platform daemon at ``socket``, or the chip that the settings name; the home folder's own chip is manufactured
    first when it is blank.

    ``service`` has the SigRLs; ``provisioning`` is the provisioning server's address, None for one in this process.
    """
    with contextlib.ExitStack() as stack:
        if socket is None:
            yield _of_chip(settings, service, provisioning, stack)
            return
        if provisioning is not None:
            raise UsageError("--provisioning and --platform exclude each other: the platform daemon has its own")
        yield _of_daemon(settings, service, socket, stack)


def _of_chip(
    settings: Settings, service: ReportSource, provisioning: str | None, stack: contextlib.ExitStack
) -> OpenPlatform:
    from fusequote.api import Platform
    from fusequote.cli.attesting import trusted_servers
    from fusequote.cli.steps import StepsView

    view = stack.enter_context(StepsView(not settings.json))
    tls = None if provisioning is None else trusted_servers(settings.home)
    platform = stack.enter_context(
        Platform(settings.chip_url, home=settings.home, listener=view, provisioning_url=provisioning, tls=tls)
    )

    def start(enclave: Path | None, sigstruct: Path | None, debug: bool) -> ApplicationEnclave:
        with platform.open_image(enclave, sigstruct, debug=debug) as image:
            if settings.is_home_chip:
                platform.ensure_manufactured()
            return platform.launch(image, progress=view.pages)

    def quote(application: ApplicationEnclave, data: bytes, spid: bytes, sign_type: SignType) -> QuoteResult:
        sigrl, nonce = platform.sigrl(service), secrets.token_bytes(16)
        return platform.quote(application, data, spid=spid, sign_type=sign_type, nonce=nonce, sigrl=sigrl)

    return OpenPlatform(platform, start, quote)


def _of_daemon(settings: Settings, service: ReportSource, socket: Path, stack: contextlib.ExitStack) -> OpenPlatform:
    from fusequote.enclave import open_image
    from fusequote.platform.client import PlatformClient
    from fusequote.platform.images import signed_sample, with_debug
    from fusequote.platform.signers import Signers

    if settings.chip is not None:
        raise UsageError("--chip and --platform exclude each other: the platform daemon owns its chip")
    client = stack.enter_context(PlatformClient(socket))

    def start(enclave: Path | None, sigstruct: Path | None, debug: bool) -> ApplicationEnclave:
        if enclave is None:
            if sigstruct is not None:
                raise UsageError("--sigstruct belongs to an SGXS file: name that, too")
            sample = signed_sample(Signers(settings.home))
            return client.launch(with_debug(sample) if debug else sample)
        with open_image(enclave, sigstruct, debug=debug) as image:
            return client.launch(image)

    def quote(application: ApplicationEnclave, data: bytes, spid: bytes, sign_type: SignType) -> QuoteResult:
        target, gid = client.init_quote()
        report, nonce = application.report(target, data).to_bytes(), secrets.token_bytes(16)
        sigrl = service.sigrl(gid[::-1]) or b""
        result = client.get_quote(report, spid=spid, sign_type=sign_type, nonce=nonce, sigrl=sigrl)
        application.check_quote(target, result.qe_report or b"", nonce, result.quote)
        return result

    return OpenPlatform(client, start, quote)
