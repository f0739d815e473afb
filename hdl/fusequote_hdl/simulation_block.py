"""The block with the keys of Intel's simulation mode: for simulations only (docs/chip.md, section 6)."""

from .block import Block

__all__ = ["SimulationBlock"]


class SimulationBlock(Block):
    """:class:`~fusequote_hdl.block.Block` with the profile ``linux-sgx-sim``. Elaborating it for a platform raises
    ValueError: all of its keys are public.
    """

    def __init__(self):
        super().__init__(profile="linux-sgx-sim")
