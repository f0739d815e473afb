"""The model behind bytes: whatever comes, it answers and goes on; and the same through pyserial's ``model://``."""

import threading

import commands_shadow as ops
import pytest
import serial
from commands import CommandSource
from commands_make import PT_SECS, manufacture, secinfo, secs
from fusequote.chip.entropy import SimulatedEntropy
from fusequote.chip.framing import BadFrame, Decoder, encode
from fusequote.chip.fusefile import FuseBank, FuseFileBusy, FuseFileError, FuseFileProblem
from fusequote.chip.model import ModelChip, ModelLink
from fusequote.errors import UsageError
from hypothesis import given, settings
from hypothesis import strategies as st

IDENTIFY = encode(b"\x01\x2a")
PACKAGE = "fusequote.chip.urlhandler"


def new_link():
    return ModelLink(ModelChip(FuseBank(), SimulatedEntropy("stream", 1)))


def answers(data):
    """The contents of the frames in ``data``, all of which must be good."""
    frames = Decoder().feed(data)
    assert not any(isinstance(frame, BadFrame) for frame in frames)
    return frames


def test_frames_in_frames_out():
    link = new_link()
    answer = link.feed(IDENTIFY)
    assert answer[:1] == answer[-1:] == b"\x7e"
    assert [frame[:4] for frame in answers(answer)] == [b"\x81\x2a\0\0"]
    assert link.feed(b"\x7e\x7e\x7e") == b""


def test_bytes_may_come_one_by_one():
    link, whole = new_link(), new_link()
    stream = IDENTIFY + encode(b"\x10\x01") + IDENTIFY
    assert b"".join(link.feed(bytes([byte])) for byte in stream) == whole.feed(stream)


@pytest.mark.parametrize(
    ("frame", "nak"),
    [
        (b"\x7e" + IDENTIFY[1:-2] + bytes([IDENTIFY[-2] ^ 1]) + b"\x7e", b"\x80\x00\x03\x40"),
        (encode(b"\x01"), b"\x80\x00\x03\x40"),
        (encode(b""), b"\x80\x00\x03\x40"),
        (b"\x7e\x01\x7d\x7e", b"\x80\x00\x03\x40"),
        (encode(bytes(4609)), b"\x80\x00\x04\x40"),
        (b"\x7e" + bytes(20_000) + b"\x7e", b"\x80\x00\x04\x40"),
        (encode(bytes([0x22, 2]) + bytes(4606)), b"\xa2\x02\x05\x40\x00"),
    ],
)
def test_naks(frame, nak):
    link = new_link()
    assert answers(link.feed(frame)) == [nak]
    assert answers(link.feed(IDENTIFY))[0][:4] == b"\x81\x2a\0\0"


pieces = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([IDENTIFY, b"\x7e", b"\x7d", b"\x7d\x7e", encode(b"\x10\x01"), encode(b"\x03\0"), bytes(5000)]),
        st.binary(min_size=1, max_size=40).map(encode),
        st.tuples(st.integers(0x10, 0x30), st.integers(0, 3), st.binary(max_size=30)).map(
            lambda t: encode(bytes(t[:2]) + t[2])
        ),
    ),
    max_size=12,
)


@given(pieces)
@settings(max_examples=250, deadline=None)
def test_noise_is_survived(noise):
    link = new_link()
    for piece in noise:
        for frame in answers(link.feed(piece)):
            assert frame[0] & 0x80 and len(frame) >= 4
    link.feed(b"\x7e\x7e")
    assert answers(link.feed(IDENTIFY))[0][:12] == b"\x81\x2a\0\0FQ-EMUL\0"


@given(seed=st.integers(0, 2**32), hurt=st.lists(st.tuples(st.integers(0, 39), st.binary(max_size=4)), max_size=10))
@settings(max_examples=25, deadline=None)
def test_damaged_frames_never_reach_a_command(seed, hurt):
    """A chip whose line is noisy ends in the state of one whose line is not, when each NAK is answered by a repeat."""
    noisy, clean = new_link(), new_link()
    source, damage = CommandSource(seed, naks=False), dict(hurt)
    for i in range(40):
        frame = encode(source.next())
        if i in damage:
            broken = bytearray(frame)
            broken[len(frame) // 2] ^= 0x01
            noisy.feed(damage[i] + b"\x7e")
            noisy.feed(bytes(broken) + b"\x7e\x7e")
        expected = clean.feed(frame)
        assert noisy.feed(b"\x7e\x7e" + frame) == expected
        source.observe(answers(expected)[0])


# -- model:// -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def handler(monkeypatch):
    monkeypatch.setattr(serial, "protocol_handler_packages", [*serial.protocol_handler_packages, PACKAGE])


def power_on(url, **kwargs):
    return serial.serial_for_url(url, timeout=0, **kwargs)


def ask(port, contents):
    frame = encode(contents)
    assert port.write(frame) == len(frame)
    return answers(port.read(port.in_waiting))[0]


def test_a_port_without_options_is_a_blank_chip():
    with power_on("model://") as port:
        assert ask(port, b"\x01\x00")[4:12] == b"FQ-EMUL\0"
        assert ask(port, b"\x10\x01")[4] == 0
        assert port.read(10) == b""
        port.write(IDENTIFY)
        port.reset_input_buffer()
        assert port.in_waiting == 0 and port.out_waiting == 0
        port.write(memoryview(IDENTIFY))
        assert len(port.read(5)) == 5 and port.in_waiting > 5
        port.flush()
        port.reset_output_buffer()
        assert port.cts and port.dsr and port.cd and not port.ri


def test_power_cycle_keeps_the_fuses_and_nothing_else(tmp_path):
    path = tmp_path / "a chip+more.fuses"
    url = f"model://?fuses={path}&seed=s"
    with power_on(url) as port:
        assert ask(port, b"\x11\x01" + manufacture())[2:4] == b"\0\0"
        assert ask(port, b"\x12\x02")[2:4] == b"\0\0"
        assert ask(port, b"\x01\x00")[4 + 56] == 0
        with pytest.raises(FuseFileBusy):
            power_on(url)
    assert not port.is_open
    with power_on(url) as port:
        info = ask(port, b"\x01\x00")[4:]
        assert info[22:24] == b"\x02\x00" and info[56] == 1
    port.open()
    assert ask(port, b"\x01\x00")[4 + 56] == 1
    port.close()
    port.close()
    assert path.read_bytes()[24] == 3


def test_percent_signs_are_decoded(tmp_path):
    power_on(f"model://?fuses={tmp_path}/a%26b%25").close()
    assert (tmp_path / "a&b%").exists()


def test_a_seed_repeats_itself_and_without_one_nothing_does(tmp_path):
    def eid(url):
        with power_on(url) as port:
            for seq, (op, body) in enumerate([(0x11, manufacture()), (0x12, b"")], 1):
                ask(port, bytes([op, seq]) + body)
            ask(port, b"\x03\x00")
            return ask(port, bytes([ops.ECREATE, 1]) + secinfo(PT_SECS) + secs())[4:]

    assert eid("model://?seed=a") == eid("model://?seed=a") != eid("model://?seed=b")
    assert eid("model://") != eid("model://")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("model://?fuse=x", "no option 'fuse'"),
        ("model://?seed=a&seed=b", "given twice"),
        ("model://?seed", "needs a value"),
        ("model://?seed=", "needs a value"),
        ("model://?fuses=&seed=a", "needs a value"),
        ("model://?&", "no option ''"),
        ("model://host?seed=a", "not a model:// URL"),
        ("model://path/to/fuses", "not a model:// URL"),
    ],
)
def test_wrong_urls(url, says):
    with pytest.raises(UsageError, match=says):
        power_on(url)


def test_fuse_files_that_will_not_do(tmp_path):
    bad = tmp_path / "bad"
    bad.write_bytes(b"not a fuse file")
    with pytest.raises(FuseFileError, match="not a fuse file"):
        power_on(f"model://?fuses={bad}")
    with pytest.raises(FuseFileProblem):
        power_on(f"model://?fuses={tmp_path}/missing/chip")


def test_a_closed_port():
    port = power_on("model://")
    port.close()
    writing_or_counting = lambda: port.write(b"x"), lambda: port.in_waiting
    for act in (*writing_or_counting, port.read, port.flush, port.reset_input_buffer, port.reset_output_buffer):
        with pytest.raises(serial.PortNotOpenError):
            act()
    port.open()
    with pytest.raises(serial.SerialException, match="already open"):
        port.open()
    port.close()
    with pytest.raises(serial.SerialException, match="configured"):
        type(port)().open()


def test_the_seed_is_not_in_the_representation():
    with power_on("model://?seed=hunter2") as port:
        assert "hunter2" not in repr(port)


def test_reading_waits_for_another_thread():
    with serial.serial_for_url("model://", timeout=None) as port:
        got = []
        reader = threading.Thread(target=lambda: got.append(port.read(12)))
        reader.start()
        port.write(IDENTIFY)
        reader.join(30)
        assert got[0][:5] == b"\x7e\x81\x2a\0\0" and len(got[0]) == 12
        port.reset_input_buffer()
        reader = threading.Thread(target=lambda: got.append(port.read(1)))
        reader.start()
        while not port._arrival._waiters:
            pass
        port.cancel_read()
        reader.join(30)
        assert got[1] == b""
        reader = threading.Thread(target=lambda: got.append(port.read(1)))
        reader.start()
        while not port._arrival._waiters:
            pass
        port.close()
        reader.join(30)
        assert got[2] == b""
