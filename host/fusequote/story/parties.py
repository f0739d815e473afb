"""Who takes part in the scripted run: platforms, service providers, the operator."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from fusequote.arch import SignType
from fusequote.chain import Platform, ReportedEnclave
from fusequote.chip import Chip, SgxError, Status
from fusequote.maker import RecordBook
from fusequote.maker.authorise import raise_svn_mac
from fusequote.platform.application import ApplicationEnclave
from fusequote.platform.epidblob import open_blob
from fusequote.relying import Policy, appraise
from fusequote.relying.service import RemoteService
from fusequote.story.transcript import StoryFailed, Transcript, short

__all__ = ["Member", "Operator", "Provider"]


def _raises(chip: Chip, cpusvn: bytes, mac: bytes) -> bool:
    """Whether the chip takes a new CPUSVN under this MAC."""
    try:
        chip.fuse_raise_svn(cpusvn, mac)
    except SgxError as error:
        if error.status != Status.SGX_INVALID_SIGNATURE:
            raise
        return False
    return True


class Member:
    """A platform with a name. ``open_platform`` gives a chip its power."""

    def __init__(self, name: str, open_platform: Any, told: Transcript):
        self.name, self._open, self._told = name, open_platform, told
        self.platform: Platform = open_platform(name)
        self._application: ApplicationEnclave | None = None

    @property
    def application(self) -> ApplicationEnclave:
        """The sample application, launched when it is first asked for."""
        if self._application is None:
            self._application = self.platform.launch()
        return self._application

    def end_application(self) -> None:
        """Make room: provisioning takes two slots of the chip."""
        if self._application is not None:
            self.platform.remove(self._application.enclave)
            self._application = None

    def provision(self) -> bytes:
        """Join, over HTTP; the group."""
        self.end_application()
        self.platform.provision()
        return self.platform.gid()

    def quote(self, provider: Provider) -> bytes:
        """A quote for a service provider, against the current SigRL."""
        gid = self.platform.gid()
        sigrl = provider.sigrl(gid)
        nonce = secrets.token_bytes(16)
        reported: ReportedEnclave = self.platform.report(self.application, hashlib.sha256(nonce).digest())
        made = self.platform.quote_report(
            reported, spid=provider.spid, sign_type=SignType.LINKABLE, nonce=nonce, sigrl=sigrl
        )
        return made.quote

    def leaked_key(self) -> bytes:
        """The EPID key out of the enclave that may open it: what an attacker who broke the chip would have."""
        blob = self.platform.blob_path.read_bytes()
        content, _ = open_blob(self.platform.quoting_enclave.enclave, blob)
        return content.key.to_bytes()

    def raise_cpusvn(self, cpusvn: bytes) -> None:
        """TCB recovery on the chip: the maker authorises it, nobody else can, and it counts from the next power-on."""
        platform, told = self.platform, self._told
        record = RecordBook(platform.home).load(platform.device_id)
        done = _raises(platform.chip, cpusvn, secrets.token_bytes(16))
        told.sent("somebody", f"{self.name}'s chip", f"FUSE_RAISE_SVN to {short(cpusvn)}, not from the maker", 32)
        told.check("the chip does that without the maker", done, False)
        told.refusals += 1
        done = _raises(platform.chip, cpusvn, raise_svn_mac(record, cpusvn))
        told.sent("maker", f"{self.name}'s chip", f"FUSE_RAISE_SVN to {short(cpusvn)}", 32)
        told.check("the chip does that for the maker", done, True)
        self.end_application()
        platform.close()
        told.note(f"{self.name}'s power goes off and on")
        self.platform = self._open(self.name)
        told.check("CPUSVN of the chip", short(self.platform.chip.identity.cpusvn), short(cpusvn))


@dataclass
class Provider:
    """A service provider with a subscription for linkable quotes, its policy, and the attestation service by HTTP."""

    name: str
    spid: bytes
    service: RemoteService
    signer: bytes
    root: x509.Certificate
    told: Transcript

    def sigrl(self, gid: bytes) -> bytes:
        """The group's current SigRL. Raises :class:`StoryFailed` for a group that the service does not know."""
        found = self.service.sigrl(gid)
        if found is None:
            raise StoryFailed(f"the attestation service does not know the EPID group {gid.hex()}")
        self.told.sent(self.name, "attestation service", f"GET sigrl/{gid.hex()}", None, len(found))
        return found

    def judge(self, who: str, quote: bytes, status: str) -> Mapping[str, Any]:
        """Ask for a report on a quote, judge it, and check that it has this status; the report."""
        nonce = secrets.token_hex(16)
        answer = self.service.report(quote, nonce)
        self.told.sent(self.name, "attestation service", "POST report", len(quote), len(answer.body))
        policy = Policy(mrsigners=frozenset({self.signer}), spid=self.spid, sign_type=SignType.LINKABLE)
        verdict = appraise(
            answer.body, answer.signature, answer.chain_pem, policy, root=self.root, quote=quote, nonce=nonce
        )
        wanted = f"{status}, {'accepted' if status == 'OK' else 'refused'}"
        found = f"{verdict.quote_status}, {'accepted' if verdict.accepted else 'refused'}"
        self.told.refusals += not verdict.accepted
        self.told.check(f"{who} at {self.name}", found, wanted)
        return json.loads(answer.body)


class Operator:
    """The operator of the services, by the admin API over HTTP."""

    def __init__(self, url: str, key: str, told: Transcript):
        import httpx

        self._told = told
        self._client = httpx.Client(
            base_url=f"{url}/admin/v1", headers={"Authorization": f"Bearer {key}"}, timeout=60, follow_redirects=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any], shown: str = "") -> dict[str, Any]:
        """One request. Raises :class:`StoryFailed` for an answer that is none."""
        answer = self._client.request(method, path, json=dict(body))
        self._told.sent("operator", "attestation service", f"{method} admin/v1{path}{shown}")
        if not answer.is_success:
            raise StoryFailed(f"the admin API answered {answer.status_code} to {method} {path}")
        return answer.json()

    def with_quote(self, path: str, quote: bytes) -> None:
        """Revoke the maker of a quote, on the list that the path names."""
        made = self.ask("POST", path, {"quote": base64.b64encode(quote).decode()}, ", a quote")
        self._told.note(f"the list has {made['entries']} entry, version {made['version']}")

    def with_key(self, key: bytes) -> None:
        """Revoke a member's key."""
        made = self.ask("POST", "/revocations/keys", {"key": base64.b64encode(key).decode()}, ", a leaked key")
        self._told.note(f"the list has {made['entries']} entry, version {made['version']}")
