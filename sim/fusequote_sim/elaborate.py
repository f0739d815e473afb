"""``python -m fusequote_sim.elaborate MODULE:CLASS``: a design as RTLIL on standard output.

A process of its own, so that what is built is what lies on the disk now, and not what a long-running interpreter
imported an hour ago.
"""

from __future__ import annotations

import importlib
import sys

from amaranth.back import rtlil


def main() -> None:
    """Write the RTLIL of the component named by the only argument; its module is called ``chip``."""
    module, _, name = sys.argv[1].partition(":")
    component = getattr(importlib.import_module(module), name)()
    sys.stdout.write(rtlil.convert(component, name="chip", emit_src=False))


if __name__ == "__main__":
    main()
