"""By how much Winograd's algorithm lets roundings grow."""

import torch


def growth(points, outputs, taps):
    """How far it is from the exact result beside a direct sum, in the mean over a tensor and in two dimensions.

    In one dimension it is A ((G g) * (B d)) (Lavin and Gray, CVPR 2016), where G and B evaluate at `points` and at
    infinity, and A interpolates. A direct sum over channels has for each of its taps a term of variance 1; of independent
    g and d the j-th product has the variance |G_j|^2 |B_j|^2, and comes into output i times A_ij. Roundings are in proportion to
    what is rounded, and independent, so both errors are as those deviations. Two dimensions are one in the other.
    """
    size = len(points) + 1
    a, g, b = torch.zeros(outputs, size), torch.zeros(size, taps), torch.zeros(size, size)
    for j, point in enumerate(points):
        others = [other for other in points if other != point]
        a[:, j] = torch.tensor([point ** i for i in range(outputs)])
        g[j] = torch.tensor([point ** i for i in range(taps)]) / torch.tensor([point - other for other in others]).prod()
        b[j, :-1] = polynomial(others)
    a[-1, -1] = g[-1, -1] = 1
    b[-1] = polynomial(points)
    variance = a ** 2 @ ((g ** 2).sum(1) * (b ** 2).sum(1))
    return float(variance.mean() / taps)  # of one dimension's deviation the square


def polynomial(roots):
    """The coefficients of the product of (x - root), that of 1 first."""
    coefficients = torch.ones(1)
    for root in roots:
        coefficients = torch.cat([torch.zeros(1), coefficients]) - root * torch.cat([coefficients, torch.zeros(1)])
    return coefficients
