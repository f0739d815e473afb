"""An issuer kept in a folder: its key, its authority, its signed lists, and a ledger of what it gave out.

::

    issuer.key      group public key and gamma (secret)        cacert.bin      the CA's certificate
    ca.pem          the CA's private key (secret)              pubkey.bin      the signed group key
    ledger.db       nonces and credentials, SQLite             privrl.bin, sigrl.bin, grprl.bin   signed lists

Every change is one step on disk: a list is replaced whole, a nonce is used up in one transaction, so two
issuers in one folder cannot both take it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fusequote.epid import files
from fusequote.epid.authority import CaCertificate, CertificateAuthority
from fusequote.epid.errors import EpidError, EpidStatus, JoinRefused
from fusequote.epid.hashing import HashAlg
from fusequote.epid.issuer import Issuer
from fusequote.epid.join import NONCE_SIZE, JoinRequest
from fusequote.epid.keys import GroupPublicKey, MembershipCredential
from fusequote.epid.revocation import GroupRl, PrivRl, RevocationList, SigRl
from fusequote.epid.storage import read_file, write_file
from fusequote.errors import EnvironmentProblem, UsageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS nonces (nonce BLOB PRIMARY KEY, given REAL NOT NULL, used REAL);
CREATE TABLE IF NOT EXISTS credentials (
    id INTEGER PRIMARY KEY, issued REAL NOT NULL, nonce BLOB NOT NULL UNIQUE,
    f_point BLOB NOT NULL, a_point BLOB NOT NULL
);
"""
LIST_FILES = {PrivRl: "privrl.bin", SigRl: "sigrl.bin", GroupRl: "grprl.bin"}


@dataclass(frozen=True)
class Issued:
    """One line of the ledger. x is not in it: with A it would be the credential."""

    id: int
    issued: float  #: seconds since 1970
    nonce: bytes
    F: bytes
    A: bytes


class Ledger:
    """Nonces and credentials of one issuer, in SQLite. A :class:`NonceStore`."""

    def __init__(self, path: Path):
        self._path = path
        with self._open() as db:
            db.executescript(_SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
                yield db
        except sqlite3.DatabaseError as error:
            raise EnvironmentProblem(f"the issuer's ledger {self._path} cannot be used: {error}") from None

    def remember(self, nonce: bytes) -> None:
        """Notes a fresh nonce."""
        with self._open() as db:
            db.execute("INSERT INTO nonces (nonce, given) VALUES (?, ?)", (nonce, time.time()))

    def consume(self, nonce: bytes) -> bool:
        """True, once, for a nonce that was remembered."""
        with self._open() as db:
            answer = db.execute(
                "UPDATE nonces SET used = ? WHERE nonce = ? AND used IS NULL", (time.time(), nonce)
            )
            return answer.rowcount == 1

    def record(self, nonce: bytes, F: bytes, A: bytes) -> None:
        """Notes a credential; raises JoinRefused if this nonce has one already."""
        try:
            with self._open() as db:
                values = (time.time(), nonce, F, A)
                db.execute(
                    "INSERT INTO credentials (issued, nonce, f_point, a_point) VALUES (?, ?, ?, ?)", values
                )
        except sqlite3.IntegrityError:
            raise JoinRefused(
                "this nonce has a credential already", status=EpidStatus.kEpidBadNonceErr
            ) from None

    def issued(self) -> list[Issued]:
        """All credentials, oldest first."""
        with self._open() as db:
            rows = db.execute("SELECT id, issued, nonce, f_point, a_point FROM credentials ORDER BY id")
            return [Issued(*row) for row in rows]


class IssuerFolder:
    """The folder of one issuer; see the module."""

    def __init__(self, path: Path):
        self.path = path
        data = read_file(path / "issuer.key")
        self.ledger = Ledger(path / "ledger.db")
        marker = path / "hash.txt"
        alg = (
            HashAlg.from_name(read_file(marker).decode("ascii", "replace").strip()) if marker.exists() else None
        )
        self.issuer = Issuer.load(data, alg, nonces=self.ledger)
        self.authority = CertificateAuthority.from_pem(read_file(path / "ca.pem"))
        self.certificate = CaCertificate.from_bytes(read_file(path / "cacert.bin"))

    @classmethod
    def create(
        cls,
        path: Path,
        gid: bytes,
        hash_alg: HashAlg | None = None,
        authority: CertificateAuthority | None = None,
    ) -> Self:
        """A new group in a new or empty folder; raises UsageError if it holds an issuer already."""
        issuer = Issuer.create(gid, hash_alg)
        authority = authority or CertificateAuthority.create()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise EnvironmentProblem(f"cannot make the folder {path}: {error.strerror}") from None
        if (path / "issuer.key").exists():
            raise UsageError(f"{path} holds an issuer already", hint="give another folder")
        write_file(path / "ca.pem", authority.to_pem(), secret=True)
        write_file(path / "cacert.bin", authority.certificate.to_bytes())
        write_file(path / "pubkey.bin", files.sign_group_key(issuer.group, authority))
        if hash_alg is not None and hash_alg is not issuer.group.hash_alg:
            write_file(path / "hash.txt", hash_alg.hash_name.encode())
        form = files.Form.of_gid(gid)
        for empty in (issuer.empty_priv_rl(), issuer.empty_sig_rl(), GroupRl()):
            write_file(path / LIST_FILES[type(empty)], files.sign_list(empty, authority, form))
        write_file(path / "issuer.key", issuer.export(), secret=True)
        return cls(path)

    @property
    def group(self) -> GroupPublicKey:
        """The group's public key."""
        return self.issuer.group

    def issue(self, request: JoinRequest, nonce: bytes) -> MembershipCredential:
        """A credential, noted in the ledger; raises JoinRefused."""
        if len(nonce) != NONCE_SIZE:
            raise JoinRefused(f"a nonce has 32 bytes, not {len(nonce)}", status=EpidStatus.kEpidBadNonceErr)
        credential = self.issuer.issue(request, nonce)
        self.ledger.record(nonce, request.F, credential.A)
        return credential

    def read_list(self, kind: type) -> RevocationList:
        """The current list of a kind; its signature is checked."""
        return files.read_list(read_file(self.path / LIST_FILES[kind]), kind, self.certificate)

    def write_list(self, new: RevocationList) -> Path:
        """Signs and puts the next version in place; raises EpidError for one that is not newer."""
        path = self.path / LIST_FILES[type(new)]
        if path.exists() and self.read_list(type(new)).version >= new.version:
            raise EpidError(
                f"{new.WHAT}: version {new.version} is not newer", status=EpidStatus.kEpidVersionMismatchErr
            )
        write_file(path, files.sign_list(new, self.authority, files.Form.of_gid(self.group.gid)))
        return path
