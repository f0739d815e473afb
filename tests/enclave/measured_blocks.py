"""The measured stream written down once more, with struct and nothing of the package: what tests compare with."""

import hashlib
import struct

PAGE = 4096
ZEROS = bytes(PAGE)


def ecreate(size, ssaframesize=1, cet=0):
    return struct.pack("<8sIQQ36x", b"ECREATE", ssaframesize, size, cet)


def eadd(offset, flags):
    return struct.pack("<8sQQ40x", b"EADD", offset, flags)


def eextend(offset, data, tag=b"EEXTEND"):
    assert len(data) == 256
    return struct.pack("<8sQ48x", tag, offset) + data


def page(offset, flags, content, extend=True):
    """EADD and, if wanted, 16 EEXTENDs of a page, as hardware measures it."""
    assert len(content) == PAGE
    if flags >> 8 & 0xFF == 1:  # a TCS loses R, W, X; STATE, DBGOPTIN, CSSA, AEP
        flags &= ~7
        words = bytearray(content)
        words[0:8] = bytes(8)
        words[8] &= 0xFE
        words[24:28] = bytes(4)
        words[40:48] = bytes(8)
        content = bytes(words)
    blocks = [eadd(offset, flags)]
    if extend:
        blocks += [eextend(offset + i, content[i : i + 256]) for i in range(0, PAGE, 256)]
    return b"".join(blocks)


def measure(stream):
    return hashlib.sha256(stream).digest()
