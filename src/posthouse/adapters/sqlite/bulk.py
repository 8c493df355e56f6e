"""Many rows in one statement.

One statement is one call into SQLite and so one hand-over of the interpreter lock, whatever the number of rows: a
statement per row let the writer thread wait behind a busy event loop hundreds of times per commit
(docs/decisions/spool.md). `padded` fills a statement of fixed size; the filler is filtered out in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Value = None | int | float | str | bytes
Row = tuple[Value, ...]

_SIZES = (1, 4, 16, 64)


def _placeholders(columns: int, size: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * size)


def per_size(template: str, columns: int) -> dict[int, str]:
    """The statement for each number of rows; `{rows}` stands where the VALUES go."""
    return {size: template.replace("{rows}", _placeholders(columns, size)) for size in _SIZES}


def insertion(table: str, columns: int) -> dict[int, str]:
    return per_size(f"INSERT INTO {table} SELECT * FROM (VALUES {{rows}}) WHERE column1 IS NOT NULL", columns)


def padded(statements: dict[int, str], columns: int, values: list[Value]) -> Iterator[tuple[str, Sequence[Value]]]:
    """Statements and bindings for any number of rows, given as one flat list of values."""
    rows, largest = len(values) // columns, _SIZES[-1]
    for start in range(0, rows, largest):
        count = min(largest, rows - start)
        size = next(size for size in _SIZES if size >= count)
        piece = values[start * columns : (start + count) * columns] if count != rows else values
        yield statements[size], piece if size == count else [*piece, *(None,) * ((size - count) * columns)]
