"""The whole story, scripted: manufacture, provision, exchange, attest, revoke by each list, recover."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fusequote.cli.settings import current

#: The lines of the document between which the transcript stands.
BEGIN, END = "<!-- fusequote story: begin -->", "<!-- fusequote story: end -->"


def command(
    chip: Annotated[
        str | None,
        typer.Option(metavar="sim://|model://", help="Two blank chips of this kind. Default: sim://, the RTL."),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the transcript between the markers of this document.")
    ] = None,
) -> int:
    """Run the whole story on two blank chips, with real servers over HTTP, and check each answer.

    Manufacture, provision, exchange, attest, a secure message; revocation by each of the four lists, with who is
    refused and who passes; TCB recovery. All of it happens in a home folder of its own, gone afterwards. Exit code 10
    when an answer is not what it must be.
    """
    import tempfile

    from fusequote.cli.output import print_document, stdout
    from fusequote.home import Home
    from fusequote.story import Transcript, tell_story
    from fusequote.verdict import ResultDocument

    settings = current()
    scheme, cache = _chips(chip or settings.chip or "sim://")
    place = None if write is None else _Place(write)
    console = stdout()
    told = Transcript((lambda line: None) if settings.json else console.print)
    with tempfile.TemporaryDirectory(prefix="fusequote-story-") as folder:
        cache = cache or (str(settings.home.cache) if scheme == "sim" else None)
        tell_story(Home(folder), told, scheme=scheme, cache=cache)
    if place is not None:
        place.put("\n".join(told.lines))
    if settings.json:
        facts: dict[str, str | int | bool] = {
            "chip": f"{scheme}://",
            "acts": told.acts,
            "checks": told.checks,
            "refusals": told.refusals,
        }
        print_document(ResultDocument("story", facts, notes=tuple(told.lines)).to_json())
    return 0


def _chips(url: str) -> tuple[str, str | None]:
    """Scheme and folder for builds, of ``model://``, ``sim://`` or ``sim://?cache=FOLDER``."""
    from urllib.parse import parse_qs

    from fusequote.errors import UsageError

    scheme, separator, query = url.partition("://")
    options = parse_qs(query.removeprefix("?"))
    if not separator or scheme not in ("sim", "model") or options.keys() - {"cache"}:
        hint = "the story burns fuses and revokes keys: give sim:// or model://, for blank chips"
        raise UsageError(f"{url}: the story is told on simulated chips of its own", hint=hint)
    return scheme, options.get("cache", [None])[0]


class _Place:
    """Where the transcript goes in a document. Raises :class:`UsageError` before anything is run."""

    def __init__(self, path: Path):
        from fusequote.errors import UsageError

        self._path = path
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not text'}") from error
        self._head, begin, rest = text.partition(BEGIN)
        _, end, self._tail = rest.partition(END)
        if not begin or not end:
            raise UsageError(f"{path} has no place for the transcript", hint=f"put in lines {BEGIN} and {END}")

    def put(self, text: str) -> None:
        from fusequote.cli.values import write_output

        block = f"{BEGIN}\n```text\n{text}\n```\n{END}"
        write_output(self._path, f"{self._head}{block}{self._tail}".encode())
