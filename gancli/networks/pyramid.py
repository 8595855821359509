"""Which images the convolutional networks take, and their channels at each resolution."""

from gancli.errors import UserError
from gancli.networks.network import Interface, refuse_tokens

SMALLEST_SIDES = {8: 2, 16: 4, 28: 7, 32: 4, 64: 4, 128: 4, 256: 4}


def smallest_side(model: str, interface: Interface) -> int:
    """The side of the smallest feature map, in pixels: 4, 7 for images of 28, 2 for images of 8.

    Args:
        model: the model's name, for the error.
        interface: what the networks must fit.

    Returns:
        The side that halving the image reaches.

    Raises:
        UserError: if the examples are not square images of a known size.
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
    if height != width or height not in SMALLEST_SIDES:
        sizes = ", ".join(str(size) for size in SMALLEST_SIDES)
        raise UserError(
            f"model {model!r} was given images of {height}x{width} pixels",
            f"square images with a side of {sizes}",
            "Set data.size to one of these, or use model mlp, which takes any image",
        )
    return SMALLEST_SIDES[height]


def channels_by_level(shape: tuple[int, ...], width: int) -> list[int]:
    """Channels after each halving of the image, from the largest feature map to the smallest.

    Args:
        shape: of one image, (height, width, channels).
        width: channels of the largest feature map; they double at each level, up to 8 * width.

    Returns:
        One number for each halving.
    """
    return channels_by_side(shape, width)[:-1]


def channels_by_side(shape: tuple[int, ...], width: int) -> list[int]:
    """Channels at each side that the feature maps have, from the image's to the smallest.

    Args:
        shape: of one image, (height, width, channels).
        width: channels at the image's side; they double at each halving, up to 8 * width.

    Returns:
        One number for each side, one more than there are halvings.
    """
    sides = (shape[0] // SMALLEST_SIDES[shape[0]]).bit_length()
    return [width * 2 ** min(level, 3) for level in range(sides)]
