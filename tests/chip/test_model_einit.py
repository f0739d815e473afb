"""Every check of EINIT in docs/chip.md section 4, SIGSTRUCT and EINITTOKEN, on the reference model."""

import random

import commands_shadow as ops
import pytest
from commands_make import (
    CET,
    DEBUG,
    KSS,
    MODE64,
    MRSIGNERS,
    NO_TOKEN,
    PROVISIONKEY,
    SIGNERS,
    TOKENKEY,
    keyrequest,
    le,
    maced,
    message_of,
    patched,
    record,
    signed,
    sigstruct,
    token,
    with_numbers,
)  # fmt: skip
from commands_rsa import FORGERIES, SIGNING_KEYS, encoded, forged
from fusequote.chip.framing import Decoder, encode
from fusequote.chip.model import ModelLink
from model_driver import BASE, build, einit_body, enter, launch, locked

CPUSVN = bytes([255, 254, 253, 252, 251, 250, 249, 248] * 2)


@pytest.fixture
def chip():
    return locked()


def resigned(body):
    """EINIT's body with its SIGSTRUCT signed anew."""
    return body[:9] + signed(body[9:1817]) + body[1817:]


BAD_SIG = "SGX_INVALID_SIG_STRUCT"


@pytest.mark.parametrize(
    ("at", "value"),
    [*[(at, b"\x55") for at in range(16)], (16, b"\1"), (17, b"\x80"), (16, b"\x80\x86"), (19, b"\1"),
     *[(at, b"\x55") for at in range(24, 40)], (44, b"\1"), (127, b"\1"), (512, b"\2"), (512, b"\1\0\1"), (515, b"\1"),
     (910, b"\1"), (911, b"\1"), (992, b"\1"), (1007, b"\1"), (1028, b"\1"), (1039, b"\1"), (912, b"\1"), (927, b"\1")],
)  # fmt: skip
def test_bad_sigstructs(chip, at, value):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    good = einit_body(enclave)
    assert chip.status(ops.EINIT, resigned(patched(good, 9 + at, value))) == BAD_SIG
    if at < 912 or at > 927:  # step 2 comes before the handle; ISVFAMILYID after it
        assert chip.status(ops.EINIT, bytes(9) + patched(good, 9 + at, value)[9:]) == BAD_SIG
    assert chip.status(ops.EINIT, good) == "SUCCESS"


@pytest.mark.parametrize("at", [20, 40, 43])
def test_what_einit_does_not_look_at(chip, at):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    changed = patched(einit_body(enclave, vendor=0x8086), 9 + at, b"\x77")
    assert chip.status(ops.EINIT, changed) == "SGX_INVALID_SIGNATURE"  # it is signed all the same
    assert chip.status(ops.EINIT, resigned(changed)) == "SUCCESS"


@pytest.mark.parametrize("at", [*range(0, 44), *range(128, 512, 37), *range(516, 900, 41), *range(900, 910),
                                *range(913, 992, 7), *range(1008, 1028), *range(1040, 1808, 53), 511, 899, 1423, 1807])
def test_a_changed_byte_anywhere_is_another_signature(chip, at):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    good = einit_body(enclave)
    changed = patched(good, 9 + at, bytes([good[9 + at] ^ 0x10]))
    fixed = at < 16 or 16 <= at < 20 or 24 <= at < 40
    assert chip.status(ops.EINIT, changed) == (BAD_SIG if fixed else "SGX_INVALID_SIGNATURE")


@pytest.mark.parametrize("kind", FORGERIES)
def test_forged_signatures(chip, kind):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    good = einit_body(enclave)
    for round in range(3):
        numbers = forged(kind, random.Random(f"{kind} {round}"), SIGNING_KEYS[3], message_of(good[9:1817]))
        bad = good[:9] + with_numbers(good[9:1817], numbers) + good[1817:]
        assert chip.status(ops.EINIT, bad) == "SGX_INVALID_SIGNATURE"
        # before the handle, and after the rules of the header and a waiting EVENT
        assert chip.status(ops.EINIT, bytes(9) + bad[9:]) == "SGX_INVALID_SIGNATURE"
        assert chip.status(ops.EINIT, patched(bad, 9, b"\1")) == BAD_SIG
    assert chip.status(ops.EINIT, good) == "SUCCESS"


def test_forgeries_are_good_but_for_one_thing():
    """They solve the equations modulo 2^3072, or over the integers with a number out of its range."""
    message, key = b"m" * 256, SIGNING_KEYS[3]
    block, r = encoded(message), 1 << 3072
    for kind in ("both wrap", "both wrap upwards", "first wraps", "second wraps"):
        _, s, q1, q2 = vars(forged(kind, random.Random(1), key, message)).values()
        t1 = (s * s - q1 * key.n) % r
        assert (t1 * s - q2 * key.n) % r == block
    # With Q2 + S in 3072 bits, which half of all messages allow:
    signatures = ((m, key.sign(m)) for m in (bytes([i]) * 256 for i in range(256)))
    message = next(m for m, good in signatures if good.q2 + good.s < r)
    _, s, q1, q2 = vars(forged("t1 in [N, 2N)", random.Random(1), key, message)).values()
    assert (s * s - q1 * key.n) * s - q2 * key.n == encoded(message) and s * s - q1 * key.n >= key.n
    root = forged("cube root", random.Random(1), key, message).s
    made = (root**3).to_bytes(384, "big")
    assert made.startswith(b"\x00\x01\xff\xff") and encoded(message).to_bytes(384, "big")[-52:] in made


def test_an_event_that_waits_ends_einit(chip):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    good = einit_body(enclave)
    link = ModelLink(chip.chip)

    def together(body, *behind):
        chip.seq += 1
        sent = b"".join(encode(contents) for contents in (bytes([ops.EINIT, chip.seq]) + body, *behind))
        return [answer[2:4] for answer in Decoder(4608).feed(link.feed(sent))]

    done, ended, bad_sig = b"\0\0", b"\x80\0", b"\1\0"
    event = bytes([ops.EVENT, 9])
    assert together(good, event) == [ended, done]
    assert together(patched(good, 9 + 516, b"\x55\x55"), event) == [ended, done]  # looked at before the signature
    assert together(bytes(9) + good[9:], event) == [ended, done]
    assert together(patched(good, 9, b"\1"), event) == [bad_sig, done]  # but after the header
    assert together(good[:-1], event) == [b"\x02\x40", done]
    chip.do(ops.EVENT)
    chip.do(ops.IDENTIFY)
    assert chip.status(ops.SLOT_INFO, enclave.handle) == "FAULT_GP"
    assert together(good, event + b"\0") == [ended, b"\x02\x40"]  # that it came counts, whatever its body
    assert together(good, bytes([ops.CYCLES, 9])) == [done, done]  # anything else does not
    assert chip.do(ops.SLOT_INFO, enclave.handle)[64:96] == enclave.mrenclave


def test_family_id_with_kss(chip):
    family, ext = b"f" * 16, b"x" * 16
    enclave = launch(chip, sig={"isvfamilyid": family, "isvextprodid": ext}, flags=MODE64 | KSS)
    info = chip.do(ops.SLOT_INFO, enclave.handle)
    assert info[304:320] == family and info[32:48] == ext
    plain = launch(chip, sig={"isvextprodid": ext})
    assert chip.do(ops.SLOT_INFO, plain.handle)[32:48] == ext


def test_wrong_measurement_and_another_try(chip):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    good = einit_body(enclave)
    for at in (960, 991):
        wrong = resigned(patched(good, 9 + at, bytes([good[9 + at] ^ 1])))
        assert chip.status(ops.EINIT, wrong) == "SGX_INVALID_MEASUREMENT"
    chip.do(ops.EEXTEND, enclave.handle + le(BASE + 0x1000, 8) + b"\1" + bytes(256))  # it is still being built
    assert chip.status(ops.EINIT, good) == "SGX_INVALID_MEASUREMENT"
    chip.do(ops.EREMOVE, enclave.handle)
    enclave = build(chip)
    assert chip.status(ops.EINIT, einit_body(enclave)) == "SUCCESS"


def test_who_may_have_the_einittoken_key(chip):
    enclave = build(chip, flags=MODE64 | TOKENKEY)
    assert chip.status(ops.EINIT, einit_body(enclave, 3)) == "SGX_INVALID_ATTRIBUTE"
    assert chip.status(ops.EINIT, einit_body(enclave, 2)) == "SUCCESS"


@pytest.mark.parametrize("signer", range(5))
def test_who_may_have_the_provision_key(chip, signer):
    enclave = build(chip, flags=MODE64 | PROVISIONKEY)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[signer])
    expected = "SUCCESS" if signer in (0, 1) else "SGX_INVALID_ATTRIBUTE"
    assert chip.status(ops.EINIT, einit_body(enclave, signer)) == expected


@pytest.mark.parametrize(
    ("sig", "ok"),
    [
        ({"attributes": DEBUG | MODE64}, False),
        ({"attributes": DEBUG | MODE64, "attributemask": ~DEBUG}, True),
        ({"attributes": MODE64 | 1}, False),  # INIT is set only afterwards
        ({"attributes": MODE64 | 4 << 64}, False),
        ({"attributes": MODE64 | 1 << 127}, False),
        ({"attributes": MODE64 | 1 << 127, "attributemask": 2**127 - 1}, True),
        ({"miscselect": 1}, False),
        ({"miscselect": 1 << 31, "miscmask": 1 << 31}, False),
        ({"miscselect": 1, "miscmask": 0xFFFFFFFE}, True),
        ({"cet": 1, "cetmask": 1}, False),
        ({"cet": 0x80, "cetmask": 0x7F}, True),
    ],
)
def test_attribute_masks(chip, sig, ok):
    enclave = build(chip)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[3])
    attributes = le(sig.pop("attributes", MODE64 | 3 << 64) | (3 << 64), 16)
    sig.setdefault("attributemask", 2**128 - 1)
    mask = le(sig.pop("attributemask") % 2**128, 16)
    body = enclave.handle + sigstruct(SIGNERS[3], enclave.mrenclave, attributes, mask, **sig) + NO_TOKEN
    assert chip.status(ops.EINIT, body) == ("SUCCESS" if ok else "SGX_INVALID_ATTRIBUTE")


def test_without_a_token_only_the_launch_signer(chip):
    enclave = build(chip)
    assert chip.status(ops.EINIT, einit_body(enclave)) == "SGX_INVALID_EINITTOKEN"
    junk = b"\xfe" + b"\xff" * 303  # not VALID: nothing else of it counts
    assert chip.status(ops.EINIT, einit_body(enclave, token=junk)) == "SGX_INVALID_EINITTOKEN"
    assert chip.status(ops.EINIT, einit_body(enclave, 2, token=junk)) == "SUCCESS"


class Launcher:
    """A launch enclave, its EINITTOKEN key, and an enclave of another signer that wants to start."""

    def __init__(self, chip, flags=MODE64, launcher_flags=MODE64, cet=0):
        self.chip = chip
        chip.do(ops.SET_OWNEREPOCH, b"epoch" + bytes(11))
        launcher_flags |= TOKENKEY
        self.le = launch(chip, 2, {"isvprodid": 0x20, "isvsvn": 7}, flags=launcher_flags, cet=cet)
        cpusvn = bytes([*CPUSVN[:15], 200])
        request = keyrequest(0, isvsvn=5, cpusvn=cpusvn, attributemask=b"\xff" * 16, keyid=b"k" * 32, cetmask=0x0F)
        self.key = chip.do(ops.EGETKEY, enter(chip, self.le) + request)
        self.enclave = build(chip, flags=flags)
        self.fields = {
            "cpusvn_le": cpusvn, "isvprodid_le": 0x20, "isvsvn_le": 5, "cet_le": cet & 0x0F, "misc_le": 0,
            "attributes_le": self.le.attributes, "keyid": b"k" * 32,
        }  # fmt: skip

    def token(self):
        return token(self.enclave.attributes, self.enclave.mrenclave, MRSIGNERS[3], **self.fields)

    def einit(self, made):
        return self.chip.status(ops.EINIT, einit_body(self.enclave, 3, made))


def test_a_token_launches(chip):
    launcher = Launcher(chip)
    assert launcher.einit(maced(launcher.token(), launcher.key)) == "SUCCESS"
    assert chip.do(ops.SLOT_INFO, launcher.enclave.handle)[128:160] == MRSIGNERS[3]


def test_a_token_of_an_launcher_with_cet(chip):
    launcher = Launcher(chip, launcher_flags=MODE64 | CET, cet=0x33)
    assert launcher.fields["cet_le"] == 3
    made = maced(launcher.token(), launcher.key)
    assert launcher.einit(patched(made, 212, b"\x33")) == "SGX_INVALID_EINITTOKEN"
    assert launcher.einit(made) == "SUCCESS"


@pytest.mark.parametrize(
    ("at", "value", "status"),
    [
        (0, b"\3", "SGX_INVALID_EINITTOKEN"), (3, b"\x80", "SGX_INVALID_EINITTOKEN"),
        *[(at, b"\1", "SGX_INVALID_EINITTOKEN") for at in (4, 47, 96, 127, 160, 191, 213, 235)],
        (192, b"\xff" * 16, "SGX_INVALID_CPUSVN"), (193, b"\xff", "SGX_INVALID_CPUSVN"),
        *[(at, b"\x77", "SGX_INVALID_EINITTOKEN") for at in (192, 207, 208, 209, 210, 211, 212, 236, 239, 255)],
        *[(at, b"\x77", "SGX_INVALID_EINITTOKEN") for at in (256, 287)],
        (64, b"\0" * 32, "SGX_INVALID_MEASUREMENT"), (95, b"\x77", "SGX_INVALID_MEASUREMENT"),
        (128, b"\x77", "SGX_INVALID_MEASUREMENT"), (159, b"\x77", "SGX_INVALID_MEASUREMENT"),
        *[(at, value, "SGX_INVALID_ATTRIBUTE") for at, value in ((48, b"\x06"), (48, b"\x05"), (63, b"\1"))],
    ],
)  # fmt: skip
def test_bad_tokens_with_a_mac_of_their_own(chip, at, value, status):
    launcher = Launcher(chip)
    assert launcher.einit(maced(patched(launcher.token(), at, value), launcher.key)) == status
    assert launcher.einit(maced(launcher.token(), launcher.key)) == "SUCCESS"


def test_order_of_token_errors(chip):
    launcher = Launcher(chip)
    made = maced(launcher.token(), launcher.key)
    for i in range(16):
        assert launcher.einit(patched(made, 288 + i, bytes([made[288 + i] ^ 1]))) == "SGX_INVALID_EINITTOKEN"
    above = patched(made, 192, b"\xff" * 16)
    assert launcher.einit(above) == "SGX_INVALID_CPUSVN"
    assert launcher.einit(patched(above, 213, b"\1")) == "SGX_INVALID_EINITTOKEN"
    both = patched(patched(launcher.token(), 48, b"\0"), 64, bytes(32))
    assert launcher.einit(maced(both, launcher.key)) == "SGX_INVALID_MEASUREMENT"


def test_debug_launchers_launch_only_debug(chip):
    launcher = Launcher(chip, launcher_flags=MODE64 | DEBUG)
    assert launcher.einit(maced(launcher.token(), launcher.key)) == "SGX_INVALID_EINITTOKEN"
    other = locked("other")
    launcher = Launcher(other, flags=MODE64 | DEBUG, launcher_flags=MODE64 | DEBUG)
    assert launcher.einit(maced(launcher.token(), launcher.key)) == "SUCCESS"


def test_a_token_depends_on_lepubkeyhash_and_owner_epoch(chip):
    launcher = Launcher(chip)
    made = maced(launcher.token(), launcher.key)
    chip.do(ops.SET_LEPUBKEYHASH, MRSIGNERS[4])
    assert launcher.einit(made) == "SGX_INVALID_EINITTOKEN"
    chip.do(ops.RESET)
    launcher.enclave = build(chip)
    assert launcher.einit(made) == "SGX_INVALID_EINITTOKEN"
    chip.do(ops.SET_OWNEREPOCH, b"epoch" + bytes(11))
    assert launcher.einit(made) == "SUCCESS"


def test_what_einit_leaves_behind(chip):
    enclave = launch(chip, sig={"isvprodid": 0x1234, "isvsvn": 0x5678}, flags=MODE64 | CET | KSS, cet=0x21, configsvn=9,
                     configid=b"c" * 64)  # fmt: skip
    assert chip.do(ops.SLOT_INFO, enclave.handle) == record(
        320, (0, CPUSVN), (20, b"\x21"), (48, bytes([MODE64 | CET | KSS | 1]) + bytes(7) + b"\3"),
        (64, enclave.mrenclave), (128, MRSIGNERS[3]), (192, b"c" * 64), (256, le(0x1234, 2) + le(0x5678, 2) + le(9, 2)),
    )  # fmt: skip
