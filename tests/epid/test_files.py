"""Files: Intel's SDK form and SGX's, our certificate authority, requests, compressed keys."""

import struct

import pytest
from fusequote.epid import (
    EpidFormatError,
    GroupPublicKey,
    GroupRl,
    Issuer,
    KeyCheckFailed,
    Member,
    MemberPrivateKey,
    PrivRl,
    SigRl,
    Verifier,
    VerifyResult,
    compressed,
    files,
)
from fusequote.epid.authority import P256_CONSTANTS, BadFileSignature, CaCertificate, CertificateAuthority
from fusequote.epid.params import G1_GENERATOR, P, Q


@pytest.fixture(scope="module")
def ca():
    return CertificateAuthority.create()


@pytest.fixture(scope="module")
def short_issuer():
    return Issuer.create(b"\0\0\0\x0b")


def test_ca_certificate(ca):
    certificate = ca.certificate
    data = certificate.to_bytes()
    assert len(data) == 324 and data[:4] == b"\2\0\0\x11" and data[68:260] == P256_CONSTANTS
    assert CaCertificate.from_bytes(data) == certificate
    for at in (0, 3, 68, 259):
        with pytest.raises(EpidFormatError):
            CaCertificate.from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(EpidFormatError, match="not a point"):
        CaCertificate.from_bytes(data[:4] + bytes(64) + data[68:])
    forged = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(BadFileSignature):
        CaCertificate.from_bytes(forged)
    assert CaCertificate.from_bytes(forged, strict=False).public_numbers == certificate.public_numbers
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(EpidFormatError):
            CaCertificate.from_bytes(wrong)


def test_ca_key_is_kept(ca):
    for password in (None, b"secret"):
        again = CertificateAuthority.from_pem(ca.to_pem(password), password)
        assert again.certificate.public_numbers == ca.certificate.public_numbers
    for pem, password in ((b"rubbish", None), (ca.to_pem(b"secret"), None), (ca.to_pem(b"secret"), b"wrong")):
        with pytest.raises(EpidFormatError):
            CertificateAuthority.from_pem(pem, password)
    assert "key" not in repr(ca).lower()


def test_group_certificates_of_both_forms(ca, known, short_issuer):
    long = files.sign_group_key(known[1], ca)
    short = files.sign_group_key(short_issuer.group, ca)
    assert (len(long), long[:4].hex()) == (340, "0200000c")
    assert (len(short), short[:4].hex()) == (328, "0002000c")
    assert files.read_group_key(long, ca.certificate) == known[1]
    assert files.read_group_key(short, ca.certificate) == short_issuer.group
    assert files.read_group_key(long * 3, ca.certificate) == known[1], "extractgrps' output: the first"
    for at in (5, 100, 339):
        with pytest.raises(BadFileSignature):
            files.read_group_key(long[:at] + bytes([long[at] ^ 1]) + long[at + 1 :], ca.certificate)
    with pytest.raises(BadFileSignature):
        files.read_group_key(long, CertificateAuthority.create().certificate)
    for wrong, hint in (
        (b"", None),
        (b"\1\0\0\x0c" + long[4:], "EPID 1.1"),
        (b"\2\0\0\x0e" + long[4:], "sig rl file"),
    ):
        with pytest.raises(EpidFormatError) as caught:
            files.read_group_key(wrong, ca.certificate)
        assert hint is None or hint in caught.value.hint
    with pytest.raises((EpidFormatError, BadFileSignature)):
        files.read_group_key(long[:40], ca.certificate)


@pytest.mark.parametrize("gid", [bytes(15) + b"\1", b"\0\0\0\1"], ids=["SDK", "SGX"])
def test_signed_lists(ca, gid):
    lists = [PrivRl(gid, 3, (5, 6)), SigRl(gid, 4, ((G1_GENERATOR, G1_GENERATOR),)), GroupRl(5, (gid,))]
    for value, code in zip(lists, (0x0D, 0x0E, 0x0F), strict=True):
        data = files.sign_list(value, ca)
        assert data[:4] == (b"\2\0\0" if len(gid) == 16 else b"\0\2\0") + bytes([code])
        assert data[4:-64] == value.to_bytes()
        assert files.read_list(data, type(value), ca.certificate) == value
        with pytest.raises(BadFileSignature):
            files.read_list(data[:-1] + bytes([data[-1] ^ 1]), type(value), ca.certificate)
        with pytest.raises(EpidFormatError):
            files.read_list(files.sign_list(GroupRl(), ca), SigRl, ca.certificate)
        broken = files.sign_file(files.FileType(code), value.to_bytes()[:-1], ca, files.Form.of_gid(gid))
        with pytest.raises(EpidFormatError, match="announces"):
            files.read_list(broken, type(value), ca.certificate)
    sgx = files.sign_list(lists[1], ca)
    assert len(sgx) == (80 if len(gid) == 4 else 92) + 128


def test_member_key_files_are_told_apart_by_size(known):
    key = known[2]["m0"]
    short = MemberPrivateKey(key.gid[12:], key.A, key.x, key.f)
    assert files.read_member_key(key.to_bytes()) == key
    assert files.read_member_key(short.to_bytes()) == short
    assert files.read_member_key(key.credential.to_bytes()) == key.credential
    assert files.read_member_key(bytes(80)) == bytes(80)
    for size in (0, 81, 143, 145):
        with pytest.raises(EpidFormatError):
            files.read_member_key(bytes(size))


def test_requests(known, members):
    key = known[2]["m0"]
    data = files.priv_rl_request(key)
    assert len(data) == 148 and data[:4] == b"\2\0\0\3"
    assert files.read_priv_rl_request(data * 2) == [key, key]
    for wrong in (b"", data[:-1], data + data[:-1], b"\2\0\0\4" + data[4:]):
        with pytest.raises(EpidFormatError):
            files.read_priv_rl_request(wrong)

    rl = SigRl(key.gid, 1, ((G1_GENERATOR, known[1].h1),))
    for signature in (members[0].sign(b"m"), members[0].sign(b"m", sigrl=rl)):
        request = files.SigRlRequest(key.gid, signature.to_bytes(), b"the message")
        data = request.to_bytes()
        assert files.SigRlRequest.from_bytes(data) == request
        assert data[-15:-11] == struct.pack(">I", 11)
        for wrong in (data[:-1], data + b"\0", data[:30], b""):
            with pytest.raises(EpidFormatError):
                files.SigRlRequest.from_bytes(wrong)

    data = files.group_rl_request([(key.gid, 1), (b"\0\0\0\7", 2)])
    assert len(data) == 8 + 34
    assert files.read_group_rl_request(data) == [(key.gid, 1), (bytes(15) + b"\7", 2)]
    for wrong in (data[:-1], data + b"\0", data[:4], data[:4] + b"\xff" * 4 + data[8:]):
        with pytest.raises(EpidFormatError):
            files.read_group_rl_request(wrong)


# compressed keys


@pytest.mark.parametrize("gid_size", [16, 4])
def test_compressed_keys(issuer, short_issuer, gid_size):
    maker = issuer if gid_size == 16 else short_issuer
    for _ in range(3):  # both signs of y come up
        data = compressed.create(maker)
        assert len(data) == gid_size + 64
        key = compressed.expand(data, maker.group)
        assert key.A[:32] == data[gid_size : gid_size + 32]
        assert (key.x, key.f) == compressed.secrets_of_seed(data[-32:])
        signature = Member(maker.group, key).sign(b"m")
        assert Verifier(maker.group).verify(signature, b"m") is VerifyResult.kEpidSigValid


def test_bad_compressed_keys(issuer, short_issuer):
    data = compressed.create(issuer)
    with pytest.raises(KeyCheckFailed):
        compressed.expand(data[:-1] + bytes([data[-1] ^ 1]), issuer.group)
    with pytest.raises(KeyCheckFailed):
        compressed.expand(data, Issuer.create(issuer.group.gid).group)
    for bad in (Q.to_bytes(32, "big"), b"\xff" * 32, bytes(32)):
        if bad == bytes(32):
            continue
        with pytest.raises(EpidFormatError):
            compressed.expand(data[:16] + bad + data[48:], issuer.group)
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(EpidFormatError):
            compressed.expand(wrong, issuer.group)


def test_seed_is_hashed_as_intel_does():
    """The construction once more, from the specification."""
    from hashlib import sha256

    seed = bytes(range(32))
    parts = [int.from_bytes(sha256(seed + bytes([n]) + b"ECC-SafeID").digest(), "big") for n in (6, 7, 8, 9)]
    assert compressed.secrets_of_seed(seed) == tuple(((a << 256) + b) % P for a, b in (parts[:2], parts[2:]))


def test_group_key_outside_the_subgroup_in_a_good_file(ca, known):
    from .support import vectors

    outside = next(c for c in vectors("pairing")["membership"] if "not of order p" in c["case"])
    group = known[1]
    evil = GroupPublicKey(group.gid, group.h1, group.h2, bytes.fromhex(outside["bytes"]))
    data = files.sign_group_key(evil, ca)
    with pytest.raises(EpidFormatError, match="subgroup"):
        files.read_group_key(data, ca.certificate)
    assert files.read_group_key(data, ca.certificate, strict=False) == evil


def test_bulk_files(ca, known, issuer):
    key = known[2]["m0"].to_bytes()
    full = [files.BulkKey(1, bytes(range(8)), 3, key), files.BulkKey(2, bytes(8), 0, key)]
    data = b"".join(one.to_bytes() for one in full)
    assert len(data) == 2 * 158 and files.read_bulk_keys(data) == full
    small = files.BulkKey(1, bytes(8), 0, compressed.create(issuer))
    assert files.read_bulk_keys(small.to_bytes(), compressed=True) == [small] and len(small.to_bytes()) == 94
    assert key[-32:].hex() not in repr(full) and repr(key[-32:])[2:-1] not in repr(full)
    with pytest.raises(EpidFormatError):
        files.read_bulk_keys(data[:-1])
    groups = files.sign_group_key(known[1], ca) + files.sign_group_key(known[1], ca)
    assert files.read_bulk_groups(groups, ca.certificate) == [known[1]] * 2
    with pytest.raises(EpidFormatError):
        files.read_bulk_groups(groups + b"\0", ca.certificate)
