"""The platform daemon quotes for its clients: what comes through the socket is what the Quoting Enclave says."""

import dataclasses
import os

import pytest
from chain_world import SPID, flip, refused
from daemon_world import make_quote, raises
from fusequote.arch import GroupFlags, PlatformInfoBlob, Psvn, SignType, TcbFlags
from fusequote.epid import Member, SigRl
from fusequote.errors import FusequoteError, UsageError
from fusequote.platform.daemon_calls import UpdateInfo
from fusequote.platform.daemon_wire import Call, PlatformCode, QuoteRequest
from fusequote.platform.epidfiles import ecdsa_sign, sign_sigrl
from fusequote.platform.updates import is_newer
from fusequote.verdict import Reason


def test_an_application_gets_its_quote(house):
    with house.client() as client:
        assert client.hello["pid"] == os.getpid() and client.hello["emulated"] is True
        assert client.get_extended_epid_group_id() == 0
        nonce = bytes(range(16))
        application, target, result = make_quote(client, house, nonce=nonce)
        assert client.init_quote()[1] == house.ready.platform.gid()[::-1]
        assert len(result.quote) == client.calc_quote_size() == 1116
        application.check_quote(target, result.qe_report, nonce, result.quote)
        with refused(Reason.QE_REPORT):
            application.check_quote(target, result.qe_report, bytes(16), result.quote)
        service = house.ready.services.attestation
        assert b'"isvEnclaveQuoteStatus":"OK"' in service.report(result.quote, "n").body


def test_without_a_nonce_there_is_no_qe_report(house):
    with house.client() as client:
        assert make_quote(client, house)[2].qe_report is None


def sigrl_of(house, entries):
    gid, services = house.ready.platform.gid(), house.ready.services
    head = gid + (1).to_bytes(4, "big") + (len(entries)).to_bytes(4, "big")
    return sign_sigrl(SigRl.from_bytes(head + b"".join(entries), gid_size=4), services.keys.epid_signing)


def foreign_entry(house):
    group = house.ready.services.registry.group_key(house.ready.platform.gid())
    return Member.join_request(group, bytes(32))[0].to_bytes()[:64] * 2


def test_quotes_carry_proofs_for_the_sigrl(house):
    with house.client() as client:
        sigrl = sigrl_of(house, [foreign_entry(house)] * 2)
        _, _, result = make_quote(client, house, sigrl=sigrl)
        assert len(result.quote) == client.calc_quote_size(sigrl) == 1116 + 2 * 160


def test_what_the_quoting_enclave_refuses_arrives_as_that(house):
    with house.client() as client:
        application = client.launch(house.image())
        target, _ = client.init_quote()
        report = application.report(target, b"").to_bytes()
        with refused(Reason.REPORT_MAC):
            client.get_quote(flip(report, 8 * 320), spid=SPID)
        own = application.report(application.enclave.target_info, b"").to_bytes()
        with refused(Reason.REPORT_MAC):
            client.get_quote(own, spid=SPID)
        sigrl = sigrl_of(house, [foreign_entry(house)])
        with refused(Reason.SIGRL_SIGNATURE):
            client.get_quote(report, spid=SPID, sigrl=flip(sigrl, 8 * len(sigrl) - 1))
        with refused(Reason.SIGRL_GROUP):
            client.get_quote(report, spid=SPID, sigrl=flip(sigrl, 8 * 4))


def test_get_quote_s_own_checks(house):
    with house.client() as client:
        report = bytes(432)
        good = QuoteRequest(report, 0, SPID, None, 1116, b"")
        for wrong in (
            dataclasses.replace(good, size=1115),
            dataclasses.replace(good, sign_type=2),
            dataclasses.replace(good, sigrl=b"nonsense"),
        ):
            with raises(PlatformCode.PARAMETER):
                client._call(Call.GET_QUOTE, wrong.to_bytes())
        no_flag = bytearray(dataclasses.replace(good, nonce=bytes(range(16))).to_bytes())
        no_flag[434] = 0
        with raises(PlatformCode.PARAMETER):
            client._call(Call.GET_QUOTE, bytes(no_flag))
        with raises(PlatformCode.PARAMETER):
            client._call(Call.GET_QUOTE, good.to_bytes()[:-1])
        for options in ({"spid": bytes(15)}, {"spid": SPID, "nonce": bytes(15)}):
            with pytest.raises(UsageError):
                client.get_quote(report, **options)
        with refused(Reason.REPORT_MAC):  # good arguments about a REPORT that is none
            client.get_quote(report, spid=SPID, sign_type=SignType.LINKABLE)


# The status of an attestation


def blob(house, **fields):
    keys = house.ready.services.keys
    built = PlatformInfoBlob(gid=house.ready.platform.gid(), **fields)
    return built.replace(signature=ecdsa_sign(keys.pib_signing, built.signed_message())).to_bytes()


def test_attestation_status(house, monkeypatch):
    with house.client() as client:
        latest = Psvn(cpusvn=b"\xff" * 16, isvsvn=9)
        old = blob(
            house,
            group_flags=GroupFlags.OUT_OF_DATE,
            tcb_flags=TcbFlags.CPUSVN_OUT_OF_DATE | TcbFlags.QE_SVN_OUT_OF_DATE,
            latest_psvn=latest,
        )
        wanted = UpdateInfo(ucode=True, psw=True)
        assert client.check_update_status(old) == wanted and wanted.needed
        # The TCB is as old as the key: another key would be of the same group.
        assert client.report_attestation_status(old, failed=True) == wanted
        before = house.ready.platform.home.read(house.ready.platform.blob_path)
        monkeypatch.setattr(house.ready.platform, "is_updated", lambda: True)
        assert client.report_attestation_status(old, failed=True) == dataclasses.replace(wanted, provisioned=True)
        assert house.ready.platform.home.read(house.ready.platform.blob_path) != before
        assert make_quote(client, house)[2].quote


def test_a_blob_that_is_not_for_this_platform(house):
    with house.client() as client:
        good = blob(house)
        assert client.check_update_status(good) == UpdateInfo()
        for wrong in (flip(good, 0), flip(good, 8 * 33), flip(good, 8 * 100), good[:-1], b""):
            with pytest.raises(FusequoteError):
                client.report_attestation_status(wrong, failed=False)
        other = PlatformInfoBlob(gid=bytes(4))
        signed = other.replace(signature=ecdsa_sign(house.ready.services.keys.pib_signing, other.signed_message()))
        with pytest.raises(FusequoteError, match="group"):
            client.check_update_status(signed.to_bytes())


def test_which_tcb_is_above_which():
    low = Psvn(cpusvn=bytes([1] * 16), isvsvn=1)
    assert is_newer(low.replace(isvsvn=2), low) and is_newer(low.replace(cpusvn=bytes([1] * 15 + [2])), low)
    for other in (low, low.replace(isvsvn=0), low.replace(cpusvn=bytes([9] + [0] * 15), isvsvn=2)):
        assert not is_newer(other, low)
