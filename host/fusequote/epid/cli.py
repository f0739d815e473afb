"""EPID 2.0 on files: make a group, join it, sign, verify, revoke, look inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the result goes.")]
Ca = Annotated[Path, typer.Option("--ca", "-c", metavar="FILE", help="The CA's certificate, cacert.bin.")]
Group = Annotated[Path, typer.Option("--group", "-g", metavar="FILE", help="The signed group key, pubkey.bin.")]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The issuer's folder, made by `fusequote epid group`.")
]
Hash = Annotated[str | None, typer.Option("--hash", metavar="NAME", help="Hash algorithm. Default: the gid's.")]
Message = Annotated[str | None, typer.Option("--message", "-m", metavar="TEXT", help="The message.")]
MessageFile = Annotated[
    Path | None, typer.Option("--message-file", "-M", metavar="FILE", help="The message's file.")
]
Basename = Annotated[str | None, typer.Option("--basename", "-b", metavar="TEXT", help="The basename.")]
BasenameFile = Annotated[Path | None, typer.Option("--basename-file", "-B", metavar="FILE", help="Its file.")]
SigRlFile = Annotated[Path | None, typer.Option("--sigrl", "-S", metavar="FILE", help="A signed SigRL.")]


@app.callback()
def _group() -> None:
    """EPID 2.0 on files: make a group, join it, sign, verify, revoke, look inside."""


def _show(command: str, facts: dict, notes: tuple[str, ...] = ()) -> int:
    from fusequote.cli.output import show_result
    from fusequote.cli.settings import current
    from fusequote.verdict import ResultDocument

    return show_result(ResultDocument(f"epid {command}", facts, notes=notes), current())


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar once the work has taken longer than a second."""
    from fusequote.cli import output
    from fusequote.cli.settings import current

    start, bar = monotonic(), None
    with ExitStack() as stack:

        def report(done: int, total: int) -> None:
            nonlocal bar
            if bar is None and monotonic() - start > 1:
                bar = stack.enter_context(output.progress(what, current()))
            if bar is not None:
                bar(done, total)

        yield report


def _hash_alg(name: str | None):
    from fusequote.epid import HashAlg

    return None if name is None else HashAlg.from_name(name)


def _text_or_file(what: str, text: str | None, path: Path | None) -> bytes | None:
    from fusequote.epid.storage import read_file
    from fusequote.errors import UsageError

    if text is not None and path is not None:
        raise UsageError(f"the {what} is given twice: as text and as a file")
    return read_file(path) if path is not None else None if text is None else text.encode()


def _read_group(ca: Path, group: Path, strict: bool = True):
    from fusequote.epid.authority import CaCertificate
    from fusequote.epid.files import read_group_key
    from fusequote.epid.storage import read_file

    certificate = CaCertificate.from_bytes(read_file(ca))
    return certificate, read_group_key(read_file(group), certificate, strict)


@app.command("group")
def group(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the issuer.")],
    gid: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="The group id, 4 bytes (SGX) or 16. Default: a random core."),
    ] = None,
    hash_name: Hash = None,
    ca_key: Annotated[
        Path | None, typer.Option("--ca-key", metavar="PEM", help="Sign with this CA instead of a new one.")
    ] = None,
) -> int:
    """Make a group: its issuer, a certificate authority, signed group key and empty revocation lists."""
    import secrets

    from fusequote.cli.values import hex_bytes
    from fusequote.epid import GidFields, HashAlg
    from fusequote.epid.authority import CertificateAuthority
    from fusequote.epid.ledger import IssuerFolder
    from fusequote.epid.storage import read_file

    alg = _hash_alg(hash_name)
    core = secrets.randbits(32)
    gid_bytes = (
        hex_bytes("--gid", gid, most=16) if gid else GidFields(alg or HashAlg.SHA256, core=core).to_bytes()
    )
    authority = CertificateAuthority.from_pem(read_file(ca_key)) if ca_key else None
    made = IssuerFolder.create(folder, gid_bytes, alg, authority)
    facts = {"folder": str(folder), "gid": made.group.gid.hex(), "hash": made.issuer.hash_alg.hash_name}
    return _show("group", facts, ("issuer.key and ca.pem are secret",))


@app.command("nonce")
def nonce(folder: Folder, out: Out) -> int:
    """Give out a nonce for one join (the issuer's first word)."""
    from fusequote.epid.ledger import IssuerFolder
    from fusequote.epid.storage import write_file

    fresh = IssuerFolder(folder).issuer.nonce()
    write_file(out, fresh)
    return _show("nonce", {"nonce": fresh.hex(), "file": str(out)})


@app.command("join")
def join(
    ca: Ca,
    group_file: Group,
    out: Out,
    nonce_file: Annotated[
        Path | None, typer.Option("--nonce", metavar="FILE", help="The issuer's nonce: make a join request.")
    ] = None,
    credential: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The issuer's credential: finish the key.")
    ] = None,
    secret: Annotated[
        Path, typer.Option(metavar="FILE", help="The member's secret f, 32 bytes; made with the request.")
    ] = Path("f.dat"),
    hash_name: Hash = None,
) -> int:
    """Join a group: with --nonce make the request, with --credential finish the member's key."""
    from fusequote.epid import Member, MembershipCredential
    from fusequote.epid.storage import read_file, write_file
    from fusequote.errors import UsageError

    if (nonce_file is None) == (credential is None):
        raise UsageError("give either --nonce or --credential")
    _, key = _read_group(ca, group_file)
    if nonce_file is not None:
        f = int.from_bytes(_secret(secret), "big") if secret.exists() else None
        request, pending = Member.join_request(key, read_file(nonce_file), f, _hash_alg(hash_name))
        write_file(secret, pending.f.to_bytes(32, "big"), secret=True)
        write_file(out, request.to_bytes())
        return _show(
            "join", {"request": str(out), "secret": str(secret)}, ("keep the secret: it becomes the key",)
        )
    given = MembershipCredential.from_bytes(read_file(credential), len(key.gid))
    member = Member.provision(key, given, int.from_bytes(_secret(secret), "big"))
    write_file(out, member.to_bytes(), secret=True)
    return _show("join", {"key": str(out), "gid": key.gid.hex()})


def _secret(path: Path) -> bytes:
    from fusequote.epid.storage import read_file
    from fusequote.errors import UsageError

    data = read_file(path)
    if len(data) != 32:
        raise UsageError(f"{path} is not a member's secret: it has {len(data)} bytes, not 32")
    return data


@app.command("issue")
def issue(
    folder: Folder,
    nonce_file: Annotated[Path, typer.Option("--nonce", metavar="FILE", help="The nonce that was given out.")],
    request: Annotated[Path, typer.Option(metavar="FILE", help="The member's join request, 128 bytes.")],
    out: Out,
) -> int:
    """Check a join request and issue the credential."""
    from fusequote.epid import JoinRequest
    from fusequote.epid.ledger import IssuerFolder
    from fusequote.epid.storage import read_file, write_file

    issuer = IssuerFolder(folder)
    credential = issuer.issue(JoinRequest.from_bytes(read_file(request)), read_file(nonce_file))
    write_file(out, credential.to_bytes(), secret=True)
    return _show("issue", {"credential": str(out), "issued_so_far": len(issuer.ledger.issued())})


@app.command("sign")
def sign(
    ca: Ca,
    group_file: Group,
    key: Annotated[Path, typer.Option("--key", "-k", metavar="FILE", help="The member's key, mprivkey.dat.")],
    out: Out,
    message: Message = None,
    message_file: MessageFile = None,
    basename: Basename = None,
    basename_file: BasenameFile = None,
    sigrl: SigRlFile = None,
    hash_name: Hash = None,
) -> int:
    """Sign a message.

    Exit code 10 if this member is revoked in the SigRL (the signature is written all the same).
    """
    from fusequote.epid import Member, SignerRevoked, SigRl
    from fusequote.epid.files import read_list
    from fusequote.epid.keyfile import open_key
    from fusequote.epid.storage import read_file, write_file

    certificate, group_key = _read_group(ca, group_file)
    rl = read_list(read_file(sigrl), SigRl, certificate) if sigrl else None
    member = Member(group_key, open_key(read_file(key), group_key), _hash_alg(hash_name))
    name = _text_or_file("basename", basename, basename_file)
    text = _text_or_file("message", message, message_file) or b""
    try:
        with _progress("proving") as bar:
            signature = member.sign(text, name, rl, progress=bar)
    except SignerRevoked as revoked:
        write_file(out, revoked.signature.to_bytes())
        raise
    write_file(out, signature.to_bytes())
    return _show("sign", {"signature": str(out), "linkable": name is not None, "proofs": len(signature.proofs)})


@app.command("verify")
def verify(
    signature: Annotated[Path, typer.Argument(metavar="SIGNATURE", help="The signature, plain or split.")],
    ca: Ca,
    group_file: Group,
    message: Message = None,
    message_file: MessageFile = None,
    basename: Basename = None,
    basename_file: BasenameFile = None,
    privrl: Annotated[
        Path | None, typer.Option("--privrl", "-K", metavar="FILE", help="A signed PrivRL.")
    ] = None,
    sigrl: SigRlFile = None,
    grprl: Annotated[
        Path | None, typer.Option("--grprl", "-G", metavar="FILE", help="A signed GroupRL.")
    ] = None,
    verifierrl: Annotated[
        Path | None, typer.Option("--verifierrl", "-V", metavar="FILE", help="A VerifierRL (needs a basename).")
    ] = None,
    hash_name: Hash = None,
    strict: Annotated[
        bool,
        typer.Option("--strict/--as-intel", help="Close the gaps of Intel's verifier, or answer as it does."),
    ] = True,
    blacklist: Annotated[
        bool,
        typer.Option("--blacklist", help="If it is valid, add its maker to the VerifierRL and write that."),
    ] = False,
) -> int:
    """Verify a signature. Exit code 0: valid; 10: not, and the answer has Intel's name and number."""
    from fusequote.epid import GroupRl, PrivRl, SigRl, Verifier, VerifierRl, VerifyResult
    from fusequote.epid.files import read_list
    from fusequote.epid.revocation import list_kind
    from fusequote.epid.storage import read_file, write_file
    from fusequote.errors import ExitCode, UsageError

    certificate, group_key = _read_group(ca, group_file, strict)

    def signed(path: Path | None, kind):
        return None if path is None else read_list(read_file(path), kind, certificate, strict)

    if blacklist and verifierrl is None:
        raise UsageError("--blacklist needs --verifierrl: the file to write")
    own = None
    if verifierrl is not None and not (blacklist and not verifierrl.exists()):
        own = list_kind(VerifierRl, strict).from_bytes(read_file(verifierrl), len(group_key.gid))
    name = _text_or_file("basename", basename, basename_file)
    lists = (signed(privrl, PrivRl), signed(sigrl, SigRl), signed(grprl, GroupRl), own)
    verifier = Verifier(group_key, _hash_alg(hash_name), name, *lists, strict)
    with _progress("checking proofs") as bar:
        text = _text_or_file("message", message, message_file) or b""
        verdict = verifier.verify(read_file(signature), text, progress=bar)
    valid = verdict is VerifyResult.kEpidSigValid
    facts = {"result": verdict.name, "number": int(verdict), "valid": valid}
    if valid and blacklist:
        new = verifier.blacklist(read_file(signature), text)
        write_file(verifierrl, new.to_bytes())
        facts |= {"verifier_rl_version": new.version, "verifier_rl_entries": len(new)}
    _show("verify", facts)
    return ExitCode.OK if valid else ExitCode.NEGATIVE


@app.command("revoke")
def revoke(
    folder: Folder,
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A request in Intel's form: PrivRL, SigRL or GroupRL.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", "-k", metavar="FILE", help="A leaked member key.")
    ] = None,
    basename: Basename = None,
    basename_file: BasenameFile = None,
    whole_group: Annotated[bool, typer.Option("--whole-group", help="Revoke this group itself.")] = False,
) -> int:
    """Add a key, the maker of a signature, or the whole group to its list; the next version is signed in place."""
    from fusequote.epid.ledger import IssuerFolder
    from fusequote.epid.revoking import revoke_by_key, revoke_by_request, revoke_whole_group
    from fusequote.epid.storage import read_file
    from fusequote.errors import UsageError

    if sum((request is not None, key is not None, whole_group)) != 1:
        raise UsageError("give one of --request, --key and --whole-group")
    issuer = IssuerFolder(folder)
    if key is not None:
        new = revoke_by_key(issuer, read_file(key))
    elif request is not None:
        new = revoke_by_request(issuer, read_file(request), _text_or_file("basename", basename, basename_file))
    else:
        new = revoke_whole_group(issuer)
    path = issuer.write_list(new)
    return _show("revoke", {"list": new.WHAT, "version": new.version, "entries": len(new), "file": str(path)})


@app.command("inspect")
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Any EPID file.")],
) -> int:
    """Say what an EPID file is and what is in it. Secrets are not shown, signatures not checked."""
    from fusequote.epid.look import describe
    from fusequote.epid.storage import read_file

    return _show("inspect", describe(read_file(file)))
