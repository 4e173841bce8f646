"""Aligned tables of plain text."""


def table(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Columns that hold numbers are flush right, the others flush left."""
    columns = list(zip(headings, *rows))
    widths = [max(len(cell) for cell in column) for column in columns]
    right = [all(_is_number(cell) for cell in column[1:]) for column in columns]

    def line(cells):
        padded = [
            cell.rjust(width) if flush_right else cell.ljust(width)
            for cell, width, flush_right in zip(cells, widths, right)
        ]
        return "  ".join(padded).rstrip()

    return [line(headings)] + [line(row) for row in rows]


def _is_number(cell: str) -> bool:
    return cell in ("", "-") or cell[0].isdigit() or cell[0] == "-"
