"""Supported image sizes of the convolutional networks, and their channels at each resolution."""

from gancli.errors import UserError
from gancli.networks.network import Interface, refuse_tokens

_LEAST, _MOST = 8, 1024  # Sides in pixels.


def smallest_map(model: str, interface: Interface) -> tuple[int, int]:
    """Height and width of the smallest feature map, after all halvings of the image.

    Args:
        model: the model's name, for the error.
        interface: what the networks must fit.

    Returns:
        Height and width in pixels.

    Raises:
        UserError: if the examples are not images whose height and width can be halved.
    """
    refuse_tokens(interface)
    shape = interface.shape
    if len(shape) != 3:
        raise UserError(
            f"model {model!r} was given points of shape {shape}",
            f"images of shape (height, width, channels) with {model!r}",
            "Use model mlp or maxout-mlp, which take points",
        )
    height, width, _ = shape
    smallest = halved(height, width)
    if smallest == (height, width) or max(height, width) > _MOST:
        nearest = zip(_nearest_sides(height), _nearest_sides(width), strict=True)
        sizes = dict.fromkeys(f"{rows}x{columns}" for rows, columns in nearest)
        raise UserError(
            f"model {model!r} was given images of {height}x{width} pixels (height x width)",
            f"even sides of {_LEAST} to {_MOST:,} pixels; nearest to these: {' and '.join(sizes)}",
            f"Set data.size, for example to {next(reversed(sizes))}, or use model mlp, which takes "
            "any image",
        )
    return smallest


def halved(height: int, width: int) -> tuple[int, int]:
    """Halves both sides while both are even and the smaller one stays at least 4 (for 8x8: 2).

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.

    Returns:
        Height and width of the smallest feature map; the image's own if it cannot be halved.
    """
    least = 2 if height == width == 8 else 4
    while height % 2 == width % 2 == 0 and min(height, width) // 2 >= least:
        height, width = height // 2, width // 2
    return height, width


def channels_by_side(shape: tuple[int, ...], width: int) -> list[int]:
    """Channels of each feature map by its size, from the image's to the smallest.

    Args:
        shape: shape of one image, (height, width, channels).
        width: channels at the image's size; they double at each halving, up to 8 * width.

    Returns:
        One number for each size, one more than the number of halvings.
    """
    sizes = (shape[0] // halved(*shape[:2])[0]).bit_length()
    return [width * 2 ** min(level, 3) for level in range(sizes)]


def _nearest_sides(side: int) -> tuple[int, int]:
    """The nearest sides in range that can be halved, one at most `side` and one at least `side`."""
    lower, upper = (min(max(even, _LEAST), _MOST) for even in (side - side % 2, side + side % 2))
    return lower, upper
