"""The ladder: five ways to attest, each shown to work, broken by the attack that makes the next one necessary.

Chips, services and the programs between them are the real ones of this project; what is scripted is the order, and
what each attack must come to.
"""

from fusequote.ladder.climb import RUNGS, Climbed, Result, attack_names, chosen, climb
from fusequote.ladder.rung import LadderFailed, Level
from fusequote.ladder.stage import Stage
from fusequote.ladder.telling import Talk

__all__ = [
    "RUNGS", "Climbed", "LadderFailed", "Level", "Result", "Stage", "Talk", "attack_names", "chosen", "climb",
]  # fmt: skip
