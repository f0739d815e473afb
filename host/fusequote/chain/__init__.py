"""A platform: one chip, the enclaves launched on it, and what they sealed to disk.

This is the one Python API below the command line for everything up to the quote: :class:`Machine` has chip and
enclaves, :class:`Platform` is a machine with an EPID key.
"""

from fusequote.chain.machine import EnclaveFile, Machine, Progress, simulated_chip_url
from fusequote.chain.platform import Platform, ReportedEnclave

__all__ = ["EnclaveFile", "Machine", "Platform", "Progress", "ReportedEnclave", "simulated_chip_url"]
