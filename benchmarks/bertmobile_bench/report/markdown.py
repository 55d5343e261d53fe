"""The tables as Markdown for a README."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bertmobile_bench.report import tables
from bertmobile_bench.report.merge import Merged
from bertmobile_bench.report.tables import Table


def render(merged: Merged) -> str:
    """Compact tables; the page has more columns, every reading and the plots."""
    parts = [
        _escaped(tables.about(merged)),
        *_table(tables.device_table(merged).only("device", "emulated", "system", "cpu", "cores", "memory")),
        *_table(
            tables.bundle_table(merged).only(
                "bundle", "recipe", "model file", "compressed", "parity", "cosine"
            )
        ),
    ]
    for device in merged.devices:
        cases = [case for case in merged.cases if case.device is device]
        if not cases:
            continue
        table = tables.result_table(device, cases).only(
            "bundle", "engine", "threads", "tokens", "p90", "p50", "a second", "peak memory", "trusted"
        )
        # The reasons are long, and mostly the same: once below the table is enough.
        rows = tuple((*row[:-1], row[-1].partition(":")[0]) for row in table.rows)
        parts += _table(replace(table, rows=rows))
        doubts = [doubt for case in cases for doubt in case.result["doubts"]]
        if doubts:
            # One of a kind: most differ in their numbers only.
            kinds = {re.sub(r"[-+\d.]+", "", doubt): doubt for doubt in reversed(doubts)}
            parts.append(_escaped(f"Not trusted, for example: {'; '.join(reversed(kinds.values()))}."))
    parts += _table(tables.comparison_table(merged.comparisons))
    if merged.replaced:
        parts.append(_escaped(f"Measured again, shown as measured last: {'; '.join(merged.replaced)}."))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> Iterator[str]:
    """The caption and the table; nothing for one without rows."""
    if not table.rows:
        return
    yield _escaped(table.caption)
    yield "\n".join(
        [
            _line(table.header),
            _line("---" if name in table.words else "--:" for name in table.header),
            *(_line(map(_escaped, row)) for row in table.rows),
        ]
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that no Markdown reads anything into; as entities, which mean the same inside and outside tables.

    An underscore within a word stays: it emphasises nothing there, and names are full of them.
    """
    return re.sub(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])", lambda found: f"&#{ord(found[0])};", text)
