"""The options that every command takes, before or behind its name: --json, --home, --chip, --record, --debug."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from fusequote.errors import UsageError

if TYPE_CHECKING:
    from fusequote.home import Home

__all__ = ["CHIP_COMMANDS", "Settings", "add_options", "current", "use"]

#: Commands that talk to a chip, and so take --chip.
CHIP_COMMANDS = frozenset({
    "manufacture", "launch", "quote", "attest", "doctor", "chip", "fuses", "raise-svn", "scrap", "selftest",
    "token",
})  # fmt: skip
SIMULATED = ("sim", "model")


@dataclass
class Settings:
    """What the user set. ``chip`` is a URL; None is the simulated chip of the home folder."""

    json: bool = False
    debug: bool = False
    home_folder: str | None = None
    chip: str | None = None

    @cached_property
    def home(self) -> Home:
        """The home folder, made on first use. Raises what :class:`fusequote.home.Home` raises."""
        from fusequote.home import Home

        return Home(self.home_folder)

    @property
    def scheme(self) -> str:
        """The chip's URL scheme, empty for a plain device."""
        scheme, separator, _ = (self.chip or "sim://").partition("://")
        return scheme.lower() if separator else ""

    @property
    def is_home_chip(self) -> bool:
        """Whether the chip is the home folder's own: no URL, or a simulated one's without options."""
        return self.chip is None or self.chip.lower() in {f"{scheme}://" for scheme in SIMULATED}

    @property
    def chip_url(self) -> str:
        """The URL to open. A bare ``sim://`` or ``model://`` is the home folder's chip ``default``, whose fuses both
        share; simulated chips are built in the home folder's cache unless the URL says where.
        """
        if self.chip == "":
            raise UsageError("--chip is empty", hint="give sim://, model:// or a port, or leave it out")
        if not self.is_home_chip:
            return self._with_cache(self.chip)
        from fusequote.api import simulated_chip_url

        return self._with_cache(simulated_chip_url(self.home, self.scheme))

    @property
    def blank_chip_url(self) -> str:
        """As :attr:`chip_url`, but the home folder's chip is left alone: a blank one, gone when it is closed."""
        return self._with_cache(f"{self.scheme}://") if self.is_home_chip else self.chip_url

    def _with_cache(self, url: str) -> str:
        head, _, query = url.partition("?")
        names = {option.partition("=")[0] for option in query.split("&")}
        # A URL that is not one of ours stays as the user typed it, for the message that refuses it.
        if head.lower() != "sim://" or "cache" in names:
            return url
        return f"{url}{'&' if '?' in url else '?'}cache={quote(str(self.home.cache), safe='/')}"


_current: ContextVar[Settings] = ContextVar("settings")


def current() -> Settings:
    """The settings of the command that runs now."""
    return _current.get()


def use(settings: Settings) -> None:
    """Make ``settings`` the current ones, from here on."""
    _current.set(settings)


def _setter(name: str) -> Any:
    def set_value(ctx: typer.Context, value: Any) -> Any:
        if value not in (None, False):
            setattr(ctx.find_root().obj, name, value)
        return value

    return set_value


def _record(ctx: typer.Context, value: Path | None) -> Path | None:
    """Record from here on, until the command has ended."""
    if value is not None:
        from fusequote.chip.recording import recording

        ctx.find_root().with_resource(recording(value))
    return value


def _common(
    json: Annotated[
        bool,
        typer.Option("--json", callback=_setter("json"), expose_value=False,
                     help="One JSON document on stdout (docs/cli.md)."),
    ] = False,
    home: Annotated[
        str | None,
        typer.Option("--home", metavar="FOLDER", callback=_setter("home_folder"), expose_value=False,
                     help="The home folder. Default: FUSEQUOTE_HOME, else the user's data folder."),
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option("--chip", metavar="URL", callback=_setter("chip"), expose_value=False,
                     help="sim:// (default: the RTL, simulated), model:// (the reference model, needs no compiler), "
                     "serial:// (the board that is plugged in), /dev/ttyUSB0, socket://host:port, replay:FILE."),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option("--record", metavar="FILE", callback=_record, expose_value=False,
                     help="Keep all that crosses the link to the chip, keys included; replay:FILE plays it back."),
    ] = None,
    debug: Annotated[
        bool,
        typer.Option("--debug", callback=_setter("debug"), expose_value=False,
                     help="Show the traceback of an error."),
    ] = False,
) -> None:  # fmt: skip
    """Carries the common options; never called."""


def add_options(command: Any, *, everything: bool = False) -> Any:
    """Give ``command``, or every command of a group, the common options that it has not got itself.

    ``everything`` adds --chip and --record whether the command talks to a chip or not.
    """
    if hasattr(command, "commands"):
        command.no_args_is_help = False  # help in place of a result would be taken for one
        for child in command.commands.values():
            add_options(child)
    taken = {name for parameter in command.params for name in parameter.opts}
    application = typer.Typer(add_completion=False)
    application.command()(_common)
    for option in typer.main.get_command(application).params:
        of_chip = option.name in ("chip", "record")
        if taken.isdisjoint(option.opts) and (everything or not of_chip or command.name in CHIP_COMMANDS):
            command.params.append(option)
    return command
