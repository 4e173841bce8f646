"""Intervals that overlap, in as few rows as they need."""


def into_rows(intervals: list[tuple[int, int]]) -> list[int]:
    """The row of each interval (begin, end): the first in which nothing is under way any more."""
    ends: list[int] = []
    rows = [0] * len(intervals)
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i]):
        begin, end = intervals[index]
        row = next((row for row, free_from in enumerate(ends) if free_from <= begin), len(ends))
        if row == len(ends):
            ends.append(end)
        ends[row] = end
        rows[index] = row
    return rows
