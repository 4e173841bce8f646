"""Histograms of ages: how many pushes of slices had which age."""


def merged(histograms: list[dict[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for histogram in histograms:
        for age, count in histogram.items():
            total[age] = total.get(age, 0) + count
    return dict(sorted(total.items()))


def mean(histogram: dict[int, int]) -> float | None:
    number = sum(histogram.values())
    return sum(age * count for age, count in histogram.items()) / number if number else None


def quantile(histogram: dict[int, int], share: float) -> int | None:
    """The least age that at least this share of all pushes does not exceed."""
    number, seen = sum(histogram.values()), 0
    for age, count in sorted(histogram.items()):
        seen += count
        if seen >= share * number:
            return age
    return None


def bins(age_max: int) -> list[tuple[int, int]]:
    """(first age, last age) of bins up to age_max: each age by itself at first, then wider by a quarter each. So bounded
    modes, whose ages are few, and unbounded ones, which have a long tail, can be read side by side."""
    found, low = [], 0
    while low <= age_max:
        high = low + max(1, low // 4) - 1
        found.append((low, high))
        low = high + 1
    return found


def binned(histogram: dict[int, int], into: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(first age, last age, count), empty ones too."""
    return [(low, high, sum(count for age, count in histogram.items() if low <= age <= high)) for low, high in into]
