"""What people and programs see: results on stdout, talk on stderr, one JSON document with --json."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fusequote.errors import ExitCode, FusequoteError

if TYPE_CHECKING:
    from rich.console import Console

    from fusequote.cli.settings import Settings
    from fusequote.verdict import ResultDocument, Verdict

__all__ = [
    "ISSUES",
    "print_document",
    "progress",
    "show_error",
    "show_facts",
    "show_internal_error",
    "show_result",
    "show_verdict",
    "stderr",
    "stdout",
]

#: What to add to a report of a bug.
ISSUES = "this is a bug in fusequote: report it with the command, this line, and the output of `fusequote doctor`"
#: A file as a bar of pages, or any other count: (done, of).
Progress = Callable[[int, int], None]


def stdout() -> Console:
    """For results. Plain when it is not a terminal; never wraps what a program may read."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, markup=False)


def stderr() -> Console:
    """For talk."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def print_document(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()


def show_result(document: ResultDocument, settings: Settings) -> int:
    """A command's result, as the user wants it; the exit code."""
    if settings.json:
        print_document(document.to_json())
    else:
        show_facts(document.facts)
        for note in document.notes:
            stderr().print(f"note: {note}", style="dim")
    return exit_code(document.verdict)


def exit_code(verdict: Verdict | None) -> int:
    """0 for yes or no verdict at all, 10 for no."""
    return ExitCode.OK if verdict is None or verdict.accepted else ExitCode.NEGATIVE


def show_facts(facts: Mapping[str, str | int | bool]) -> None:
    """Names and values, a line each."""
    width = max(map(len, facts), default=0)
    console = stdout()
    for name, value in facts.items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else value
        console.print(f"{name.replace('_', ' '):{width}}  {shown}")


def show_verdict(verdict: Verdict) -> None:
    """The verdict and its reasons, for people."""
    console = stdout()
    console.print("ACCEPTED" if verdict.accepted else "REFUSED", style="bold green" if verdict.accepted else "bold red")
    for given in verdict.reasons:
        detail = f" ({given.detail})" if given.detail and given.detail != given.code.meaning else ""
        console.print(f"  {given.code.value} at {given.code.step.value}: {given.code.meaning}{detail}")
    if verdict.advisory_ids:
        console.print(f"  advisories: {', '.join(verdict.advisory_ids)}")
    console.print("  hardware backed: no (emulated)")


def show_error(error: FusequoteError, settings: Settings) -> None:
    """One line about what went wrong, and one about what to do."""
    if settings.json:
        from fusequote.verdict import ErrorDocument

        print_document(ErrorDocument.of(error).to_json())
        return
    # What a tool printed may be long: its last line says what happened, --debug shows all of it.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = str(error) if settings.debug or not lines else " ".join(dict.fromkeys((lines[0], lines[-1])))
    console = stderr()
    console.print(f"error: {message}", style="red")
    if error.hint:
        console.print(f"  {error.hint}")


def show_internal_error(error: Exception, settings: Settings, code: int) -> None:
    """One line about a bug, and how to report it."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    if settings.json:
        from fusequote.verdict import ErrorDocument

        print_document(ErrorDocument("internal", message, code, ISSUES).to_json())
        return
    console = stderr()
    console.print(f"internal error: {message}", style="red")
    console.print(f"  {ISSUES} (--debug shows where)")


@contextlib.contextmanager
def progress(what: str, settings: Settings) -> Iterator[Progress]:
    """A bar on a terminal, and silence elsewhere; for what may take more than a second."""
    if settings.json or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=stderr(), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def table(title: str, head: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[int] = ()) -> None:
    """A table on stdout; ``right`` are the columns that are set flush right."""
    from rich import box
    from rich.table import Table

    shown = Table(title=title, box=box.SIMPLE, title_justify="left")
    flush = set(right)
    for index, name in enumerate(head):
        # What is too wide is folded: half an identifier is of use to nobody.
        justify = "right" if index in flush else "left"
        shown.add_column(name, justify=justify, no_wrap=index in flush, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    stdout().print(shown)
