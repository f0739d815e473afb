"""SGXS streams and ``.signed.so`` files: what is loaded where, what of it is measured, and who signed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fusequote.arch import CHUNKS_PER_PAGE, PAGE_SIZE, PageType, SigStruct, secinfo_text
from fusequote.arch.text import flag_names
from fusequote.enclave import (
    AddPage,
    ImageUnsupported,
    SgxsImage,
    SignedSoImage,
    check_for_chip,
    default_sigstruct_path,
    mrenclave,
    read_sigstruct,
)
from fusequote.enclave.image import Image
from fusequote.enclave.sdkmeta import GROUP_FLAG, EntryAttributes, LayoutEntry, LayoutGroup, Metadata
from fusequote.errors import FusequoteError
from fusequote.inspect.description import Description, Item, Section
from fusequote.inspect.structures import sigstruct_facts


@dataclass
class _Run:
    """Pages in a row that are alike: ``chunks`` of each are measured."""

    offset: int
    flags: int
    chunks: int
    pages: int = 1

    def item(self) -> Item:
        measured = "all measured" if self.chunks == CHUNKS_PER_PAGE else f"{self.chunks} of 16 chunks measured, each"
        if not self.chunks:
            measured = "content not measured"
        pages = f"{self.pages} page{'s' if self.pages > 1 else ''}"
        meaning = f"{pages}, {secinfo_text(self.flags)}, {measured}"
        name = "TCS" if self.flags >> 8 & 0xFF == PageType.PT_TCS else "pages"
        return Item(name, self.offset, self.pages * PAGE_SIZE, None, meaning, covered_by="MRENCLAVE")


def _runs(image: Image) -> Iterator[_Run]:
    """Pages of an image in the order in which they are added, like neighbours together."""
    run: _Run | None = None
    page: _Run | None = None
    for operation in image.operations():
        if not isinstance(operation, AddPage):
            if page is not None:
                page.chunks += operation.count
            continue
        run, done = _join(run, page)
        if done:
            yield done
        page = _Run(operation.offset, operation.flags, 0)
    run, done = _join(run, page)
    yield from (one for one in (done, run) if one)


def _join(run: _Run | None, page: _Run | None) -> tuple[_Run | None, _Run | None]:
    """(the run that goes on, the run that is complete) when ``page`` is complete."""
    alike = run and page and (run.flags, run.chunks) == (page.flags, page.chunks)
    if run and page and alike and run.offset + run.pages * PAGE_SIZE == page.offset:
        run.pages += 1
        return run, None
    return page, run


def _memory(image: Image) -> Section:
    title = "enclave memory, in loading order (offsets in the enclave)"
    return Section(title, tuple(run.item() for run in _runs(image)))


def _common(image: Image, sigstruct: SigStruct | None) -> tuple[list[tuple[str, str]], list[str]]:
    measured = mrenclave(image)
    facts = [("MRENCLAVE", measured.hex()), ("SIZE", f"{image.secs.size:#x}"), ("pages", str(image.page_count)),
             ("chunks measured", str(image.chunk_count))]
    warnings = []
    if sigstruct is not None:
        facts += sigstruct_facts(sigstruct)
        if sigstruct.enclavehash != measured:
            warnings.append(f"ENCLAVEHASH of the SIGSTRUCT is another: {sigstruct.enclavehash.hex()}")
    try:
        check_for_chip(image)
    except ImageUnsupported as error:
        warnings.append(f"the block does not take it: {error}")
    except FusequoteError as error:
        warnings.append(f"no hardware takes it: {error}")
    return facts, warnings


def describe_sgxs(source: Path | bytes) -> Description:
    """An SGXS stream, with its SIGSTRUCT when one lies beside it. Raises as
    :class:`~fusequote.enclave.sgxs.SgxsImage`."""
    sigstruct, beside = None, None
    if isinstance(source, Path):
        beside = default_sigstruct_path(source)
        sigstruct = read_sigstruct(beside) if beside.is_file() else None
    with SgxsImage(source, sigstruct) as image:
        facts, warnings = _common(image, sigstruct)
        sections = [_memory(image)]
        if sigstruct is not None:
            sections.append(Section.of(sigstruct, title=f"SIGSTRUCT in {beside.name if beside else '?'}"))
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        return Description("sgxs", "SGXS stream", size, tuple(sections), tuple(facts), tuple(warnings))


def describe_signed_so(source: Path | bytes) -> Description:
    """An enclave of Intel's SDK, every metadata version in it. Raises as
    :class:`~fusequote.enclave.signedso.SignedSoImage`."""
    with SignedSoImage(source) as chosen:
        versions, used = chosen.versions, chosen.metadata.version
    facts: list[tuple[str, str]] = [("metadata", ", ".join(_dotted(v) for v in versions)), ("loaded", _dotted(used))]
    warnings: list[str] = []
    sections: list[Section] = []
    for version in dict.fromkeys(versions):
        with SignedSoImage(source, version=version) as image:
            mark = "" if len(versions) == 1 else f"{_dotted(version)} "
            more, wrong = _common(image, image.metadata.head.sigstruct)
            facts += [(mark + name, value) for name, value in more]
            warnings += [mark + text for text in wrong]
            sections += _metadata_sections(image.metadata)
            sections.append(_memory(image))
    size = source.stat().st_size if isinstance(source, Path) else len(source)
    return Description("signed-so", "Intel SDK enclave", size, tuple(sections), tuple(facts), tuple(warnings))


def _metadata_sections(metadata: Metadata) -> Iterator[Section]:
    name = f"metadata {_dotted(metadata.version)}"
    yield Section.of(metadata.head, metadata.at, name)
    directory = metadata.head.layout
    entries = []
    for at in range(directory.offset, directory.offset + directory.size, LayoutEntry.SIZE):
        raw = metadata.blob[at : at + LayoutEntry.SIZE]
        entries.append(Item(f"entry {len(entries)}", metadata.at + at, LayoutEntry.SIZE, raw, _layout_text(raw)))
    yield Section(f"{name}: layout", tuple(entries))


def _layout_text(raw: bytes) -> str:
    entry = LayoutEntry.from_bytes(raw)
    if entry.id & GROUP_FLAG:
        group = LayoutGroup.from_bytes(raw)
        return f"the {group.entry_count} entries before, {group.load_times} times, {group.load_step:#x} further each"
    done = flag_names(entry.attributes, EntryAttributes)
    content = f", {entry.content_size} bytes of content at {entry.content_offset:#x}" if entry.content_offset else ""
    kind = secinfo_text(entry.si_flags) if entry.si_flags else "guard"
    return f"id {entry.id}: {entry.page_count} pages at {entry.rva:#x}, {kind}, {done}{content}"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"

