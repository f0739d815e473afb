"""RA-TLS: both forms of certificate, both versions of TLS, and every way in which a certificate can lie."""

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import secrets
import socket
import ssl
import threading
import warnings

import pytest
from chain_world import SPID, flip
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from fusequote.errors import EnvironmentProblem
from fusequote.ratls import (
    RatlsError,
    RatlsFault,
    check_certificate,
    make_key,
    quote_certificate,
    report_certificate,
    report_data,
)
from fusequote.ratls.tls import LineServer, attested_connection, client_context, server_context
from fusequote.relying import NonceFolder, Policy
from fusequote.relying.service import LocalService
from fusequote.verdict import Reason

DER = serialization.Encoding.DER


def raises(fault):
    return pytest.raises(RatlsError, check=lambda error: error.fault is fault)


@pytest.fixture(scope="module")
def world(ready):
    return World(ready)


class World:
    """An enclave with a TLS key, its quote, and a client that knows what it wants."""

    def __init__(self, ready):
        self.ready, services = ready, ready.services
        self.policy = Policy.for_enclave(ready.application.enclave.identity)
        self.service = LocalService(services.attestation, lambda gid: services.registry.group_key(gid) is not None)
        self.root = services.keys.report_root
        self.nonces = NonceFolder(ready.platform.home.relying)
        self.key = make_key()
        self.quote = self.quote_for(report_data(self.key.public_key()))
        self.report = self.service.report(self.quote, secrets.token_hex(16))

    def quote_for(self, data):
        platform = self.ready.platform
        return platform.quote_report(platform.report(self.ready.application, data), spid=SPID).quote

    def check(self, certificate, **options):
        given = {"root": self.root, "service": self.service, "nonces": self.nonces, **options}
        der = certificate if isinstance(certificate, bytes) else certificate.public_bytes(DER)
        return check_certificate(der, given.pop("policy", self.policy), **given)

    @property
    def forms(self):
        return {
            "quote": quote_certificate(self.key, self.quote),
            "report": report_certificate(self.key, self.report),
        }


# The certificates


def test_the_quote_s_form_is_gramine_s(world):
    certificate = world.forms["quote"]
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.2.840.113741.1337.6"))
    assert extension.value.value == world.quote and not extension.critical
    # Gramine searches for these bytes: the OID, then an OCTET STRING with two bytes of length.
    der = certificate.public_bytes(DER)
    oid = bytes.fromhex("06092a864886f84d8a3906")
    assert oid + b"\x04\x82" + len(world.quote).to_bytes(2, "big") + world.quote in der
    assert isinstance(certificate.public_key().curve, ec.SECP384R1)
    spki = certificate.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert report_data(certificate.public_key()) == hashlib.sha256(spki).digest() + bytes(32)


def test_the_report_s_form(world):
    extension = world.forms["report"].extensions.get_extension_for_oid(x509.ObjectIdentifier("2.16.840.1.113730.1.13"))
    body, signature, leaf = extension.value.value.split(b"|")
    assert body == world.report.body and not extension.critical
    assert base64.b64decode(signature) == world.report.signature
    assert x509.load_der_x509_certificate(base64.b64decode(leaf)) == world.ready.services.keys.report_certificate


@pytest.mark.parametrize("form", ["quote", "report"])
def test_a_good_certificate(world, form):
    assert world.check(world.forms[form]).accepted


def test_a_report_needs_no_service(world):
    assert world.check(world.forms["report"], service=None, nonces=None).accepted
    with raises(RatlsFault.EVIDENCE):
        world.check(world.forms["quote"], service=None)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP521R1])
def test_other_curves(world, curve):
    key = ec.generate_private_key(curve())
    assert world.check(quote_certificate(key, world.quote_for(report_data(key.public_key())))).accepted


# What lies


def test_somebody_else_s_evidence(world):
    thief = make_key()
    with raises(RatlsFault.OTHER_KEY):
        world.check(quote_certificate(thief, world.quote))
    assert world.check(report_certificate(thief, world.report)).codes == (Reason.REPORTDATA,)


def test_more_than_a_hash_in_reportdata(world):
    """The second half of REPORTDATA is zero: what else would stand there, nobody looked at."""
    data = report_data(world.key.public_key())[:32] + b"\1" * 32
    assert world.check(quote_certificate(world.key, world.quote_for(data))).codes == (Reason.REPORTDATA,)


@pytest.mark.parametrize("form", ["quote", "report"])
def test_not_the_enclave_that_is_wanted(world, form):
    policy = dataclasses.replace(world.policy, mrenclaves=frozenset({bytes(32)}))
    assert world.check(world.forms[form], policy=policy).codes == (Reason.MRENCLAVE,)


def test_altered_evidence(world):
    body = flip(world.quote, 8 * 500)
    assert not world.check(quote_certificate(world.key, body)).accepted
    report = world.report
    broken = dataclasses.replace(report, body=report.body.replace(b'"OK"', b'"KO"'))
    assert world.check(report_certificate(world.key, broken)).codes == (Reason.AVR_SIGNATURE,)


def test_evidence_that_cannot_be_read(world):
    for quote in (b"", world.quote[:-1], bytes(431)):
        with raises(RatlsFault.EVIDENCE):
            world.check(quote_certificate(world.key, quote))
    oid = x509.ObjectIdentifier("2.16.840.1.113730.1.13")
    for comment in (b"", b"a|b", b"{}|!|!", b"{}|AAAA|AAAA", b"a|b|c|d"):
        with raises(RatlsFault.EVIDENCE):
            world.check(built(world.key, (oid, comment)))


def built(key, *extensions, signer=None, **times):
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(times.get("before", now - datetime.timedelta(days=1)))
        .not_valid_after(times.get("after", now + datetime.timedelta(days=1)))
    )
    for oid, value in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer or key, algorithm)


def test_certificates_that_are_none(world, rng):
    for der in (b"", b"nonsense", world.forms["quote"].public_bytes(DER)[:-1], bytes(1 << 18)):
        with raises(RatlsFault.MALFORMED):
            world.check(der)
    oid = x509.ObjectIdentifier("1.2.840.113741.1337.6")
    with raises(RatlsFault.NO_EVIDENCE):
        world.check(built(world.key))
    with raises(RatlsFault.AMBIGUOUS):
        world.check(built(world.key, (oid, world.quote), (x509.ObjectIdentifier("2.16.840.1.113730.1.13"), b"a|b|c")))
    with raises(RatlsFault.SELF_SIGNATURE):
        world.check(built(world.key, (oid, world.quote), signer=make_key()))
    with raises(RatlsFault.KEY_KIND):
        world.check(built(ed25519.Ed25519PrivateKey.generate(), (oid, world.quote)))
    # Wherever a bit of it is turned, no certificate of this key is taken any more.
    der = world.forms["quote"].public_bytes(DER)
    for _ in range(20):
        with pytest.raises(RatlsError):
            world.check(flip(der, rng.randrange(8 * len(der))))


def test_times(world):
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=31)
    for form in world.forms.values():
        with raises(RatlsFault.EXPIRED):
            world.check(form, now=later)
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    # The certificate is still valid, the report in it too old for the policy.
    assert world.check(world.forms["report"], now=tomorrow).codes == (Reason.AVR_TIME,)


# TLS


@contextlib.contextmanager
def serving(certificate, key):
    server = LineServer(server_context(certificate, key), "127.0.0.1", 0, bytes.upper)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join()


@pytest.mark.parametrize("form", ["quote", "report"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_attested_connection(world, form, version):
    with serving(world.forms[form], world.key) as port:
        secure, verdict = attested_connection("127.0.0.1", port, world.check, context=client_context(version))
        assert verdict.accepted and secure.version() == version.name.replace("_", ".")
        with secure, secure.makefile("rwb") as lines:
            lines.write(b"hello\n")
            lines.flush()
            assert lines.readline() == b"HELLO\n"


def test_a_server_that_stops_waits_for_nobody_who_is_silent(world):
    """An open connection on which nothing is said ends with the server, not when its patience does."""
    server = LineServer(server_context(world.forms["quote"], world.key), "127.0.0.1", 0, bytes.upper, patience=3600)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    secure, _ = attested_connection("127.0.0.1", server.port, world.check)
    with secure, socket.create_connection(("127.0.0.1", server.port)) as silent:
        secure.sendall(b"hello\n")
        assert secure.recv(100) == b"HELLO\n"
        server.stop()
        thread.join(60)
        assert not thread.is_alive()
        for connection in (secure, silent):  # both have an end; before it there may be an alert
            with contextlib.suppress(OSError):
                while connection.recv(100):
                    pass


def test_an_enclave_that_is_refused_hears_nothing(world):
    policy = dataclasses.replace(world.policy, mrenclaves=frozenset({bytes(32)}))
    with serving(world.forms["quote"], world.key) as port:
        secure, verdict = attested_connection("127.0.0.1", port, lambda der: world.check(der, policy=policy))
        assert secure is None and verdict.codes == (Reason.MRENCLAVE,)


def test_a_certificate_without_its_key_makes_no_connection(world):
    """Whoever copies the certificate cannot finish the handshake: OpenSSL refuses the pair."""
    with pytest.raises(ssl.SSLError):
        server_context(world.forms["quote"], make_key())


def test_no_old_tls_and_no_tls_at_all(world):
    with serving(world.forms["quote"], world.key) as port:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with raises(RatlsFault.TLS):
            attested_connection("127.0.0.1", port, world.check, context=old)
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                plain.recv(100)
        secure, _ = attested_connection("127.0.0.1", port, world.check)
        secure.close()
    with pytest.raises(EnvironmentProblem):
        attested_connection("127.0.0.1", port, world.check)
