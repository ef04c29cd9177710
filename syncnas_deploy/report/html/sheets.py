"""The sheets of a comparison, as the first screen of a page."""

from __future__ import annotations

from collections.abc import Sequence

from syncnas_deploy.report.contrast.sheets import Sheet
from syncnas_deploy.report.html.markup import Markup, data_table, joined, tag


def sheets_section(sheets: Sequence[Sheet]) -> Markup:
    """What differs, by how much; one table for each sheet."""
    parts = [tag("h1", "What differs, and by how much")]
    for sheet in sheets:
        table = tag("div", data_table(sheet.head, sheet.rows, caption=sheet.title), class_="sheet")
        parts += [tag("h3", sheet.title), table, *(tag("p", note, class_="note") for note in sheet.notes)]
    return joined(*parts)
