"""The exchange as byte strings: layouts, known answers, and every way in which a message can be wrong."""

import dataclasses
import hashlib

import pytest
from chain_world import SPID, flip, some_bits
from cryptography.hazmat.primitives.asymmetric import ec
from fusequote.arch import Msg2, Msg3, Msg4, QuoteV2, SignType, TrustStatus
from fusequote.epid import Member, SigRl
from fusequote.errors import Refused
from fusequote.exchange import ExchangeError, Fault, SessionKeys
from fusequote.exchange.keys import cmac, read_point, sign, verify, write_point
from fusequote.platform.epidfiles import sign_sigrl
from fusequote.verdict import Reason


def raises(fault):
    return pytest.raises(ExchangeError, check=lambda error: error.fault is fault)


# Known answers


def test_keys_are_those_that_openssl_derives():
    """Made with ``openssl mac -cipher AES-128-CBC CMAC`` from x = 00 01 .. 1f."""
    keys = SessionKeys.derive(bytes(range(32)))
    assert keys.smk.hex() == KAT["SMK"]
    assert keys.sk.hex() == KAT["SK"]
    assert keys.mk.hex() == KAT["MK"]
    assert keys.vk.hex() == KAT["VK"]


KAT = {
    "SMK": "3999a176f61679104b0b226187125f95",
    "SK": "716675ba42c8e9070166ea4c6840a33f",
    "MK": "06d71c1ba8d1e34ae405f2505fff7a79",
    "VK": "f4c7ae2fe874c6b82693dab13ebae8de",
}


def test_points_and_signatures_are_little_endian():
    key = ec.derive_private_key(1, ec.SECP256R1())  # its point is the generator
    generator_x = "96c298d84539a1f4a033eb2d817d0377f240a463e5e6bcf847422ce1f2d1176b"
    assert write_point(key.public_key())[:32].hex() == generator_x
    assert read_point(write_point(key.public_key())) == key.public_key()
    signature = sign(key, b"message")
    assert verify(key.public_key(), signature, b"message")
    assert not verify(key.public_key(), signature, b"messagf")
    big_endian = signature[:32][::-1] + signature[32:][::-1]
    assert not verify(key.public_key(), big_endian, b"message")


def test_nothing_secret_is_shown(world):
    enclave, provider, _ = world.to_msg3()
    for shown in (repr(enclave.keys), repr(provider.keys), repr(world.provider)):
        assert enclave.keys.sk.hex() not in shown and str(enclave.keys.sk) not in shown


# The good way


def test_both_sides_hold_the_same_keys_and_talk(world):
    enclave, provider = world.enclave(spid=SPID, sign_type=SignType.UNLINKABLE), world.provider.session()
    msg01 = enclave.msg01()
    assert len(msg01) == 72 and msg01[:4] == bytes(4)
    assert msg01[68:] == world.ready.platform.gid()[::-1]
    msg2 = Msg2.from_bytes(provider.msg2(msg01))
    assert (len(msg2), msg2.spid, msg2.kdf_id, msg2.quote_type, msg2.sig_rl_size) == (168, SPID, 1, 0, 0)
    assert verify(world.provider.key.public_key(), msg2.sign_gb_ga, msg2.g_b + msg01[4:68])
    assert msg2.mac == cmac(enclave_keys(enclave, msg2).smk, msg2.to_bytes()[:148])
    msg3 = enclave.msg3(msg2.to_bytes())
    assert len(msg3) == 336 + 1116 and not any(msg3[80:336])
    assert msg3[:16] == cmac(enclave.keys.smk, msg3[16:])
    quote = QuoteV2.from_bytes(msg3[336:])
    expected = hashlib.sha256(msg01[4:68] + msg2.g_b + enclave.keys.vk).digest()
    assert quote.body.report.reportdata == expected + bytes(32)
    msg4 = provider.msg4(msg3)
    assert len(msg4) == 105 and provider.verdict.accepted
    assert enclave.keys == provider.keys
    outcome = enclave.finish(msg4 + provider.msg4_mac)
    assert outcome.status is TrustStatus.TRUSTED and outcome.authenticated and outcome.trusted
    assert provider.channel.open(outcome.channel.seal(b"up")) == b"up"
    assert outcome.channel.open(provider.channel.seal(b"down")) == b"down"


def enclave_keys(enclave, msg2):
    """What the enclave will derive; its ephemeral key is in the session."""
    return SessionKeys.agree(enclave._ephemeral, read_point(msg2.g_b))


@pytest.mark.parametrize("padding", [b"", bytes(3)], ids=["105", "108"])
def test_msg4_as_the_sample_sends_it(world, padding):
    enclave, provider, msg3 = world.to_msg3()
    outcome = enclave.finish(provider.msg4(msg3) + padding)
    assert outcome.trusted and not outcome.authenticated and outcome.platform_info is None


def test_a_linkable_quote_where_that_is_agreed(world):
    provider = dataclasses.replace(world.provider, sign_type=SignType.LINKABLE).session()
    enclave = world.enclave(sign_type=SignType.LINKABLE)
    assert enclave.finish(provider.msg4(enclave.msg3(provider.msg2(enclave.msg01())))).trusted


def test_msg2_carries_the_group_s_sigrl(world):
    gid, services = world.ready.platform.gid(), world.ready.services
    entries = SigRl.from_bytes(gid + bytes.fromhex("0000000100000001") + foreign_entry(world), gid_size=4)
    listed = sign_sigrl(entries, services.keys.epid_signing)

    class WithList:
        def sigrl(self, asked):
            assert asked == gid
            return listed

        def report(self, quote, nonce):
            return world.provider.service.report(quote, nonce)

    provider = dataclasses.replace(world.provider, service=WithList()).session()
    enclave = world.enclave()
    msg2 = provider.msg2(enclave.msg01())
    assert Msg2.from_bytes(msg2).sig_rl == listed and len(msg2) == 168 + len(listed)
    msg3 = enclave.msg3(msg2)
    assert len(msg3) == 336 + 1116 + 160
    # The service has no such list: a quote that answers one it does not have is not what it asked for.
    provider.msg4(msg3)
    assert provider.verdict.codes == (Reason.SIGRL_VERSION,)


def foreign_entry(world):
    """B and K of somebody else's signature: two points of G1."""
    group = world.ready.services.registry.group_key(world.ready.platform.gid())
    request, _ = Member.join_request(group, bytes(32))
    return request.to_bytes()[:64] * 2


# msg1


@pytest.mark.parametrize("size", [0, 4, 71, 73, 144])
def test_msg01_of_a_wrong_length(world, size):
    with raises(Fault.MALFORMED):
        world.provider.session().msg2(world.enclave().msg01().ljust(size, b"\0")[:size])


def test_another_extended_group(world):
    with raises(Fault.EXTENDED_GROUP):
        world.provider.session().msg2(b"\1" + world.enclave().msg01()[1:])


def test_g_a_off_the_curve(world, rng):
    msg01 = world.enclave().msg01()
    for bit in some_bits(rng, 4, 68, 12):
        with raises(Fault.POINT):
            world.provider.session().msg2(flip(msg01, bit))
    with raises(Fault.POINT):
        world.provider.session().msg2(bytes(68) + msg01[68:])


def test_a_group_that_nobody_knows(world):
    with raises(Fault.GROUP_UNKNOWN):
        world.provider.session().msg2(world.enclave().msg01()[:68] + b"\xff\xff\xff\xff")


# msg2


def test_every_part_of_msg2_is_protected(world, rng):
    fields = {
        (0, 64): {Fault.POINT},
        (64, 80): {Fault.MAC},
        (80, 82): {Fault.MAC},
        (82, 84): {Fault.KDF},
        (84, 148): {Fault.SIGNATURE},
        (148, 164): {Fault.MAC},
        (164, 168): {Fault.MALFORMED},
    }
    for (start, end), faults in fields.items():
        for bit in some_bits(rng, start, end, 3):
            enclave = world.enclave()
            msg2 = world.provider.session().msg2(enclave.msg01())
            with pytest.raises(ExchangeError) as caught:
                enclave.msg3(flip(msg2, bit))
            assert caught.value.fault in faults, (start, bit)
            assert enclave.keys is None


@pytest.mark.parametrize("change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: b"", lambda m: m[:84]])
def test_msg2_of_a_wrong_length(world, change):
    enclave = world.enclave()
    msg2 = world.provider.session().msg2(enclave.msg01())
    with raises(Fault.MALFORMED):
        enclave.msg3(change(msg2))


def test_a_sigrl_that_is_none(world):
    enclave = world.enclave()
    msg2 = Msg2.from_bytes(world.provider.session().msg2(enclave.msg01()))
    with pytest.raises(Refused) as caught:
        enclave.msg3(msg2.replace(sig_rl=b"nonsense").to_bytes())
    assert caught.value.reason == Reason.SIGRL_FORMAT


def test_another_service_provider(world):
    enclave = world.enclave(provider_key=ec.generate_private_key(ec.SECP256R1()).public_key())
    with raises(Fault.SIGNATURE):
        enclave.msg3(world.provider.session().msg2(enclave.msg01()))


def test_msg2_from_another_session(world):
    one, other = world.enclave(), world.enclave()
    msg2 = world.provider.session().msg2(one.msg01())
    other.msg01()
    with raises(Fault.SIGNATURE):
        other.msg3(msg2)


def test_signature_in_the_wrong_order(world):
    """g_b comes first: a provider that signs g_a ‖ g_b is none."""
    enclave = world.enclave()
    msg01 = enclave.msg01()
    msg2 = Msg2.from_bytes(world.provider.session().msg2(msg01))
    with raises(Fault.SIGNATURE):
        enclave.msg3(msg2.replace(sign_gb_ga=sign(world.provider.key, msg01[4:68] + msg2.g_b)).to_bytes())


def test_what_was_agreed_on_the_quote(world):
    for options, fault in ({"spid": bytes(16)}, Fault.SPID), ({"sign_type": SignType.LINKABLE}, Fault.LINKABILITY):
        enclave = world.enclave(**options)
        msg2 = world.provider.session().msg2(enclave.msg01())
        with raises(fault):
            enclave.msg3(msg2)


# msg3


def test_every_part_of_msg3_is_protected(world, rng):
    for (start, end), fault in {
        (0, 16): Fault.MAC,
        (16, 80): Fault.OTHER_SESSION,
        (80, 336): Fault.MAC,
        (336, 336 + 1116): Fault.MAC,
    }.items():
        _, provider, msg3 = world.to_msg3()
        bit = some_bits(rng, start, end, 3)[1]
        with raises(fault):
            provider.msg4(flip(msg3, bit))
        assert provider.keys is None and provider.channel is None


@pytest.mark.parametrize("size", [0, 16, 335, 336 + 1115])
def test_msg3_cut(world, size):
    _, provider, msg3 = world.to_msg3()
    with raises(Fault.MALFORMED if size < 336 else Fault.MAC):
        provider.msg4(msg3[:size])


def remac(keys, msg3, **values):
    """msg3 with other content under a good MAC: what a dishonest platform can send."""
    message = Msg3.from_bytes(msg3).replace(**values)
    return message.replace(mac=cmac(keys.smk, message.to_bytes()[16:])).to_bytes()


def test_a_quote_that_is_none_under_a_good_mac(world):
    enclave, provider, msg3 = world.to_msg3()
    with raises(Fault.MALFORMED):
        provider.msg4(remac(enclave.keys, msg3, quote=b"no quote"))


def test_a_quote_of_another_group(world):
    enclave, provider, msg3 = world.to_msg3()
    with raises(Fault.OTHER_GROUP):
        provider.msg4(remac(enclave.keys, msg3, quote=flip(msg3[336:], 8 * 4)))


def test_a_quote_of_another_session_is_not_trusted(world):
    """Relayed: a good quote about other keys, sent by who has the keys of this session."""
    _, _, earlier = world.to_msg3()
    enclave, provider, msg3 = world.to_msg3()
    outcome = enclave.finish(provider.msg4(remac(enclave.keys, msg3, quote=earlier[336:])) + provider.msg4_mac)
    assert provider.verdict.codes == (Reason.REPORTDATA,)
    assert outcome.status is TrustStatus.NOT_TRUSTED and outcome.channel is None and enclave.keys is None


def test_a_quote_whose_signature_was_altered_is_not_trusted(world):
    enclave, provider, msg3 = world.to_msg3()
    provider.msg4(remac(enclave.keys, msg3, quote=flip(msg3[336:], 8 * 500)))
    assert not provider.verdict.accepted and provider.channel is None and provider.keys is None


def test_linkable_where_unlinkable_was_agreed(world):
    enclave, provider = world.enclave(), world.provider.session()
    msg3 = enclave.msg3(provider.msg2(enclave.msg01()))
    body = QuoteV2.from_bytes(msg3[336:]).body.report.reportdata
    reported = world.ready.platform.report(world.ready.application, body)
    quote = world.ready.platform.quote_report(reported, spid=SPID, sign_type=SignType.LINKABLE).quote
    provider.msg4(remac(enclave.keys, msg3, quote=quote))
    assert provider.verdict.codes == (Reason.LINKABILITY,)


def test_another_enclave_than_the_policy_names(world):
    policy = dataclasses.replace(world.provider.policy, mrenclaves=frozenset({bytes(32)}))
    provider = dataclasses.replace(world.provider, policy=policy).session()
    enclave = world.enclave()
    outcome = enclave.finish(provider.msg4(enclave.msg3(provider.msg2(enclave.msg01()))))
    assert outcome.status is TrustStatus.NOT_TRUSTED and provider.verdict.codes == (Reason.MRENCLAVE,)


# msg4, and the order of all


def test_msg4_altered(world, rng):
    enclave, provider, msg3 = world.to_msg3()
    msg4 = provider.msg4(msg3) + provider.msg4_mac
    with raises(Fault.MAC):
        enclave.finish(flip(msg4, some_bits(rng, 0, len(msg4), 3)[1]))
    assert enclave.keys is None


@pytest.mark.parametrize("size", [0, 4, 104, 106, 120, 122])
def test_msg4_of_a_wrong_length(world, size):
    enclave, provider, msg3 = world.to_msg3()
    with raises(Fault.MALFORMED):
        enclave.finish((provider.msg4(msg3) + bytes(32))[:size])


def test_msg4_with_a_status_that_is_none(world):
    enclave, provider, msg3 = world.to_msg3()
    with raises(Fault.MALFORMED):
        enclave.finish(Msg4.from_bytes(provider.msg4(msg3)).replace(status=4).to_bytes())


def test_no_message_out_of_order_or_twice(world):
    with raises(Fault.ORDER):
        world.enclave().msg3(bytes(168))
    with raises(Fault.ORDER):
        world.enclave().finish(bytes(105))
    with raises(Fault.ORDER):
        world.provider.session().msg4(bytes(1452))
    enclave, provider, msg3 = world.to_msg3()
    msg4 = provider.msg4(msg3)
    with raises(Fault.ORDER):
        provider.msg4(msg3)
    assert provider.keys is None and provider.channel is None
    enclave.finish(msg4)
    with raises(Fault.ORDER):
        enclave.finish(msg4)


def test_an_error_ends_the_session(world):
    enclave = world.enclave()
    msg2 = world.provider.session().msg2(enclave.msg01())
    with raises(Fault.MALFORMED):
        enclave.msg3(msg2[:-1])
    with raises(Fault.ORDER):
        enclave.msg3(msg2)
    provider = world.provider.session()
    with raises(Fault.MALFORMED):
        provider.msg2(b"")
    with raises(Fault.ORDER):
        provider.msg2(world.enclave().msg01())
