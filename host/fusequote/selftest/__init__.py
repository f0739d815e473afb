"""The self-test: known answers and negative cases on any chip, over its link alone.

:func:`run` takes a chip's URL or an open port; each check has a name, and says what was wrong.
"""

from fusequote.selftest.runner import Outcome, Result, Results, check_names, run

__all__ = ["Outcome", "Result", "Results", "check_names", "run"]
