"""The one home folder: where keys, maker's records, chips, sealed blobs and the services' store live.

Which folder: the argument, else the environment variable ``FUSEQUOTE_HOME``, else the platform's folder for
user data (platformdirs). Every folder is mode 0700 and every file 0600, writes are atomic (a reader sees the
old file or the new one), and what two processes could do at once is done under a file lock.

======================  ==============================================================================
``home.json``           format version of the folder
``keys/``               enclave signing keys, services' roots and keys: PKCS#8 PEM, **not encrypted**
``maker/``              one encrypted record per manufactured device (:mod:`fusequote.maker.records`)
``chips/``              fuse files of simulated chips
``platform/``           what enclaves sealed to disk (EPID blobs)
``relying/``            nonces that the relying party gave out (:mod:`fusequote.relying.nonces`)
``services.db``         the services' store, SQLite (:mod:`fusequote.services.store`)
``cache/``              built chips and enclave images; may be deleted at any time
======================  ==============================================================================

The modes protect against other users of the machine; whoever runs as this user, or as root, reads it all.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fusequote.errors import EnvironmentProblem, FormatError, UsageError

__all__ = ["HOME_FORMAT", "CorruptFile", "Home", "write_atomic"]

#: Version of the folder's layout, kept in ``home.json``.
HOME_FORMAT = 1
ENVIRONMENT_VARIABLE = "FUSEQUOTE_HOME"
FOLDERS = ("keys", "maker", "chips", "platform", "relying", "cache", "locks")

_RESTORE = "restore the file from a backup, or remove it to start afresh"


class CorruptFile(FormatError):
    """A file of the home folder that is not what was written there; the message names it."""

    kind = "corrupt-file"

    def __init__(self, path: Path, what: str, *, hint: str | None = None):
        super().__init__(f"{path}: {what}", hint=hint or _RESTORE)
        self.path = path


def write_atomic(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write ``data`` to ``path`` (mode 0600): no reader sees half of it, and it survives a power cut.

    With ``exclusive``, an existing file is left alone and :class:`FileExistsError` is raised.
    Raises :class:`EnvironmentProblem` when the file system refuses.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if exclusive:
                os.link(temporary, path)
            else:
                os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot write {path}: {error.strerror}", hint="check free space and permissions"
        ) from error


@functools.lru_cache(maxsize=64)
def _load_key(pem: bytes) -> Any:
    """A private key from PEM. Raises :class:`ValueError` for one whose numbers do not belong together."""
    # Proving that the factors are prime takes a tenth of a second, several times for each command; these files are of
    # our own making. A file that was damaged must not be used: what a damaged key signs can give its factors away.
    key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, rsa.RSAPrivateKey) and not _consistent(key.private_numbers()):
        raise ValueError("the numbers of this RSA key do not belong together")
    return key


def _consistent(key: rsa.RSAPrivateNumbers) -> bool:
    p, q, d, e = key.p, key.q, key.d, key.public_numbers.e
    return (
        (p > 1 and q > 1 and p * q == key.public_numbers.n)
        and d * e % (p - 1) == 1 == d * e % (q - 1)
        and (key.dmp1, key.dmq1, key.iqmp * q % p) == (d % (p - 1), d % (q - 1), 1)
    )


class Home:
    """One home folder, made on first use.

    ``root`` is the folder; None asks the environment and then the platform.
    Raises :class:`EnvironmentProblem` when it cannot be made or read, :class:`UsageError` when it is of a
    format that this version does not know, :class:`CorruptFile` when ``home.json`` is damaged.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None):
        if root is None:
            root = os.environ.get(ENVIRONMENT_VARIABLE) or platformdirs.user_data_dir("fusequote", appauthor=False)
        self.root = Path(root).expanduser().absolute()
        try:
            # A folder that is there already may be somebody's own: its mode is left alone.
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in FOLDERS:
                (self.root / folder).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot use {self.root} as home folder: {error.strerror}",
                hint=f"give another one with --home or {ENVIRONMENT_VARIABLE}",
            ) from error
        self._check_format()

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"

    keys = property(lambda self: self.root / "keys", doc="Signing keys, service keys, roots.")
    maker = property(lambda self: self.root / "maker", doc="The maker's encrypted records.")
    chips = property(lambda self: self.root / "chips", doc="Fuse files of simulated chips.")
    platform = property(lambda self: self.root / "platform", doc="Sealed blobs.")
    relying = property(lambda self: self.root / "relying", doc="Nonces that the relying party gave out.")
    cache = property(lambda self: self.root / "cache", doc="Whatever can be made again.")
    services_db = property(lambda self: self.root / "services.db", doc="The services' SQLite file.")

    def _check_format(self) -> None:
        path = self.root / "home.json"
        if not path.exists():
            with contextlib.suppress(FileExistsError):
                write_atomic(path, json.dumps({"fusequote_home": HOME_FORMAT}).encode() + b"\n", exclusive=True)
        try:
            version = json.loads(self.read(path, limit=4096))["fusequote_home"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFile(path, "is not a fusequote home folder's description") from error
        if version != HOME_FORMAT:
            raise UsageError(
                f"{self.root} has home format {version!r}; this version knows {HOME_FORMAT}",
                hint="use another home folder, or the version of fusequote that made this one",
            )

    def read(self, path: Path, *, limit: int = 1 << 20) -> bytes:
        """The whole of a small file. ``limit`` bytes at most (:class:`CorruptFile` above it, or when it
        cannot be read).
        """
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise CorruptFile(path, f"cannot be read: {error.strerror}") from error
        if len(data) > limit:
            raise CorruptFile(path, f"is larger than {limit} bytes")
        return data

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock ``name`` among all processes that use this folder; waits for it. Not re-entrant."""
        path = self.root / "locks" / name
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EnvironmentProblem(f"cannot open the lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def rsa_key(self, name: str, bits: int, *, exponent: int = 65537) -> rsa.RSAPrivateKey:
        """The RSA key kept as ``keys/NAME.pem``, made on first use (by one process only).

        Raises :class:`CorruptFile` when the file holds anything but an RSA key of this size and exponent.
        """

        def fits(key: object) -> bool:
            if not isinstance(key, rsa.RSAPrivateKey):
                return False
            return key.key_size == bits and key.public_key().public_numbers().e == exponent

        return self._private_key(name, lambda: rsa.generate_private_key(exponent, bits), fits)

    def p256_key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """The P-256 key kept as ``keys/NAME.pem``, made on first use. Raises as :meth:`rsa_key`."""

        def fits(key: object) -> bool:
            return isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)

        return self._private_key(name, lambda: ec.generate_private_key(ec.SECP256R1()), fits)

    def _private_key(self, name: str, generate: Callable[[], Any], fits: Callable[[object], bool]) -> Any:
        path = self.keys / f"{name}.pem"
        with self.lock(f"keys.{name}"):
            if path.exists():
                try:
                    key = _load_key(self.read(path, limit=1 << 16))
                except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                    raise CorruptFile(path, "is not a private key in PEM") from error
                if not fits(key):
                    raise CorruptFile(path, "holds a key of another kind or size")
                return key
            key = generate()
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_atomic(path, pem)
            return key

    def secret(self, name: str, size: int = 32) -> bytes:
        """``size`` random bytes kept as ``keys/NAME.key``, drawn on first use.

        Raises :class:`CorruptFile` when the file has another size.
        """
        path = self.keys / f"{name}.key"
        with self.lock(f"keys.{name}"):
            if not path.exists():
                write_atomic(path, secrets.token_bytes(size))
            value = self.read(path, limit=4096)
        if len(value) != size:
            raise CorruptFile(path, f"holds {len(value)} bytes, not {size}")
        return value
