"""The networks of the benchmark's peers in plain PyTorch.

Layers are registered in the order in which `load` finds their weights. Images are NCHW tensors in
the memory format channels_last, so that flattening them with channels last copies nothing.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def load(network: nn.Module, weights: dict) -> int:
    """Copies weights into a network.

    Args:
        network: the network.
        weights: nested dicts of arrays. Their order, numbers first by value, is the network's.

    Returns:
        The number of values.

    Raises:
        ValueError: if the network has other parameters.
    """
    places = [
        (module, name)
        for module in network.modules()
        for name in sorted(dict(module.named_parameters(recurse=False)))
    ]
    arrays = list(_arrays(weights))
    with torch.no_grad():
        for (module, name), array in zip(places, arrays, strict=True):
            parameter = getattr(module, name)
            value = torch.from_numpy(np.ascontiguousarray(_converted(module, array)))
            if value.shape != parameter.shape:
                raise ValueError(f"{module}: {name} was given the shape {tuple(value.shape)}")
            parameter.copy_(value)
    return sum(array.size for array in arrays)


def _arrays(weights: dict) -> Iterator[np.ndarray]:
    """The arrays of nested dicts: at each level first its own, then those of its parts."""
    keys = sorted(weights, key=lambda key: (int(key), "") if key.isdigit() else (0, key))
    yield from (weights[key] for key in keys if not isinstance(weights[key], dict))
    for key in keys:
        if isinstance(weights[key], dict):
            yield from _arrays(weights[key])


def _converted(module: nn.Module, array: np.ndarray) -> np.ndarray:
    """Exchanges the axes of a weight; kernels of transposed convolutions are also mirrored."""
    if array.ndim == 2 and isinstance(module, nn.Linear):
        return array.T
    if array.ndim == 4 and isinstance(module, nn.ConvTranspose2d):
        return array[::-1, ::-1].transpose(2, 3, 0, 1)
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array


class Flat(nn.Module):
    """(batch, channels, height, width) to (batch, values), channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Unflat(nn.Module):
    """(batch, values) to (batch, channels, side, side), the inverse of `Flat`."""

    def __init__(self, side: int, channels: int):
        super().__init__()
        self.side, self.channels = side, channels

    def forward(self, x: Tensor) -> Tensor:
        return x.view(-1, self.side, self.side, self.channels).permute(0, 3, 1, 2)


class Alone(nn.Module):
    """(batch, 1, ...) to (batch, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1)


def dcgan_generator(
    latent: int, smallest: int, channels: list[int], colours: int
) -> nn.Sequential:
    """DCGAN's generator.

    Args:
        latent: values of a latent.
        smallest: side of the smallest feature map.
        channels: channels of each feature map, from the one next to the image.
        colours: channels of the image.
    """
    deepest = channels[-1]
    layers = [
        nn.Linear(latent, smallest**2 * deepest, bias=False),
        Unflat(smallest, deepest),
        nn.BatchNorm2d(deepest),
        nn.ReLU(inplace=True),
    ]
    for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
        layers += [
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    last = nn.ConvTranspose2d(channels[0], colours, 4, stride=2, padding=1)
    return nn.Sequential(*layers, last, nn.Tanh())


def dcgan_discriminator(smallest: int, channels: list[int], colours: int) -> nn.Sequential:
    """DCGAN's discriminator without batch normalization; arguments as of its generator."""
    layers = []
    for inputs, outputs in zip([colours, *channels], channels, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, Flat(), nn.Linear(smallest**2 * channels[-1], 1), Alone())


def point_generator(latent: int, width: int) -> nn.Sequential:
    """PacGAN's generator of points in the plane."""
    layers = []
    for inputs in (latent, width, width, width):
        layers += [
            nn.Linear(inputs, width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Linear(width, 2))


class Maxout(nn.Module):
    """The maximum of several linear functions."""

    def __init__(self, inputs: int, width: int, pieces: int):
        super().__init__()
        self.linear, self.shape = nn.Linear(inputs, width * pieces), (width, pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, self.shape).amax(2)


def maxout_discriminator(width: int, pieces: int) -> nn.Sequential:
    """PacGAN's discriminator of points in the plane."""
    hidden = [Maxout(inputs, width, pieces) for inputs in (2, width, width)]
    return nn.Sequential(*hidden, nn.Linear(width, 1), Alone())


class ResNetBlock(nn.Module):
    """Norm, ReLU, 3x3, norm, ReLU, 3x3, added to a 1x1; it may double or halve the image.

    The first block of a discriminator has neither norm nor ReLU before its first convolution.
    """

    def __init__(self, inputs: int, outputs: int, change: str, norm: bool, first: bool = False):
        super().__init__()

        def normalized(channels: int) -> list[nn.Module]:
            return [*([nn.BatchNorm2d(channels)] if norm else []), nn.ReLU()]

        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)

        double = [nn.Upsample(scale_factor=2)] if change == "double" else []
        halve = [nn.AvgPool2d(2)] if change == "halve" else []
        self.residual = nn.Sequential(
            *([] if first else normalized(inputs)),
            *double,
            convolution(inputs, outputs),
            *normalized(outputs),
            convolution(outputs, outputs),
            *halve,
        )
        # The 1x1 convolution comes where there are fewer pixels.
        projection = [nn.Conv2d(inputs, outputs, 1, bias=False)] if inputs != outputs else []
        self.skip = nn.Sequential(*halve, *projection, *double)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x) + self.skip(x)


def resnet_generator(latent: int, width: int, colours: int) -> nn.Sequential:
    """WGAN-GP's residual generator of 32x32 images, whose channels double at each halving."""
    widest = 4 * width
    return nn.Sequential(
        nn.Linear(latent, 4 * 4 * widest),
        Unflat(4, widest),
        ResNetBlock(widest, 2 * width, "double", norm=True),
        ResNetBlock(2 * width, width, "double", norm=True),
        ResNetBlock(width, width, "double", norm=True),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, colours, 3, padding=1),
        nn.Tanh(),
    )


class MeanOfPixels(nn.Module):
    """(batch, channels, height, width) to (batch, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def resnet_discriminator(width: int, colours: int) -> nn.Sequential:
    """WGAN-GP's residual critic of 32x32 images."""
    return nn.Sequential(
        ResNetBlock(colours, width, "halve", norm=False, first=True),
        ResNetBlock(width, 2 * width, "halve", norm=False),
        ResNetBlock(2 * width, 4 * width, "halve", norm=False),
        ResNetBlock(4 * width, 4 * width, "keep", norm=False),
        nn.ReLU(),
        MeanOfPixels(),
        nn.Linear(4 * width, 1),
        Alone(),
    )
