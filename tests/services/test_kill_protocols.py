"""kill -9 of the real servers under the load of real protocols: provisioning (ProvMsg1 to ProvMsg4 with evidence of
model chips), attestation reports, revocations by the admin API.

Nothing acknowledged is lost, nothing is issued twice, and a client that tries again ends well.
"""

from __future__ import annotations

import base64
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from chain_world import DATA, SPID, chip_url
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fusequote.arch import QuotePayload
from fusequote.chain import Platform
from fusequote.home import Home
from fusequote.platform.endpoint import ServerTrouble, ServerUnreachable
from fusequote.services.attestation_quote import decrypt, read_quote
from fusequote.services.attestation_subscriptions import Subscriptions
from fusequote.services.bench_quotes import make_quotes
from fusequote.services.provisioning_tables import Membership
from fusequote.services.services import Services
from fusequote.services.tables import CredentialRow, Device
from pg import cluster  # noqa: F401
from serving import Server, Siblings, compiled_once
from sqlalchemy import select

SERVE = "import sys; from fusequote.cli import main; sys.argv[0] = 'fusequote'; sys.exit(main())"
REPORT = "/sgx/dev/attestation/v4/report"


class RealServer(Server):
    """`fusequote serve SERVICE` as it is installed."""

    def __init__(self, service: str, home: Home, *options: str, wait: bool, **more: Any):
        self.program = [sys.executable, "-c", SERVE, "--home", str(home.root), "serve", service]
        super().__init__(home, "--workers", "1", "--set", "rate=0", *options, wait=wait, **more)


class Load:
    """Clients that try until they are answered, and what they were told."""

    def __init__(self, home: Home, services: Services, provisioning: str, attestation: str, revocations: int):
        self._home, self._services = home, services
        self._provisioning, self._attestation = provisioning, attestation
        subscriptions = Subscriptions(services.store)
        _, self._key, _ = subscriptions.create("tests", linkable=False, spid=SPID)
        self._admin = subscriptions.new_admin_key("operator")
        self._good = list(make_quotes(services, SPID, 8))
        self._bad = list(make_quotes(services, SPID, revocations))
        self.stop, self.go = threading.Event(), threading.Event()
        self.go.set()
        self._making = threading.Lock()
        self.provisioned: dict[bytes, bytes] = {}
        self.revoked: dict[int, bytes] = {}
        self.reports: list[str] = []
        self.answers = self.lost = 0

    def provision(self) -> None:
        """Chip after chip: makes it, gets its key, and has a quote of it attested; then asks for the key again."""
        count = 0
        while not self.stop.is_set():
            count += 1
            with self._making:
                name = f"{threading.get_ident():x}-{count}"
                platform = Platform.manufacture(chip_url(self._home, name), home=self._home, services=self._services)
            with platform:
                platform.provisioning_url = self._provisioning + "/"
                for _ in range(2):
                    self._try(platform.provision)
                    assert self.provisioned.setdefault(platform.device_id, platform.gid()) == platform.gid()
                reported = platform.report(platform.launch(), DATA)
                self._report(platform.quote_report(reported, spid=SPID).quote)

    def report(self) -> None:
        """Reports about quotes of a group without revocations."""
        while not self.stop.is_set():
            self._report(secrets.choice(self._good))

    def revoke(self) -> None:
        """Signatures of another group, one after the other, until there are no more."""
        headers = {"Authorization": f"Bearer {self._admin}"}
        for quote in self._bad:
            if self.stop.is_set():
                return
            document = {"quote": base64.b64encode(quote).decode()}
            answer = self._ask("/admin/v1/revocations/signatures", headers, document)
            version = answer.json()["version"]
            assert version not in self.revoked, "a version is given once"
            self.revoked[version] = quote

    def _report(self, quote: bytes) -> None:
        nonce = secrets.token_hex(16)
        document = {"isvEnclaveQuote": base64.b64encode(quote).decode(), "nonce": nonce}
        answer = self._ask(REPORT, {"Ocp-Apim-Subscription-Key": self._key}, document)
        signature = base64.b64decode(answer.headers["X-IASReport-Signature"])
        key = self._services.keys.report_signing.public_key()
        key.verify(signature, answer.content, padding.PKCS1v15(), hashes.SHA256())
        fields = answer.json()
        assert fields["nonce"] == nonce and fields["isvEnclaveQuoteStatus"] == "OK"
        self.reports.append(fields["id"])

    def _ask(self, path: str, headers: dict[str, str], document: dict[str, str]) -> httpx.Response:
        def ask() -> httpx.Response:
            answer = httpx.post(self._attestation + path, headers=headers, json=document, timeout=60, verify=False)
            if answer.status_code == 503:
                raise ServerTrouble(answer.text)
            return answer

        answer = self._try(ask)
        assert answer.status_code == 200, answer.text
        return answer

    def _try(self, call: Callable[[], Any]) -> Any:
        while True:
            self.go.wait()
            try:
                found = call()
            except (httpx.TransportError, ServerTrouble, ServerUnreachable):
                self.lost += 1
                self.stop.wait(0.02)
            else:
                self.answers += 1
                return found


def kill_again_and_again(home: Home, url: str | None, folder: Path, times: int, siblings: int) -> Load:
    environment = (compiled_once(folder) if siblings > 1 else {}) | (
        {} if url is None else {"FUSEQUOTE_SERVE_STORE": url}
    )
    services = Services(home, url)
    began = time.monotonic()

    def maker(service: str) -> Callable[[tuple[str, ...], bool], Server]:
        return lambda options, wait: RealServer(
            service, home, *options, wait=wait, log=folder / service, environment=environment
        )

    families: list[Siblings] = []
    try:
        families += [Siblings(maker(service), siblings) for service in ("provisioning", "attestation")]
        load = Load(home, services, *(family.url for family in families), revocations=4 * times)
        jobs = (load.provision, load.report, load.revoke)
        with ThreadPoolExecutor(len(jobs)) as threads:
            running = [threads.submit(job) for job in jobs]
            try:
                while (count := sum(family.killed for family in families)) < times:
                    until = load.answers + 1 + secrets.randbelow(12)
                    # The revoking client ends of itself when it has no quotes left.
                    while load.answers < until:
                        for future in running:
                            if future.done():
                                future.result()
                        # Where nobody serves, those that start have the processor for themselves.
                        (load.go.set if all(family.serving() for family in families) else load.go.clear)()
                        load.stop.wait(0.002)
                    families[count % 2].kill_one()
            finally:
                while not all(family.serving() for family in families):
                    load.go.clear()
                    load.stop.wait(0.01)
                load.stop.set()
                load.go.set()
            for future in running:
                future.result()
        assert [family.end() for family in families] == [[0] * siblings] * 2
    finally:
        for family in families:
            family.kill_all()
    check(load, services)
    services.close()
    early = sum(family.killed_early for family in families)
    print(
        f"{times} kills, {early} more before they served: {load.answers} operations acknowledged, none lost or done "
        f"twice, {load.lost} attempts broken off: {len(load.provisioned)} platforms, {len(load.reports)} reports, "
        f"{len(load.revoked)} revocations, in {time.monotonic() - began:.0f} s"
    )
    return load


def check(load: Load, services: Services) -> None:
    with services.store.reading() as session:
        credentials = session.execute(select(CredentialRow.ppid, CredentialRow.gid, CredentialRow.x)).all()
        members = session.execute(
            select(Device.device_id, Membership.gid).join(Membership, Membership.ppid == Device.ppid)
        ).all()
    assert len({(gid, x) for _, gid, x in credentials}) == len(credentials), "no x is issued twice"
    assert len(members) == len(dict(members)), "one key for each device"
    assert load.provisioned.items() <= dict(members).items(), "what was acknowledged is there"
    assert len(set(load.reports)) == len(load.reports)
    if load.revoked:
        quotes = {version: read_quote(quote) for version, quote in load.revoked.items()}
        gid = next(iter(quotes.values())).body.group_id
        final = services.registry.sigrl(gid)
        assert final.version == len(final) >= max(quotes), "no version without its entry"
        listed = set(final.entries)
        for quote in quotes.values():
            payload = decrypt(quote, services.keys.qsdk)[: QuotePayload.SIZE]
            assert (payload[:64], payload[64:128]) in listed, "a revocation that was acknowledged holds"


def test_kill_3_times(home, tmp_path):
    load = kill_again_and_again(home, None, tmp_path, 3, 1)
    assert load.provisioned and load.reports and load.revoked


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kill_100_times(home, tmp_path, request, database):
    url = request.getfixturevalue("cluster").new_database() if database == "postgresql" else None
    load = kill_again_and_again(home, url, tmp_path, 100, 2)
    assert load.provisioned and load.reports and load.revoked
