"""Nodes of the binary tree over the leaves [0, M) of a batch: (level, index) covers
[index * 2^level, (index + 1) * 2^level), as far as there are leaves."""


def span(level, index, leaves):
    """The leaves [first, end) of a node; None if it has none."""
    first = index << level
    return (first, min(first + (1 << level), leaves)) if first < leaves else None


def partition_fault(nodes, leaves):
    """What keeps (level, index) nodes from covering each leaf exactly once; None if they do."""
    spans = [span(level, index, leaves) for level, index in nodes]
    if None in spans:
        return f"node {nodes[spans.index(None)]} has none of the {leaves} leaves"
    covered = 0
    for first, end in sorted(spans):
        if first < covered:
            return f"leaf {first} is contributed twice"
        if first > covered:
            return f"leaf {covered} is missing"
        covered = end
    return None if covered == leaves else f"leaf {covered} is missing"
