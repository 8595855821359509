"""The bilinear maps behind convolutions on CPU, each computed in the way that is fastest there.

With a 4x4 kernel k and stride 2, the convolution of images x (2h, 2w) to images y (h, w), its
transpose and the gradient of its kernel are three bilinear maps. Each is the derivative of the
other two, to any order:

    <y, down(x, k)> = <up(y, k), x> = <kernel_of(x, y), k>

With stride 1 the transpose is a convolution, too, with the kernel turned round, and `slide` and
`slide_kernel_of` are the two maps. Which way is fastest was measured on two cores with AVX-512
(experiments/results.md).
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Bilinear = Callable[..., jax.Array]

# The maps in different ways. Under `jax.vmap`, as where several runs are played together,
# they become those of products, because XLA has no fast convolutions with a kernel for each.


def down_natively(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """XLA's own."""
    return native_convolution(x, kernel, 2, 1)


def down_by_products(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product for each 2x2 block of the kernel, after a space-to-depth."""
    x = _space_to_depth(x)
    height, width = x.shape[1] - 1, x.shape[2] - 1
    blocks = _blocks(kernel)
    return _sum(
        _product(x[:, row : row + height, column : column + width], blocks[row, column])
        for row, column in _CORNERS
    )


def _down(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return down_by_products(x, kernel) if _by_products_only(x) else down_natively(x, kernel)


def _by_products_only(x: jax.Array) -> bool:
    # A CPU may have products of bfloat16, but XLA has no such convolutions there.
    return x.dtype == jnp.bfloat16 and x.shape[-1] >= 16


def up_by_products(y: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product computes all taps, of which each output pixel adds four."""
    batch, height, width, outputs = y.shape
    inputs = kernel.shape[2]
    taps = _product(y, kernel.transpose(3, 0, 1, 2).reshape(outputs, -1))
    taps = taps.reshape(batch, height, width, 4, 4, inputs)

    def phase(row: int, column: int) -> jax.Array:
        # An output pixel in this phase sees the input pixel a + row - 1 away by tap 3 - 2 a - row.
        return _sum(
            jnp.pad(taps[:, :, :, 3 - 2 * down - row, 3 - 2 * right - column], _ONE_PIXEL)[
                :, down + row : down + row + height, right + column : right + column + width
            ]
            for down, right in _CORNERS
        )

    rows = [jnp.stack([phase(row, 0), phase(row, 1)], axis=3) for row in (0, 1)]
    return jnp.stack(rows, axis=2).reshape(batch, 2 * height, 2 * width, inputs)


def kernel_by_products(x: jax.Array, y: jax.Array) -> jax.Array:
    """One product for each 2x2 block of the kernel, after a space-to-depth."""
    x, inputs, outputs = _space_to_depth(x), x.shape[-1], y.shape[-1]
    height, width = y.shape[1:3]
    y = y.reshape(-1, outputs)
    blocks = [
        _matmul(x[:, row : row + height, column : column + width].reshape(-1, 4 * inputs).T, y)
        for row, column in _CORNERS
    ]
    return _from_blocks(jnp.stack(blocks).reshape(2, 2, 4 * inputs, outputs))


def kernel_at_once(x: jax.Array, y: jax.Array) -> jax.Array:
    """A single product, of y in four places and the images after a space-to-depth."""
    x, inputs, outputs = _space_to_depth(x), x.shape[-1], y.shape[-1]
    # Channels first, because XLA is slower where it has to transpose the left side of a product.
    y = lax.optimization_barrier(y.transpose(3, 0, 1, 2))
    placed = [
        jnp.pad(y, ((0, 0), (0, 0), (row, 1 - row), (column, 1 - column)))
        for row, column in _CORNERS
    ]
    y = lax.optimization_barrier(jnp.concatenate(placed).reshape(4 * outputs, -1))
    blocks = _matmul(y, x.reshape(-1, 4 * inputs)).reshape(2, 2, outputs, 4 * inputs)
    return _from_blocks(blocks.swapaxes(2, 3))


def by_taps(x: jax.Array, kernel: jax.Array, padding: int, stride: int = 1) -> jax.Array:
    """One product of all taps of the kernel, on the side with fewer channels."""
    size, _, inputs, outputs = kernel.shape
    if inputs <= outputs:
        patches = jnp.concatenate(list(_shifted(x, size, padding, stride)), axis=-1)
        return _product(patches, kernel.reshape(-1, outputs))
    taps = _product(x, kernel.transpose(2, 0, 1, 3).reshape(inputs, -1))
    shifted = enumerate(_shifted(taps, size, padding, stride))
    return _sum(values[..., tap * outputs : (tap + 1) * outputs] for tap, values in shifted)


def slide_natively(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """XLA's own."""
    return native_convolution(x, kernel, 1, padding)


def _slide(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    if _by_products_only(x):
        return by_taps(x, kernel, padding)
    return slide_natively(x, kernel, padding)


def kernel_by_rows(x: jax.Array, y: jax.Array, padding: int) -> jax.Array:
    """One product for each row of the kernel, of y in the place of each column."""
    size, inputs, outputs = x.shape[1] + 2 * padding - y.shape[1] + 1, x.shape[-1], y.shape[-1]
    if inputs < outputs:  # The images that are placed are those with fewer channels.
        return turned(kernel_by_rows(y, x, size - 1 - padding))
    x = jnp.pad(x, ((0, 0), *[(padding, padding)] * 2, (0, 0)))
    rows = y.shape[1]
    y = lax.optimization_barrier(y.transpose(3, 0, 1, 2))
    placed = [
        jnp.pad(y, ((0, 0), (0, 0), (0, 0), (column, size - 1 - column))) for column in range(size)
    ]
    y = lax.optimization_barrier(jnp.concatenate(placed).reshape(size * outputs, -1))
    kernel = [_matmul(y, x[:, row : row + rows].reshape(-1, inputs)) for row in range(size)]
    return jnp.stack(kernel).reshape(size, size, outputs, inputs).swapaxes(2, 3)


def _kernel_of(x: jax.Array, y: jax.Array) -> jax.Array:
    # The single product also multiplies a row and a column of zeros, too many for small images.
    is_large = min(y.shape[1:3]) >= 8 and x.shape[-1] >= 16
    return kernel_at_once(x, y) if is_large else kernel_by_products(x, y)


def _bilinear(
    name: str, compute: Bilinear, mapped: Bilinear, static: str | None = None
) -> tuple[Bilinear, Primitive]:
    """A bilinear map whose derivatives are maps of their own, and its primitive for JAX.

    Sums of products are in float32, also of bfloat16 operands; the result has the operands' type.
    """

    def rounded(compute: Bilinear) -> Bilinear:
        return lambda x, y, **options: compute(x, y, **options).astype(x.dtype)

    compute, mapped = rounded(compute), rounded(mapped)
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(compute, static_argnames=static))

    @primitive.def_abstract_eval
    def shape_of(*given: Any, **options: int) -> ShapedArray:
        shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in given]
        found = jax.eval_shape(functools.partial(compute, **options), *shapes)
        return ShapedArray(found.shape, found.dtype)

    def of_each(given: Any, axes: Any, **options: int) -> tuple[jax.Array, int]:
        return jax.vmap(functools.partial(mapped, **options), axes)(*given), 0

    mlir.register_lowering(primitive, mlir.lower_fun(compute, multiple_results=False))
    batching.primitive_batchers[primitive] = of_each
    return primitive.bind, primitive


down, _DOWN = _bilinear("down", _down, down_by_products)
up, _UP = _bilinear("up", up_by_products, up_by_products)
kernel_of, _KERNEL_OF = _bilinear("kernel_of", _kernel_of, kernel_by_products)

ad.defbilinear(_DOWN, lambda y, _, kernel: up(y, kernel), lambda y, x, _: kernel_of(x, y))
ad.defbilinear(_UP, lambda x, _, kernel: down(x, kernel), lambda x, y, _: kernel_of(x, y))
ad.defbilinear(_KERNEL_OF, lambda k, _, y: up(y, k), lambda k, x, _: down(x, k))

# The same of stride 1, with a padding.
slide, _SLIDE = _bilinear("slide", _slide, by_taps, "padding")
slide_kernel_of, _SLIDE_KERNEL_OF = _bilinear(
    "slide_kernel_of", kernel_by_rows, kernel_by_rows, "padding"
)


def _slid_back(y: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    return slide(y, turned(kernel), padding=len(kernel) - 1 - padding)


ad.defbilinear(
    _SLIDE,
    lambda y, _, kernel, padding: _slid_back(y, kernel, padding),
    lambda y, x, _, padding: slide_kernel_of(x, y, padding=padding),
)
ad.defbilinear(
    _SLIDE_KERNEL_OF,
    lambda k, _, y, padding: _slid_back(y, k, padding),
    lambda k, x, _, padding: slide(x, k, padding=padding),
)

BILINEAR = (_DOWN, _UP, _KERNEL_OF, _SLIDE, _SLIDE_KERNEL_OF)

_ONE_PIXEL = ((0, 0), (1, 1), (1, 1), (0, 0))
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def _space_to_depth(x: jax.Array) -> jax.Array:
    """(batch, 2 height, 2 width, n) with zeros around to (batch, height + 1, width + 1, 4 n)."""
    batch, height, width, inputs = x.shape
    height, width = height // 2 + 1, width // 2 + 1
    x = jnp.pad(x, _ONE_PIXEL).reshape(batch, height, 2, width, 2, inputs)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height, width, 4 * inputs)


def _blocks(kernel: jax.Array) -> jax.Array:
    """A kernel (4, 4, inputs, outputs) as (2, 2, 4 inputs, outputs)."""
    inputs, outputs = kernel.shape[2:]
    blocks = kernel.reshape(2, 2, 2, 2, inputs, outputs).transpose(0, 2, 1, 3, 4, 5)
    return blocks.reshape(2, 2, 4 * inputs, outputs)


def _from_blocks(blocks: jax.Array) -> jax.Array:
    """The reverse."""
    outputs = blocks.shape[-1]
    kernel = blocks.reshape(2, 2, 2, 2, -1, outputs).transpose(0, 2, 1, 3, 4, 5)
    return kernel.reshape(4, 4, -1, outputs)


def turned(kernel: jax.Array) -> jax.Array:
    """The kernel of the opposite direction."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _product(x: jax.Array, matrix: jax.Array) -> jax.Array:
    """Multiplies by a matrix as a product of two matrices: with more axes XLA is slower on CPU."""
    return _matmul(x.reshape(-1, x.shape[-1]), matrix).reshape(*x.shape[:-1], -1)


# Products of bfloat16, too, are summed in float32.
_matmul = functools.partial(jnp.matmul, preferred_element_type=jnp.float32)


def _sum(images: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, images)


def native_convolution(x: jax.Array, kernel: jax.Array, stride: int, padding: int) -> jax.Array:
    """XLA's own convolution of images (batch, height, width, inputs)."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _shifted(x: jax.Array, size: int, padding: int, stride: int) -> Iterator[jax.Array]:
    """Shifts the images for each tap of a kernel, in the order of its rows and columns."""
    height, width = (side + 2 * padding - size + 1 for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), *[(padding, padding)] * 2, (0, 0)))
    for row in range(size):
        for column in range(size):
            yield x[:, row : row + height : stride, column : column + width : stride]
