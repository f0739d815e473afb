"""``fusequote-signmsg`` and ``fusequote-verifysig``: options and exit codes of Intel's programs.

EPID spec section 11. They differ from Intel's in two ways, both said by --help: the CA certificate's own
signature is checked, and keys are keys of this project's groups or of any EPID 2.0 group, compressed ones too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fusequote.epid import (
    EpidError,
    EpidFormatError,
    EpidStatus,
    GroupRl,
    HashAlg,
    Member,
    MemberPrecomp,
    PrivRl,
    SignerRevoked,
    SigRl,
    Verifier,
    VerifierRl,
    VerifyResult,
)
from fusequote.epid.authority import CaCertificate
from fusequote.epid.files import FileType, read_group_key, read_header, read_list
from fusequote.epid.keyfile import open_key
from fusequote.epid.keys import verifier_precomp
from fusequote.epid.params import GT_SIZE
from fusequote.epid.revocation import list_kind
from fusequote.epid.storage import read_file, write_file
from fusequote.errors import FusequoteError, UsageError

#: Intel's answer to a wrong option or an unreadable file.
EXIT_FAILURE = 1
#: Four elements of GT, after the gid.
VERIFIER_PRECOMP_SIZE = 4 * GT_SIZE


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        self.print_usage(sys.stderr)
        self.exit(EXIT_FAILURE, f"{self.prog}: {message}\n")


def _common(name: str, what: str) -> _Parser:
    parser = _Parser(name, description=f"{what} (an emulation: no key of Intel's is involved).")
    parser.add_argument(
        "-s", "--sig", type=Path, default=Path("sig.dat"), help="signature file (default: sig.dat)"
    )
    message = parser.add_mutually_exclusive_group()
    message.add_argument("-m", "--msg", help="the message")
    message.add_argument("-M", "--msgfile", type=Path, help="the message's file")
    basename = parser.add_mutually_exclusive_group()
    basename.add_argument("-b", "--bsn", help="the basename (default: random)")
    basename.add_argument("-B", "--bsnfile", type=Path, help="the basename's file")
    parser.add_argument("-S", "--sigrl", type=Path, help="signed SigRL")
    parser.add_argument("-g", "--gpubkey", type=Path, default=Path("pubkey.bin"), help="signed group key")
    parser.add_argument("-c", "--capubkey", type=Path, default=Path("cacert.bin"), help="CA certificate")
    parser.add_argument("--hashalg", type=_hash_alg, help="hash algorithm (default: the group id's)")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    return parser


def _hash_alg(name: str) -> HashAlg:
    try:
        return HashAlg.from_name(name)
    except FusequoteError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _bytes(text: str | None, path: Path | None) -> bytes | None:
    return read_file(path) if path is not None else None if text is None else text.encode()


def _basename(options: argparse.Namespace) -> bytes | None:
    """As Intel's programs: an empty text is no basename."""
    return _bytes(options.bsn, options.bsnfile) or None


def _run(program: str, work: Callable[[], int], code: Callable[[FusequoteError], int]) -> int:
    try:
        return work()
    except FusequoteError as error:
        print(f"{program}: {error}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return code(error)


def signmsg(arguments: Sequence[str] | None = None) -> int:
    """Signs a message. Exit code 0 if a signature was written, also that of a revoked member, else 1."""
    parser = _common("fusequote-signmsg", "Sign a message with an EPID 2.0 member key")
    parser.add_argument("-k", "--mprivkey", type=Path, default=Path("mprivkey.dat"), help="the member's key")
    parser.add_argument("-p", "--mprecmpi", type=Path, help="the member's precomputation, 1536 bytes")
    options = parser.parse_args(arguments)

    def work() -> int:
        certificate = CaCertificate.from_bytes(read_file(options.capubkey))
        group = read_group_key(read_file(options.gpubkey), certificate)
        precomp = MemberPrecomp.from_bytes(read_file(options.mprecmpi)) if options.mprecmpi else None
        member = Member(group, open_key(read_file(options.mprivkey), group), options.hashalg, precomp)
        sigrl = read_list(read_file(options.sigrl), SigRl, certificate) if options.sigrl else None
        message = _bytes(options.msg, options.msgfile) or b""
        try:
            signature = member.sign(message, _basename(options), sigrl)
        except SignerRevoked as revoked:
            # As Intel's program: it says so, writes the signature, and ends with 0.
            print(f"fusequote-signmsg: signature is revoked in SigRL: {revoked}", file=sys.stderr)
            signature = revoked.signature
        write_file(options.sig, signature.to_bytes())
        if options.verbose:
            print(f"signature written to {options.sig}", file=sys.stderr)
        return 0

    return _run("fusequote-signmsg", work, lambda error: EXIT_FAILURE)


def verifysig(arguments: Sequence[str] | None = None) -> int:
    """Verifies a signature.

    Exit code: Intel's status modulo 256: 0 valid, 1 invalid or a bad file signature, 2 to 5 revoked, 43 another version
    of the SigRL, 50 no signature by its form, 70 a file that is not what it should be. 1 also for a wrong option, a
    file that cannot be read, and a group key of another version or schema.
    """
    parser = _common("fusequote-verifysig", "Verify an EPID 2.0 signature")
    parser.add_argument("-G", "--grprl", type=Path, default=Path("grprl.bin"), help="signed GroupRL (needed)")
    parser.add_argument("-K", "--privrl", type=Path, help="signed PrivRL")
    parser.add_argument("-V", "--verifierrl", type=Path, help="VerifierRL, not signed")
    parser.add_argument("-p", "--vprecmpi", type=Path, help="precomputation to read: taken and not needed")
    parser.add_argument("-P", "--vprecmpo", type=Path, help="where to write the precomputation, 1552 bytes")
    parser.add_argument("--strict", action="store_true", help="close the gaps of Intel's verifier")
    options = parser.parse_args(arguments)
    return _run("fusequote-verifysig", lambda: _verify(options), _status_code)


def _status_code(error: FusequoteError) -> int:
    """As Intel's program, which checks files after it has read all of them."""
    if not isinstance(error, EpidError) or error.status is EpidStatus.kEpidSchemaNotSupportedErr:
        return EXIT_FAILURE
    return error.status.value % 256


def _verify(options: argparse.Namespace) -> int:
    message, basename = _bytes(options.msg, options.msgfile) or b"", _basename(options)

    def read(path: Path | None) -> bytes | None:
        return None if path is None else read_file(path)

    signature, own = read_file(options.sig), read(options.verifierrl)
    signed = {PrivRl: read(options.privrl), SigRl: read(options.sigrl), GroupRl: read_file(options.grprl)}
    group_file, ca_file, precomp = read_file(options.gpubkey), read_file(options.capubkey), read(options.vprecmpi)
    if len(ca_file) != CaCertificate.SIZE:
        raise UsageError(f"{options.capubkey} is no CA certificate: {len(ca_file)} bytes, not {CaCertificate.SIZE}")
    try:
        gid_size = read_header(group_file, FileType.GROUP_KEY).gid_size
    except EpidFormatError as error:
        raise UsageError(f"{options.gpubkey}: {error}", hint=error.hint) from None
    if precomp is not None and len(precomp) != VERIFIER_PRECOMP_SIZE + gid_size:
        raise UsageError(f"{options.vprecmpi} is no precomputation of a verifier: {len(precomp)} bytes")

    certificate = CaCertificate.from_bytes(ca_file)
    group = read_group_key(group_file, certificate, options.strict)
    lists = [
        None if data is None else read_list(data, kind, certificate, options.strict) for kind, data in signed.items()
    ]
    verifier_rl = None
    if own is not None:
        verifier_rl = list_kind(VerifierRl, options.strict).from_bytes(own, len(group.gid))
    verifier = Verifier(group, options.hashalg, basename, *lists, verifier_rl, options.strict)
    verdict = verifier.verify(signature, message)
    valid = verdict is VerifyResult.kEpidSigValid
    if valid and options.vprecmpo is not None:
        write_file(options.vprecmpo, verifier_precomp(group))
    if not valid or options.verbose:
        print(f"fusequote-verifysig: {verdict.name} ({verdict.value})", file=sys.stderr)
    return verdict.value % 256
