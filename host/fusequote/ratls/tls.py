"""TLS 1.2 and 1.3 with these certificates: a small line server, and a client that attests before it says a word."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fusequote.errors import EnvironmentProblem
from fusequote.listening import ThreadedListener
from fusequote.ratls.errors import RatlsError, RatlsFault
from fusequote.verdict import Verdict

__all__ = ["LINE_LIMIT", "LineServer", "attested_connection", "client_context", "server_context"]

#: The most bytes of one line.
LINE_LIMIT = 1 << 16


def server_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """A server's context, TLS 1.2 and 1.3. The key is on no disk at any time: it passes through memory of ours."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    descriptor = os.memfd_create("ratls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def client_context(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context: TLS 1.2 or 1.3 (or ``version`` only), and no check of the certificate, which comes after the
    handshake and is ours. That the server has the certificate's key, the handshake proves all the same.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = version or ssl.TLSVersion.TLSv1_2
    if version is not None:
        context.maximum_version = version
    return context


def attested_connection(
    host: str,
    port: int,
    check: Callable[[bytes], Verdict],
    *,
    context: ssl.SSLContext | None = None,
    patience: float = 30.0,
) -> tuple[ssl.SSLSocket | None, Verdict]:
    """Connect and judge: the connection when the verdict is yes (else None, closed), and the verdict.

    ``check`` gets the certificate in DER. Nothing is sent before. Raises :class:`EnvironmentProblem` when nobody
    listens, :class:`RatlsError` (tls) when the handshake fails, and what ``check`` raises.
    """
    try:
        raw = socket.create_connection((host, port), timeout=patience)
    except OSError as error:
        raise EnvironmentProblem(f"cannot connect to {host}:{port}: {error.strerror or error}") from error
    with contextlib.ExitStack() as undo:
        undo.callback(raw.close)
        try:
            secure = (context or client_context()).wrap_socket(raw, server_hostname=host)
        except OSError as error:
            raise RatlsError(RatlsFault.TLS, str(error)) from error
        undo.callback(secure.close)
        verdict = check(secure.getpeercert(binary_form=True) or b"")
        if verdict.accepted:
            undo.pop_all()
            return secure, verdict
    return None, verdict


class LineServer:
    """Answers each line with ``answer`` of it, a thread for each connection, ``most`` of them at once.

    ``patience``: seconds for a handshake and for a line. Raises :class:`EnvironmentProblem` when the address cannot be
    had.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        host: str,
        port: int,
        answer: Callable[[bytes], bytes],
        *,
        most: int = 64,
        patience: float = 30.0,
        tell: Callable[[str], None] = lambda line: None,
    ):
        self._context, self._answer, self._patience, self._tell = context, answer, patience, tell
        self._listener = ThreadedListener(
            host,
            port,
            self._run,
            most=most,
            patience=patience,
            too_many=lambda peer: tell(f"{peer}: too many connections"),
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    def serve(self) -> None:
        """Until :meth:`stop`."""
        self._listener.serve()

    def stop(self) -> None:
        """End :meth:`serve`, from any thread or a signal handler."""
        self._listener.stop()

    def _run(self, connection: socket.socket, peer: str) -> None:
        try:
            connection.settimeout(self._patience)
            with self._context.wrap_socket(connection, server_side=True) as secure:
                self._tell(f"{peer}: {secure.version()}")
                with secure.makefile("rb") as lines:
                    while line := lines.readline(LINE_LIMIT + 1):
                        if not line.endswith(b"\n"):
                            break
                        secure.sendall(self._answer(line[:-1]) + b"\n")
        except OSError as error:
            self._tell(f"{peer}: {error}")
