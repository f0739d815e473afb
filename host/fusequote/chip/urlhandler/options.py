"""The options of a simulated chip's URL, ``scheme://?name=value&name=value``, read strictly.

Values are percent-decoded (a plus sign stays a plus sign, for values are paths).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote

from ...errors import UsageError

__all__ = ["chip_options"]


def chip_options(url: str, scheme: str, known: Collection[str]) -> dict[str, str]:
    """The options that ``url`` gives, by name.

    Raises :class:`UsageError` for another scheme, anything but options after ``://``, and unknown, repeated
    or empty options.
    """
    example = f"{scheme}://?" + "&".join(f"{name}=..." for name in known)
    head, separator, query = url.partition("?")
    if head.lower() != f"{scheme}://":
        hint = f"write {example}; every option may be left out"
        raise UsageError(f"not a {scheme}:// URL: {url!r}", hint=hint)
    options: dict[str, str] = {}
    for part in query.split("&") if separator and query else ():
        name, equals, value = part.partition("=")
        if name not in known:
            raise UsageError(f"{scheme}:// has no option {name!r}", hint=f"write {example}")
        if name in options:
            raise UsageError(f"{scheme}://: option {name!r} is given twice")
        if not equals or not value:
            raise UsageError(f"{scheme}://: option {name!r} needs a value")
        options[name] = unquote(value, errors="surrogateescape")
    return options
