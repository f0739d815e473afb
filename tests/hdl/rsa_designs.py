"""RsaCheck at full width, with one multiplier and with two, as components that need no arguments."""

from fusequote_hdl.engines.rsa import RsaCheck

FULL_WIDTH = ("rsa_designs:OneMultiplier", "rsa_designs:TwoMultipliers")


class OneMultiplier(RsaCheck):
    """The default."""


class TwoMultipliers(RsaCheck):
    """Twice as fast."""

    def __init__(self):
        super().__init__(multipliers=2)
