"""The verifier's own test suite: everything that an attestation can go wrong with, and no hardware."""

import pytest
from fusequote.testing import Case, Fault
from verifier import Rejected, verify


@pytest.fixture
def judge(attestation_service, quote_factory):
    def judge(quote, *, fault=None, enclave=quote_factory.enclave):
        report = attestation_service.report(quote, "a nonce", fault=fault)
        return verify(
            report, root_pem=attestation_service.root_pem, quote=quote, nonce="a nonce",
            mrenclave=enclave.mrenclave, now=attestation_service.now,
        )  # fmt: skip

    return judge


def test_good(judge, quote_factory):
    assert judge(quote_factory(report_data=b"hello")).rstrip(b"\0") == b"hello"


def test_whole_platform(judge, attested_platform):
    quote = attested_platform.quote(b"hello")
    enclave = attested_platform.application.enclave.identity
    assert judge(quote, enclave=enclave).rstrip(b"\0") == b"hello"


@pytest.mark.parametrize("case", [case for case in Case if case.has_report and case is not Case.OK])
def test_bad_quote(judge, quote_factory, case):
    with pytest.raises(Rejected, match="quote"):
        judge(quote_factory(case))


@pytest.mark.parametrize("fault", Fault)
def test_bad_report(judge, quote_factory, fault):
    with pytest.raises(Rejected):
        judge(quote_factory(), fault=fault)


def test_debug(judge, quote_factory):
    with pytest.raises(Rejected, match="debug"):
        judge(quote_factory(debug=True))


def test_another_enclave(judge, quote_factory):
    with pytest.raises(Rejected, match="enclave"):
        judge(quote_factory(mrenclave=bytes(32)))
