"""The tables of `fusequote bench epid`: measurements, what was aimed at, and what a second processor gains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusequote.epid.bench import ENTRY_SIZE, PRIVRL_SIZE, SHARED_RUNS, Row, Shared

HEAD = ("back end", "operation", "median", "quartiles", "least", "wall", "pairings", "runs")
AIMS_HEAD = ("back end", "operation", "aim", "median", "least", "median of aim", "least of aim")
SHARED_HEAD = ("back end", "operation", "on one", "on all", "gain", "gain by processor time")
#: Milliseconds that an operation may take on one processor.
AIMS = (
    ("c", "sign", 1.2),
    ("c", "sign with a pre-signature", 0.4),
    ("c", "verify", 1.5),
    ("c", "SigRL entry, to prove", 0.3),
    ("c", "SigRL entry, to verify", 0.3),
    ("c", "PrivRL entry", 0.08),
    ("c", "verifier ready", 10.0),
    ("gmpy2", "sign", 4.0),
    ("gmpy2", "verify", 6.0),
    ("int", "sign", 9.0),
    ("int", "verify", 12.0),
)
Table = tuple[str, Sequence[str], list[tuple[str, ...]]]


def milliseconds(value: float) -> str:
    """Three figures or so."""
    value *= 1e3
    return f"{value:,.3f}" if value < 1 else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def cells(row: Row) -> tuple[str, ...]:
    """A row for a table."""
    spread = f"{milliseconds(row.low)} .. {milliseconds(row.high)}"
    times = milliseconds(row.median), spread, milliseconds(row.least), milliseconds(row.wall)
    return row.back_end, row.what, *times, f"{row.pairings:,.2f}", str(row.runs)


def aims(rows: Sequence[Row]) -> Iterator[tuple[str, str, float, float, float]]:
    """(Back end, operation, aim in milliseconds, median, least) of what was measured, in seconds."""
    for name in dict.fromkeys(row.back_end for row in rows):
        own = {row.what: row for row in rows if row.back_end == name}
        found = {row.what: (row.median, row.least) for row in own.values()}
        for entry, long, short, size in (
            ("SigRL entry, to prove", f"sign, SigRL of {ENTRY_SIZE:,}", "sign", ENTRY_SIZE),
            ("SigRL entry, to verify", f"verify, SigRL of {ENTRY_SIZE:,}", "verify", ENTRY_SIZE),
            ("PrivRL entry", f"verify, PrivRL of {PRIVRL_SIZE:,}", "verify", PRIVRL_SIZE),
        ):
            if long in found and short in found:
                found[entry] = tuple((a - b) / size for a, b in zip(found[long], found[short], strict=True))
        yield from ((name, what, aim, *found[what]) for owner, what, aim in AIMS if owner == name and what in found)


def tables(rows: Sequence[Row], shared: Sequence[Shared]) -> Iterator[Table]:
    """Title, head and cells of each table; those without a line are left out."""
    yield "Milliseconds of processor time (wall: median by the clock)", HEAD, [cells(row) for row in rows]
    aimed = []
    for name, what, aim, median, least in aims(rows):
        shares = [f"{1e5 * time / aim:.0f} %" for time in (median, least)]
        aimed.append((name, what, f"{aim:g}", milliseconds(median), milliseconds(least), *shares))
    if aimed:
        yield "What was aimed at, milliseconds on one processor", AIMS_HEAD, aimed
    if shared:
        how = f"least of {SHARED_RUNS} in turn, milliseconds by the clock"
        lines = []
        for s in shared:
            gains = f"{s.one / s.all:.2f}", f"{s.possible:.2f}"
            lines.append((s.back_end, s.what, milliseconds(s.one), milliseconds(s.all), *gains))
        yield f"SigRL work on one processor and on all {shared[0].processors}: {how}", SHARED_HEAD, lines


def markdown(rows: Sequence[Row], shared: Sequence[Shared]) -> str:
    """The tables for docs/performance.md."""
    out = []
    for title, head, lines in tables(rows, shared):
        ruled = [head, ("---", "---", *("---:",) * (len(head) - 2)), *lines]
        out.append("\n".join([f"{title}:", "", *("| " + " | ".join(line) + " |" for line in ruled)]))
    return "\n\n".join(out) + "\n"
