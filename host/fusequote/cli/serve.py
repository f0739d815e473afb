"""Run the services: provisioning, attestation, and the platform daemon."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from fusequote.cli.registry import load, summary
from fusequote.cli.settings import add_options, current
from fusequote.errors import UsageError

__all__ = ["app"]

#: What is served by a command of its own, loaded when it is called.
_OTHERS = {
    "platform": EntryPoint("platform", "fusequote.cli.serve_platform:command", "fusequote.serve"),
}


class ServeGroup(TyperGroup):
    """`fusequote serve`: two servers that differ in their routes, and what has a command of its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all that can be served."""
        return sorted([*super().list_commands(ctx), *_OTHERS])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What help shows of one."""
        if cmd_name in _OTHERS:
            return TyperCommand(cmd_name, help=summary(_OTHERS[cmd_name]))
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called."""
        if args[0] in _OTHERS:
            return args[0], add_options(load(_OTHERS[args[0]])), args[1:]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=ServeGroup, add_completion=False)


@app.callback()
def _group() -> None:
    """Run the services: provisioning, attestation, and the platform daemon."""


def _settings_given(pairs: list[str] | None) -> dict[str, str]:
    given = {}
    for pair in pairs or ():
        name, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}: write NAME=VALUE", hint="docs/services.md lists all settings")
        given[name.strip()] = value
    return given


def _server(service: str, docstring: str) -> Callable[..., int]:
    def command(
        config: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Settings, TOML. Default: services.toml of the home folder.")
        ] = None,
        host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = None,
        port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
        store: Annotated[
            str | None, typer.Option(metavar="URL", help="The store; a password belongs into the settings file.")
        ] = None,
        tls: Annotated[bool | None, typer.Option("--tls/--no-tls", help="HTTPS or HTTP.")] = None,
        certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate chain, PEM.")] = None,
        key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key, PEM.")] = None,
        workers: Annotated[int | None, typer.Option(help="Worker processes. Default: one for each core.")] = None,
        set_: Annotated[
            list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated.")
        ] = None,
    ) -> int:
        module = importlib.import_module(f"fusequote.services.http.{service}")
        from fusequote.services.http.logging import configure_logging
        from fusequote.services.http.run import serve, told_to_end
        from fusequote.services.http.server import open_context
        from fusequote.services.http.settings import ServerSettings, load_settings

        home = current().home
        given = {
            "host": host, "port": port, "store": store, "tls": tls, "certificate": certificate, "key": key,
            "workers": workers,
        }  # fmt: skip
        kind = getattr(module, "Settings", ServerSettings)
        settings = load_settings(kind, service, home, config=config, options=given | _settings_given(set_))
        configure_logging(settings.log_level)

        def ready(facts: dict[str, Any]) -> None:
            line = {"ready": service, **facts, "pid": os.getpid(), "emulated": True}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

        with told_to_end() as ended:
            context = open_context(home, settings)
            try:
                serve(module.create_app(context), context, ready, ended)
            finally:
                context.close()
        return 0

    command.__doc__ = docstring
    return command


app.command("provisioning")(
    _server(
        "provisioning",
        """Serve EPID provisioning, until SIGTERM.

    When it accepts connections it prints one line of JSON: `ready`, `url`, `pid`. The log goes to stderr.
    """,
    )
)
app.command("attestation")(
    _server(
        "attestation",
        """Serve the attestation service's REST API, until SIGTERM.

    When it accepts connections it prints one line of JSON: `ready`, `url`, `pid`. The log goes to stderr.
    """,
    )
)
