"""Whose enclaves the home folder's launch enclave vouches for: a text file, one MRSIGNER in hex a line.

The launch enclave's image is made from it: a changed list makes another MRENCLAVE, and the same EINITTOKEN key, which
belongs to the signer.
"""

from __future__ import annotations

from pathlib import Path

from fusequote.errors import UsageError
from fusequote.home import CorruptFile, Home, write_atomic
from fusequote.platform.launch import LaunchPolicy
from fusequote.platform.signers import Signers, mrsigner_of

__all__ = ["LaunchList"]

_LIMIT = 64 * 1024


class LaunchList:
    """The list of a home folder. Our own signers (application, architectural enclaves, PCE) are always on it."""

    def __init__(self, home: Home, signers: Signers | None = None):
        self._home = home
        self._signers = signers or Signers(home)

    @property
    def path(self) -> Path:
        """The file; there is none until somebody else is allowed."""
        return self._home.platform / "launch-allowed"

    @property
    def others(self) -> tuple[bytes, ...]:
        """Who was allowed beside our own, in the order in which that was. Raises :class:`CorruptFile`."""
        if not self.path.exists():
            return ()
        lines = self._home.read(self.path, limit=_LIMIT).decode("ascii", "replace").split()
        try:
            found = tuple(bytes.fromhex(line) for line in lines)
        except ValueError:
            found = (b"",)
        if any(len(signer) != 32 for signer in found):
            raise CorruptFile(self.path, "is not a list of MRSIGNERs, 64 hex digits a line")
        return found

    @property
    def policy(self) -> LaunchPolicy:
        """What the launch enclave is built with."""
        provisioning = self._signers.provisioning_signers()
        own = (mrsigner_of(self._signers.application), *provisioning)
        return LaunchPolicy(frozenset((*own, *self.others)), provisioning)

    def allow(self, mrsigner: bytes) -> bool:
        """Let a signer's enclaves run without DEBUG; False when they may already. Raises :class:`UsageError`."""
        with self._home.lock("launch-allowed"):
            if mrsigner in self.policy.signers:
                return False
            self._write((*self.others, mrsigner))
        return True

    def forbid(self, mrsigner: bytes) -> None:
        """Take a signer off the list again; tokens that were issued stay good. Raises :class:`UsageError` for one that
        is not on it, or is always.
        """
        with self._home.lock("launch-allowed"):
            others = self.others
            if mrsigner not in others:
                own = mrsigner in self.policy.signers
                raise UsageError(f"{mrsigner.hex()} is {'one of our own signers' if own else 'not on the list'}")
            self._write(tuple(signer for signer in others if signer != mrsigner))

    def _write(self, signers: tuple[bytes, ...]) -> None:
        LaunchPolicy(frozenset(signers), self._signers.provisioning_signers())  # sizes
        write_atomic(self.path, "".join(f"{signer.hex()}\n" for signer in signers).encode())
