"""One run of the command line: parses, calls the command, and turns every way to end into its exit code."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer

from fusequote.cli.registry import CommandGroup, missing_package
from fusequote.cli.settings import Settings, add_options, use
from fusequote.errors import ExitCode, FusequoteError, UsageError

__all__ = ["INTERNAL", "INTERRUPTED", "PIPE_BROKEN", "run"]

#: Exit codes beside those of :class:`ExitCode`. A bug in fusequote:
INTERNAL = int(ExitCode.INTERNAL)
#: Ctrl-C, as a shell has it (128 + SIGINT).
INTERRUPTED = 130
#: Whoever read our output went away (128 + SIGPIPE).
PIPE_BROKEN = 141

# The base of all errors about arguments: typer exports its leaf only.
_ArgumentError: type[Exception] = typer.BadParameter.__mro__[2]


class Fusequote(CommandGroup):
    """The root of the tree."""

    prepare = staticmethod(add_options)


def _show_version(value: bool) -> None:
    if value:
        print(f"fusequote {version('fusequote')} (emulated: no evidence about real hardware)")
        raise typer.Exit


def _root(
    ctx: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    """SGX EPID attestation, emulated from the fuse to the verdict."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())


def _tree() -> Any:
    application = typer.Typer(cls=Fusequote, invoke_without_command=True, add_completion=False)
    application.callback()(_root)
    return add_options(typer.main.get_command(application), everything=True)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Nothing that goes wrong leaves here as an exception."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    settings = Settings(json="--json" in arguments, debug="--debug" in arguments)
    use(settings)
    try:
        code = _call(arguments, settings)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return _pipe_broken()
    except SystemExit as end:  # rich's way to answer a broken pipe
        return _pipe_broken() if isinstance(end.__context__, BrokenPipeError) else INTERNAL
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED


def _call(arguments: list[str], settings: Settings) -> int:
    try:
        with _tree().make_context("fusequote", arguments, obj=settings) as context:
            code = context.command.invoke(context)
            return code if isinstance(code, int) else ExitCode.OK
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except BrokenPipeError:
        raise
    except _ArgumentError as error:
        return _complain(_as_usage_error(error), settings)
    except FusequoteError as error:
        return _complain(error, settings)
    except ModuleNotFoundError as error:
        return _complain(missing_package(error, "this command"), settings)
    except OSError as error:
        from fusequote.errors import EnvironmentProblem

        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return _complain(EnvironmentProblem(f"the system refused: {what}", hint=None), settings, error)
    except Exception as error:  # a bug: said in one line, never as a traceback
        return _internal(error, settings)


def _as_usage_error(error: Any) -> UsageError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "fusequote"
    return UsageError(f"{where}: {error.format_message().strip()}", hint=f"`{where} --help` says how")


def _complain(error: FusequoteError, settings: Settings, cause: BaseException | None = None) -> int:
    from fusequote.cli.output import show_error

    show_error(error, settings)
    if settings.debug:
        _traceback(cause or error)
    return int(error.exit_code)


def _internal(error: Exception, settings: Settings) -> int:
    from fusequote.cli.output import show_internal_error

    show_internal_error(error, settings, INTERNAL)
    if settings.debug:
        _traceback(error)
    return INTERNAL


def _traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error, file=sys.stderr)


def _pipe_broken() -> int:
    # What is still in the buffer would be written at exit, to nobody, with a message about it.
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return PIPE_BROKEN
