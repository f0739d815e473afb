"""Which commands there are: the entry points of the group ``fusequote.cli``, each loaded when it is called.

``fusequote bench`` has a group of entry points of its own, ``fusequote.bench``, by the same rules.

An entry point's name is the command's; its value is a :class:`typer.Typer` (one command or a group of them) or a
function. A package contributes a command by naming it in its metadata, nothing here has to know. The line that
``fusequote --help`` shows is the first of the function's docstring or the module's, read without running the module: so
help is fast, and a command whose packages are missing breaks no other.
"""

from __future__ import annotations

import ast
import difflib
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from fusequote.errors import EnvironmentProblem, UsageError

__all__ = ["BENCH_GROUP", "GROUP", "CommandGroup", "entry_points", "load", "missing_package", "summary"]

GROUP = "fusequote.cli"
BENCH_GROUP = "fusequote.bench"


def entry_points(group: str = GROUP) -> dict[str, importlib.metadata.EntryPoint]:
    """All contributed commands by name, sorted."""
    return {point.name: point for point in sorted(importlib.metadata.entry_points(group=group))}


def summary(point: importlib.metadata.EntryPoint) -> str:
    """The first line of the docstring of the command's function, or else of its module; empty when there is none."""
    root, *rest = point.module.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except (ImportError, ValueError):
        return ""
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *rest)
        for source in (path.with_suffix(".py"), path / "__init__.py"):
            if source.is_file():
                module = ast.parse(source.read_text("utf-8"))
                functions = (node for node in module.body if isinstance(node, ast.FunctionDef))
                function = next((node for node in functions if node.name == point.attr), None)
                text = (function and ast.get_docstring(function)) or ast.get_docstring(module) or ""
                return text.partition("\n")[0]
    return ""


def load(point: importlib.metadata.EntryPoint) -> Any:
    """The command, ready to be run. Raises :class:`EnvironmentProblem` when it cannot be loaded."""
    try:
        contributed = point.load()
    except ModuleNotFoundError as error:
        raise missing_package(error, f"the command {point.name}") from error
    except (ImportError, AttributeError, SyntaxError) as error:
        raise EnvironmentProblem(
            f"the command {point.name} cannot be loaded: {error}",
            hint="the installation is damaged or of mixed versions: install fusequote again",
        ) from error
    if not isinstance(contributed, typer.Typer):
        contributed = _application(point.name, contributed)
    command = typer.main.get_command(contributed)
    command.name = point.name
    return command


def _application(name: str, function: Callable[..., Any]) -> typer.Typer:
    application = typer.Typer(add_completion=False)
    application.command(name)(function)
    return application


def missing_package(error: ModuleNotFoundError, who: str) -> EnvironmentProblem:
    """The error that says which extra brings the module that was not found."""
    module = (error.name or "").partition(".")[0]
    extra = None if module.startswith("fusequote") else _extra_of(module)
    if extra:
        return EnvironmentProblem(f"{who} needs the Python package {module}", hint=f"pip install 'fusequote[{extra}]'")
    ours = not module or module.startswith("fusequote")
    return EnvironmentProblem(
        f"{who} needs the Python module {error.name}, which is not installed",
        hint="install fusequote again" if ours else f"pip install {module}",
    )


def _extra_of(module: str) -> str | None:
    """The extra of this distribution that installs ``module``; ``dev`` only when no other does."""
    found = []
    for requirement in importlib.metadata.requires("fusequote") or ():
        package = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
        if package and extra and re.sub(r"[-.]", "_", package[0]).lower() == module.lower():
            found.append(extra[1])
    return min(found, key=lambda extra: extra == "dev", default=None)


class CommandGroup(TyperGroup):
    """A group that lists commands without loading them, and loads the one that is called.

    ``source`` is the group of entry points. ``prepare`` is called with a command after it was loaded.
    """

    source: str = GROUP

    prepare: Callable[[Any], Any] = staticmethod(lambda command: command)

    def list_commands(self, ctx: typer.Context) -> list[str]:
        """The names of all commands."""
        return list(entry_points(self.source))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:
        """What help shows of a command: its name and its line."""
        point = entry_points(self.source).get(cmd_name)
        return None if point is None else TyperCommand(cmd_name, help=summary(point))

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> tuple[str, Any, list[str]]:
        """The command that is called. Raises :class:`UsageError` for a name that this installation does not have."""
        name, points, program = args[0], entry_points(self.source), ctx.command_path
        if name in points:
            return name, self.prepare(load(points[name])), args[1:]
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"there is no command {name!r}", hint=f"{hint}`{program} --help` lists all commands")
