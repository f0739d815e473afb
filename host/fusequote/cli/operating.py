"""What all `fusequote service` commands share: the store that they work on, and how they show what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fusequote.cli.settings import current

if TYPE_CHECKING:
    from fusequote.services.services import Services

__all__ = ["Store", "opened", "show", "show_all"]

Store = Annotated[str | None, typer.Option(metavar="URL", help="The store. Default: the settings', else services.db.")]


@contextlib.contextmanager
def opened(store: str | None) -> Iterator[Services]:
    """The services over the store at this URL; None is the one that the home folder's settings name."""
    from fusequote.services.http.attestation import Settings
    from fusequote.services.http.settings import load_settings
    from fusequote.services.services import Services

    home = current().home
    settings = load_settings(Settings, "attestation", home, options={"store": store})
    with Services(home, settings.store_url) as services:
        yield services


def show(command: str, facts: dict[str, Any]) -> int:
    """Show one document as the command's result."""
    from fusequote.cli.output import show_result
    from fusequote.verdict import ResultDocument

    flat = {name: _flat(value) for name, value in facts.items()}
    return show_result(ResultDocument(f"service {command}", flat), current())


def show_all(command: str, documents: list[dict[str, Any]], *names: str) -> int:
    """Several documents; the values of ``names`` say which one it is."""
    if current().json:
        facts = {
            ".".join((*(str(document[part]) for part in names), name)): value
            for document in documents
            for name, value in document.items()
            if name not in names
        }
        return show(command, facts)
    from fusequote.cli.output import table

    head = list(documents[0]) if documents else list(names)
    shown = [[("no", "yes")[v] if isinstance(v, bool) else str(_flat(v)) for v in d.values()] for d in documents]
    table(command, [name.replace("_", " ") for name in head], shown)
    return 0


def _flat(value: Any) -> str | int | bool:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else value
