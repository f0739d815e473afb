"""Messages after msg4: the sample's form, and no message twice, out of order, altered or turned back."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fusequote.errors import UsageError
from fusequote.exchange import Direction, ExchangeError, Fault, SecureChannel
from fusequote.exchange.channel import MESSAGE_LIMIT
from hypothesis import given
from hypothesis import strategies as st

SK = bytes(range(16))


def pair():
    return SecureChannel(SK, Direction.PROVIDER), SecureChannel(SK, Direction.ENCLAVE)


def raises(fault):
    return pytest.raises(ExchangeError, check=lambda error: error.fault is fault)


def test_the_first_message_is_the_sample_s():
    """payload_size, twelve zero bytes, tag, payload; AES-GCM with a zero IV and no AAD."""
    provider, _ = pair()
    sealed = AESGCM(SK).encrypt(bytes(12), b"secret", None)
    assert provider.seal(b"secret") == (6).to_bytes(4, "little") + bytes(12) + sealed[6:] + sealed[:6]


def test_no_iv_is_used_twice():
    provider, enclave = pair()
    ivs = {channel.seal(b"")[4:16] for channel in (provider, enclave) for _ in range(50)}
    assert len(ivs) == 100


def test_replayed_reordered_and_reflected():
    provider, enclave = pair()
    first, second = provider.seal(b"1"), provider.seal(b"2")
    with raises(Fault.REPLAYED):
        enclave.open(second)
    assert enclave.open(first) == b"1"
    with raises(Fault.REPLAYED):
        enclave.open(first)
    assert enclave.open(second) == b"2"
    with raises(Fault.REPLAYED):
        provider.open(provider.seal(b"3"))


@given(st.data())
def test_altered_anywhere(data):
    provider, enclave = pair()
    sealed = bytearray(provider.seal(b"payload"))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ExchangeError) as caught:
        enclave.open(bytes(sealed))
    assert caught.value.fault is (Fault.MALFORMED if bit < 32 else Fault.MESSAGE)


@given(st.integers(0, 38))
def test_cut(size):
    provider, enclave = pair()
    with raises(Fault.MALFORMED):
        enclave.open(provider.seal(b"payload")[:size])


def test_a_forgery_ends_the_channel():
    provider, enclave = pair()
    message = provider.seal(b"payload")
    with raises(Fault.MESSAGE):
        enclave.open(message[:-1] + bytes((message[-1] ^ 1,)))
    with raises(Fault.CLOSED):
        enclave.open(message)
    with raises(Fault.CLOSED):
        enclave.seal(b"")


def test_another_session_s_key():
    _, enclave = pair()
    with raises(Fault.MESSAGE):
        enclave.open(SecureChannel(bytes(16), Direction.PROVIDER).seal(b""))


def test_limits():
    provider, enclave = pair()
    with pytest.raises(UsageError):
        provider.seal(bytes(MESSAGE_LIMIT + 1))
    with raises(Fault.LIMIT):
        enclave.open(bytes(MESSAGE_LIMIT + 33))
    assert SK.hex() not in repr(provider) and "1 sent" not in repr(provider)
