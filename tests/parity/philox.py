"""Rubato's random numbers, written a second time from base/rng.h: initial weights and the order of samples.

Philox4x32-10 is a pure function of (key, counter), so numpy computes whole streams at once.
"""

import numpy

WORD, LONG = numpy.uint32, 1 << 64


def stream_key(seed, purpose, index=0):
    """FNV-1a over the name, mixed with seed and index by splitmix64's finalizer."""
    key = 0xCBF29CE484222325
    for character in purpose.encode():
        key = (key ^ character) * 0x100000001B3 % LONG
    key ^= seed * 0x9E3779B97F4A7C15 % LONG
    key = (key + index * 0xD1B54A32D192ED03) % LONG
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % LONG
    key = (key ^ key >> 27) * 0x94D049BB133111EB % LONG
    return key ^ key >> 31


def words(key, count):
    """The first `count` 32-bit words of a stream."""
    counter = numpy.arange((count + 3) // 4, dtype=numpy.uint64)
    return blocks(key, counter, numpy.zeros_like(counter)).reshape(-1)[:count]


def blocks(key, low, high):
    """Four words for each counter, whose halves of 64 bits are given."""
    block = [low & 0xFFFFFFFF, low >> 32, high & 0xFFFFFFFF, high >> 32]
    key0, key1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        first, second = block[0] * 0xD2511F53, block[2] * 0xCD9E8D57
        block = [second >> 32 ^ block[1] ^ key0, second & 0xFFFFFFFF, first >> 32 ^ block[3] ^ key1, first & 0xFFFFFFFF]
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return numpy.stack(block, axis=-1).astype(WORD)


def permutation(seed, epoch, size, purpose="permutation"):
    """The order of an epoch's samples (data/permutation.h): Fisher and Yates, bounded numbers by Lemire."""
    spare = size // 100 + 64  # numbers are rejected, but seldom: fewer than one in 2**32 / size
    stream = iter(words(stream_key(seed, purpose, epoch), size + spare).tolist())
    order = list(range(size))
    for last in range(size, 1, -1):
        product = next(stream) * last
        while product & 0xFFFFFFFF < (-last & 0xFFFFFFFF) % last:
            product = next(stream) * last
        other = product >> 32
        order[last - 1], order[other] = order[other], order[last - 1]
    return numpy.array(order)


def normal_weights(seed, name, shape, deviation):
    """A parameter that starts normal (kernels/initialize.h): Box and Muller, two elements of four words."""
    count = int(numpy.prod(shape))
    four = words(stream_key(seed, "initialize:" + name), 4 * ((count + 1) // 2)).reshape(-1, 4).astype(numpy.uint64)
    unit = ((four[:, 0] << 32 | four[:, 1]) >> 11).astype(numpy.float64) + 1
    angle = 2 * numpy.pi * ((four[:, 2] << 32 | four[:, 3]) >> 11).astype(numpy.float64) * 2.0**-53
    radius = numpy.sqrt(-2 * numpy.log(unit * 2.0**-53))
    normal = numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], axis=1).reshape(-1)[:count]
    return (numpy.float32(deviation) * normal.astype(numpy.float32)).reshape(shape)


def uniform_weights(seed, name, shape, fan_in):
    """A parameter that starts uniform in +-1 / sqrt(fan_in) (kernels/initialize.h)."""
    numbers = words(stream_key(seed, "initialize:" + name), int(numpy.prod(shape)))
    unit = (numbers >> 8).astype(numpy.float32) * numpy.float32(2.0**-24)
    return (numpy.float32(1 / numpy.sqrt(fan_in)) * (2 * unit - 1)).reshape(shape)
