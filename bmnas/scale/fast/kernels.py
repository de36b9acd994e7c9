"""All loops over numpy arrays, as machine code.

They and their constants stand in one file because numba keeps the code of a function until its own file changes: what
was compiled with a loop of another file would stay as it is when that one changes.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import codegen, config

F = TypeVar("F", bound=Callable[..., Any])

ALL = -(2**15)  # the level of dropout that keeps all
BLOCK = 16  # rows whose sums are kept in the numbers' own precision
SLOPE, OFFSET, MEAN, INVERSE = range(4)  # of a line, see `batchnorm`

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def widen() -> None:
    """Lets vectors have 512 bits where the processor knows them.

    LLVM takes half of that on Intel's, to spare their clock; but the products between the loops have 512 bits anyway.
    Nothing is changed where numba was told what to compile for.
    """
    settings, features = cast(Any, config), codegen.get_host_cpu_features()
    if settings.CPU_FEATURES is None and "+avx512f" in features.split(","):
        settings.CPU_FEATURES = f"{features},-prefer-256-bit"


widen()


def kernel(function: F) -> F:
    """Compiles a function when it is first called, and keeps the code in __pycache__ for the next process.

    a * b + c may be rounded once. Sums keep the order in which they are written, and machine code does not change, so
    that a search repeats itself bit by bit on one machine.
    """
    return compiled(function, {"contract"})


def compiled(function: F, freedom: set[str]) -> F:
    """`kernel` with what LLVM calls fast-math flags."""
    try:
        return cast(F, numba.njit(cache=True, fastmath=freedom, **OPTIONS)(function))
    except RuntimeError:  # there is no folder that may be written to
        return cast(F, numba.njit(fastmath=freedom, **OPTIONS)(function))


def _sums(x, start):
    one, two = x.dtype.type(0), x.dtype.type(0)
    for c in range(len(x)):
        distance = x[c] - start
        one += distance
        two += distance * distance
    return one, two


def _products(g, x, mean, inverse, weight, bias):
    one, two, three = x.dtype.type(0), x.dtype.type(0), x.dtype.type(0)
    for c in range(len(x)):
        own = g[c] * weight[c]
        one += own
        two += own * ((x[c] - mean) * inverse)
        three += g[c] * bias[c]
    return one, two, three


sums_of = compiled(_sums, {"contract", "reassoc"})
"""The sums of x - start and of its square, several numbers side by side."""

products_of = compiled(_products, {"contract", "reassoc"})
"""The sums of g * weight, of that times the normalised x, and of g * bias, several numbers side by side."""


@kernel
def memory(rows, size):
    """Memory for `draw`: int16, `rows` rows of at least `size` numbers."""
    return np.empty((rows, -(-size // 4) * 4), np.int16)


@kernel
def draw(stream, row, bits):
    """Fills `memory` with the numbers of some rows of a mask, four of each word; the first is `row`."""
    words, step = bits.view(np.uint64).reshape(-1), np.uint64(0x9E3779B97F4A7C15)
    state = stream[0] + (stream[1] + np.uint64(row * (bits.shape[1] // 4))) * step
    for i in range(words.size):
        state += step
        word = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words[i] = word ^ (word >> np.uint64(31))


@kernel
def fit(found, n, copies, factor, momentum, eps, shift, batches, running_mean, running_variance, weight, bias, line):
    """`line_of`; n is 0 in eval mode."""
    batches[()] += n > 0
    for c in range(line.shape[1]):
        if n:
            mean, spread = found[0, c], found[1, c]
            line[MEAN, c], line[INVERSE, c] = mean, factor / np.sqrt(factor * factor * spread / n + eps)
            variance = factor * factor * copies * spread / (copies * n - 1)
            running_mean[c] += momentum * (factor * mean + shift[c] - running_mean[c])
            running_variance[c] += momentum * (variance - running_variance[c])
        else:
            line[MEAN, c] = (running_mean[c] - shift[c]) / factor
            line[INVERSE, c] = factor / np.sqrt(running_variance[c] + eps)
        line[SLOPE, c] = weight[c] * line[INVERSE, c]
        line[OFFSET, c] = bias[c] - line[MEAN, c] * line[SLOPE, c]


@kernel
def add_moments(x, found):
    """Block by block: Chan, Golub and LeVeque, Algorithms for computing the sample variance (1983).

    Within a block, sums of distances from the mean so far: if that is far from the block's own, so is the block from
    those before it, and its variance counts for little.
    """
    T, C = x.shape
    start, plain, squares = x[0].copy(), np.empty(C, x.dtype), np.empty(C, x.dtype)
    for begin in range(0, T, BLOCK):
        end = min(begin + BLOCK, T)
        plain[:] = 0
        squares[:] = 0
        for t in range(begin, end - 3, 4):  # four rows at once: sums go through memory once
            one, two, three, four = x[t], x[t + 1], x[t + 2], x[t + 3]
            for c in range(C):
                i, j, k, l = one[c] - start[c], two[c] - start[c], three[c] - start[c], four[c] - start[c]
                plain[c] += (i + j) + (k + l)
                squares[c] += (i * i + j * j) + (k * k + l * l)
        for t in range(end - (end - begin) % 4, end):
            row = x[t]
            for c in range(C):
                i = row[c] - start[c]
                plain[c] += i
                squares[c] += i * i
        n = end - begin
        share, weight = n / end, begin * n / end
        for c in range(C):
            distance = plain[c] / n
            apart = start[c] + distance - found[0, c]
            found[0, c] += share * apart
            found[1, c] += squares[c] - distance * plain[c] + weight * apart * apart
            start[c] = found[0, c]


@kernel
def turn(line, sums, n, weight, factor, parameters, back):
    """`back_of`; n is 0 where the line does not depend on x, and else the gradient of the bias is 0."""
    for c in range(line.shape[1]):
        slope, inverse = weight * line[SLOPE, c], line[INVERSE, c]
        parameters[0, c] = 0 if n else slope / factor * sums[0, c]
        parameters[1, c] = weight * inverse * sums[1, c]
        parameters[2, c] = weight * sums[0, c]
        back[0, c] = slope
        back[1, c] = -slope * sums[0, c] / n if n else 0
        back[2, c] = -slope * inverse * inverse * sums[1, c] / n if n else 0


@kernel
def rectify(x, first, at, lines, levels, stream, weights, begin, by, passed, sums):
    """`Blocks.into`, sample by sample, so that its sums stay in the cache while all blocks are added."""
    N, B, L, C = sums.shape
    kept, bits, zero, by = np.empty(C, x.dtype), memory(L, C), x.dtype.type(0), x.dtype.type(by)
    for b in range(B):
        for k in range(len(lines)):
            positions, start, lowest = at[k, 0], at[k, 1] * B, levels[k]
            slope, offset = lines[k, SLOPE], lines[k, OFFSET]
            if lowest > ALL:
                draw(stream, (k * B + b) * L, bits)
            else:
                bits[:] = ALL
            for l in range(L):
                row = x[start + b * positions + l * positions // L, first : first + C]
                through, number = passed[k, b, l], bits[l]
                for c in range(C):
                    value = row[c] * slope[c] + offset[c]
                    through[c] = (not value <= zero) & (number[c] >= lowest)  # what is not a number goes through
                    kept[c] = value if through[c] else zero
                for n in range(N):
                    total, weight = sums[n, b, l], weights[n, k]
                    if k > 0:
                        for c in range(C):
                            total[c] += weight * kept[c]
                    elif by == zero:
                        for c in range(C):
                            total[c] = weight * kept[c]
                    else:
                        before = begin[n, b, l]
                        for c in range(C):
                            total[c] = by * before[c] + weight * kept[c]


@kernel
def add_sums_back(x, first, at, lines, weights, passed, gradients, found):
    """`Blocks.sums_back`."""
    N, B, L, C = gradients.shape
    K = len(lines)
    part, inner, zero = np.zeros((K, 2, C), x.dtype), np.empty(C, x.dtype), x.dtype.type(0)
    for b in range(B):
        for k in range(K):
            positions, start, mean = at[k, 0], at[k, 1] * B, lines[k, MEAN]
            plain, centred = part[k, 0], part[k, 1]
            for l in range(L):
                row = x[start + b * positions + l * positions // L, first : first + C]
                through, gradient, weight = passed[k, b, l], gradients[0, b, l], weights[0, k]
                if N == 1:
                    for c in range(C):
                        g = weight * gradient[c]  # read in any case: the loop is then one over vectors
                        g = g if through[c] else zero
                        plain[c] += g
                        centred[c] += g * (row[c] - mean[c])
                else:
                    combine(weights, k, gradients, b, l, inner)
                    for c in range(C):
                        g = inner[c]
                        g = g if through[c] else zero
                        plain[c] += g
                        centred[c] += g * (row[c] - mean[c])
        if (b + 1) % max(1, BLOCK // L) == 0 or b + 1 == B:
            found += part
            part[:] = 0


@kernel
def combine(weights, k, gradients, b, l, out):
    """sum_n weights_nk * gradients_nbl."""
    gradient, weight = gradients[0, b, l], weights[0, k]
    for c in range(len(out)):
        out[c] = weight * gradient[c]
    for n in range(1, len(weights)):
        gradient, weight = gradients[n, b, l], weights[n, k]
        for c in range(len(out)):
            out[c] += weight * gradient[c]


@kernel
def rectify_back(x, first, at, lines, weights, passed, gradients, backs):
    """`Blocks.back`."""
    _, B, L, C = gradients.shape
    inner, whole, zero = np.empty(C, x.dtype), np.empty(C, x.dtype), x.dtype.type(0)
    for b in range(B):
        for k in range(len(lines)):
            positions, start, mean = at[k, 0], at[k, 1] * B, lines[k, MEAN]
            straight, constant, centred = backs[k, 0], backs[k, 1], backs[k, 2]
            for p in range(positions):
                whole[:] = 0
                for l in range(p * L // positions, (p + 1) * L // positions):
                    through = passed[k, b, l]
                    combine(weights, k, gradients, b, l, inner)
                    for c in range(C):
                        g = inner[c]
                        whole[c] += g if through[c] else zero
                row = x[start + b * positions + p, first : first + C]
                for c in range(C):
                    row[c] = straight[c] * whole[c] + constant[c] + centred[c] * (row[c] - mean[c])


@kernel
def draw_gates(x, begin, line, out):
    """The last half of a line's channels, of the columns from `begin`, to (B, L, C)."""
    B, L, C = out.shape
    slope, offset = line[SLOPE, C:], line[OFFSET, C:]
    for b in range(B):
        for l in range(L):
            row, target = x[b * L + l, begin : begin + C], out[b, l]
            for c in range(C):
                target[c] = row[c] * slope[c] + offset[c]


@kernel
def gate(x, first, line, lowest, stream, weight, gates, total):
    """`add_gated`, after the sigmoids."""
    B, L, C = total.shape
    bits, zero, lowest = memory(L, C), x.dtype.type(0), np.int16(lowest)
    bits[:] = ALL
    slope, offset = line[SLOPE], line[OFFSET]
    for b in range(B):
        if lowest > ALL:
            draw(stream, b * L, bits)
        for l in range(L):
            row, open_, number, target = x[b * L + l, first:], gates[b, l], bits[l], total[b, l]
            for c in range(C):
                value = open_[c]
                value = value if number[c] >= lowest else zero
                open_[c] = value
                target[c] += weight * (row[c] * slope[c] + offset[c]) * value


@kernel
def add_gated_sums_back(x, first, line, gates, gradient, found):
    """`gated_sums_back`."""
    B, L, C = gradient.shape
    part, one = np.zeros((4, C), x.dtype), x.dtype.type(1)
    plain, centred, plain_gate, centred_gate = part[0], part[1], part[2], part[3]
    slope, offset, mean, mean_gate = line[SLOPE], line[OFFSET], line[MEAN], line[MEAN, C:]
    for b in range(B):
        for l in range(L):
            row, other = x[b * L + l, first : first + C], x[b * L + l, first + C : first + 2 * C]
            open_, g = gates[b, l], gradient[b, l]
            for c in range(C):
                inner = g[c] * open_[c]
                plain[c] += inner
                centred[c] += inner * (row[c] - mean[c])
                inner *= (row[c] * slope[c] + offset[c]) * (one - open_[c])
                plain_gate[c] += inner
                centred_gate[c] += inner * (other[c] - mean_gate[c])
        if (b + 1) % max(1, BLOCK // L) == 0 or b + 1 == B:
            found[0, :C] += plain
            found[1, :C] += centred
            found[0, C:] += plain_gate
            found[1, C:] += centred_gate
            part[:] = 0


@kernel
def gate_back(x, first, line, gates, gradient, back):
    """`gated_back`."""
    B, L, C = gradient.shape
    one = x.dtype.type(1)
    slope, offset, mean, mean_gate = line[SLOPE], line[OFFSET], line[MEAN], line[MEAN, C:]
    straight, constant, centred = back[0], back[1], back[2]
    straight_gate, constant_gate, centred_gate = back[0, C:], back[1, C:], back[2, C:]
    for b in range(B):
        for l in range(L):
            t = b * L + l
            row, other = x[t, first : first + C], x[t, first + C : first + 2 * C]
            open_, g = gates[b, l], gradient[b, l]
            for c in range(C):
                inner = g[c] * open_[c]
                value, gated = row[c], other[c]
                row[c] = straight[c] * inner + constant[c] + centred[c] * (value - mean[c])
                inner *= (value * slope[c] + offset[c]) * (one - open_[c])
                other[c] = straight_gate[c] * inner + constant_gate[c] + centred_gate[c] * (gated - mean_gate[c])


@kernel
def layer_normalise(weight, bias, eps, lowest, stream, add, factor, relu, x, passed, found, total):
    """`Normalised`, sample by sample.

    Sums of distances from the mean of the first row give mean and variance in one pass: that mean is not further from
    the sample's than the square root of the number of rows times the deviation, so little is lost in the difference.
    """
    N, B, L, C = x.shape
    size, factor, zero, bits, lowest = N * L * C, x.dtype.type(factor), x.dtype.type(0), memory(L, C), np.int16(lowest)
    for b in range(B):
        for n in range(N):
            if lowest > ALL:
                draw(stream, (n * B + b) * L, bits)
                for l in range(L):
                    for c in range(C):
                        kept, value = bits[l, c] >= lowest, x[n, b, l, c]
                        passed[n, b, l, c] = kept
                        x[n, b, l, c] = value if kept else zero
        start = x.dtype.type(sums_of(x[0, b, 0], zero)[0] / C)
        plain, squares = 0.0, 0.0
        for n in range(N):
            for l in range(L):
                one, two = sums_of(x[n, b, l], start)
                plain += one
                squares += two
        distance = plain / size
        mean = x.dtype.type(start + distance)
        inverse = x.dtype.type(1 / np.sqrt(max(squares / size - distance * distance, 0) + eps))
        found[b, 0], found[b, 1] = mean, inverse
        for n in range(N):
            for l in range(L):
                row, scale, shift, out = x[n, b, l], weight[n, l], bias[n, l], total[n, b, l]
                if add:
                    for c in range(C):
                        out[c] += factor * ((row[c] - mean) * inverse * scale[c] + shift[c])
                else:
                    for c in range(C):
                        value = (row[c] - mean) * inverse * scale[c] + shift[c]
                        out[c] = zero if relu and value <= zero else value


@kernel
def layer_normalise_back(weight, bias, factor, relu, gradients, passed, found, x, parameters):
    """`Normalised.backward`; the parameters' gradients (2, N C, L) are written, unless there is no room for them."""
    N, B, L, C = x.shape
    sums = np.zeros((2, N, L, C) if parameters.size else (2, 0, 0, 0), x.dtype)
    size, factor, zero, scalar = N * L * C, x.dtype.type(factor), x.dtype.type(0), 0.0
    open_ = np.empty((N, L, C), x.dtype)
    for b in range(B):
        mean, inverse = found[b, 0], found[b, 1]
        plain, centred = 0.0, 0.0
        for n in range(N):
            if relu:
                for l in range(L):
                    for c in range(C):
                        value = (x[n, b, l, c] - mean) * inverse * weight[n, l, c] + bias[n, l, c]
                        g = gradients[n, b, l, c]
                        open_[n, l, c] = zero if value <= zero else g
            inner = open_[n] if relu else gradients[n, b]
            for l in range(L):
                if sums.size:
                    for c in range(C):
                        sums[0, n, l, c] += inner[l, c] * ((x[n, b, l, c] - mean) * inverse)
                        sums[1, n, l, c] += inner[l, c]
                one, two, three = products_of(inner[l], x[n, b, l], mean, inverse, weight[n, l], bias[n, l])
                plain += one
                centred += two
                scalar += two + three
        constant, straight = x.dtype.type(plain / size), x.dtype.type(centred / size)
        for n in range(N):
            inner = open_[n] if relu else gradients[n, b]
            for l in range(L):
                for c in range(C):
                    normal = (x[n, b, l, c] - mean) * inverse
                    x[n, b, l, c] = factor * inverse * (inner[l, c] * weight[n, l, c] - constant - straight * normal)
                if passed.size:
                    for c in range(C):
                        g = x[n, b, l, c]
                        x[n, b, l, c] = g if passed[n, b, l, c] else zero
    for i in range(parameters.shape[1]):
        for l in range(L):
            for part in range(2):
                parameters[part, i, l] = factor * sums[part, i // C, l, i % C]
    return scalar
