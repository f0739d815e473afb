"""Say what a file is, and take it apart: every field with offset, bytes, meaning, and what covers it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.settings import current

#: Name and version of what --json prints.
SCHEMA = "fusequote/description/1"


def command(
    file: Annotated[Path, typer.Argument(help="REPORT, QUOTE, SIGSTRUCT, SGXS, .signed.so, recording, list, ...")],
    kind: Annotated[
        str | None, typer.Option(metavar="WORD", help="What it should be, instead of recognising it.")
    ] = None,
) -> int:
    """Recognise a file and show every field of it: offset, size, meaning, and which MAC or signature covers it.

    Bytes in hexadecimal or base64 are decoded first. A file of no known kind, or of another one than --kind says,
    gives exit code 2 and says where it stops making sense.
    """
    from fusequote.cli.output import print_document, stdout
    from fusequote.cli.values import check_is_file
    from fusequote.inspect import describe

    settings = current()
    check_is_file(file)
    description = describe(file, kind)
    if settings.json:
        print_document({"schema": SCHEMA, "type": "description", "emulated": True, **description.to_dict()})
    else:
        stdout().print(description.to_text(), end="")
    return 0
