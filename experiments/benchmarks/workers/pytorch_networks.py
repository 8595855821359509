"""The networks of the benchmark's peers in plain PyTorch.

Layers are registered in the order in which `load` finds their weights. Images are NCHW tensors in
the memory format channels_last, so that flattening them with channels last copies nothing.
"""

from collections.abc import Iterator
from itertools import pairwise

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
        The number of its parameters.

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
            value = torch.from_numpy(np.array(_converted(module, array)))
            if value.shape != parameter.shape:
                raise ValueError(f"{module}: {name} was given the shape {tuple(value.shape)}")
            parameter.copy_(value)
    return sum(parameter.numel() for parameter in network.parameters())


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
    if array.ndim == 2 and isinstance(module, nn.Conv1d):
        return array.reshape(*module.kernel_size, module.in_channels, -1).transpose(2, 1, 0)
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


def dcgan_generator(latent: int, smallest: int, channels: list[int], colours: int) -> nn.Sequential:
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


# Resampling with the filter [1, 3, 3, 1] of StyleGAN2 and R3GAN


class Filtered(nn.Module):
    """Applies the filter within a padding, at every position or at every other one."""

    def __init__(self, channels: int, padding: int, stride: int = 1, gain: float = 1.0):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        kernel = (gain * taps[:, None] * taps).expand(channels, 1, 4, 4).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)
        self.channels, self.padding, self.stride = channels, padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            x, self.kernel, stride=self.stride, padding=self.padding, groups=self.channels
        )


class Doubled(nn.Module):
    """Doubles the image and applies the filter.

    As pixels that are repeated and the filter [1, 2, 1]: a transposed convolution of each channel
    by itself is far slower on CPU.
    """

    def __init__(self, channels: int):
        super().__init__()
        taps = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = (taps[:, None] * taps).expand(channels, 1, 3, 3).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        repeated = F.interpolate(x, scale_factor=2)
        return F.conv2d(repeated, self.kernel, padding=1, groups=self.channels)


def halved(channels: int) -> Filtered:
    """Applies the filter and halves the image."""
    return Filtered(channels, padding=1, stride=2)


# R3GAN


class R3GANBlock(nn.Module):
    """1x1, grouped 3x3 on twice as many channels, 1x1, added to the input."""

    def __init__(self, channels: int, group: int = 16):
        super().__init__()
        inner = 2 * channels
        self.first = nn.Conv2d(channels, inner, 1)
        self.grouped = nn.Conv2d(inner, inner, 3, padding=1, groups=inner // group)
        self.last = nn.Conv2d(inner, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.leaky_relu(self.first(x), 0.2)
        return x + self.last(F.leaky_relu(self.grouped(inner), 0.2))


class LatentMaps(nn.Module):
    """Learned maps, each times a linear function of the latent."""

    def __init__(self, latent: int, side: int, channels: int):
        super().__init__()
        self.maps = nn.Parameter(torch.empty(side, side, channels))
        self.linear = nn.Linear(latent, channels, bias=False)

    def forward(self, latents: Tensor) -> Tensor:
        return (self.linear(latents)[:, None, None] * self.maps).permute(0, 3, 1, 2)


class WeightedPixels(nn.Module):
    """A weighted sum of each channel's pixels."""

    def __init__(self, side: int, channels: int):
        super().__init__()
        self.weights = nn.Parameter(torch.empty(side, side, channels))

    def forward(self, x: Tensor) -> Tensor:
        return (x.permute(0, 2, 3, 1) * self.weights).sum((1, 2))


def r3gan_generator(latent: int, channels: list[int], colours: int) -> nn.Sequential:
    """R3GAN's generator, whose smallest feature map has a side of 4.

    Args:
        latent: values of a latent.
        channels: channels at each size, from the image's.
        colours: channels of the image.
    """
    layers = [LatentMaps(latent, 4, channels[-1]), R3GANBlock(channels[-1])]
    for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
        layers += [
            nn.Conv2d(inputs, outputs, 1, bias=False),
            Doubled(outputs),
            R3GANBlock(outputs),
        ]
    return nn.Sequential(*layers, nn.Conv2d(channels[0], colours, 1, bias=False), nn.Tanh())


def r3gan_discriminator(channels: list[int], colours: int) -> nn.Sequential:
    """R3GAN's discriminator; arguments as of its generator."""
    layers = [nn.Conv2d(colours, channels[0], 1, bias=False), R3GANBlock(channels[0])]
    for inputs, outputs in pairwise(channels):
        layers += [
            halved(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            R3GANBlock(outputs),
        ]
    last = WeightedPixels(4, channels[-1])
    return nn.Sequential(*layers, last, nn.Linear(channels[-1], 1), Alone())


# CycleGAN


def normalized(layer: nn.Module, channels: int) -> list[nn.Module]:
    """A layer, instance normalization, and ReLU."""
    return [layer, instance_norm(channels), nn.ReLU(inplace=True)]


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Instance normalization with a gain and a bias."""
    return nn.InstanceNorm2d(channels, eps=1e-6, affine=True)


class TranslatorBlock(nn.Module):
    """Residual block of two 3x3 convolutions; the last has no ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        layers = [
            *normalized(nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels),
            *normalized(nn.Conv2d(channels, channels, 3, padding=1, bias=False), channels),
        ]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def translator(width: int, blocks: int, colours: int) -> nn.Sequential:
    """CycleGAN's generator."""
    return nn.Sequential(
        *normalized(nn.Conv2d(colours, width, 7, padding=3, bias=False), width),
        *normalized(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), 2 * width),
        *normalized(nn.Conv2d(2 * width, 4 * width, 4, 2, 1, bias=False), 4 * width),
        *(TranslatorBlock(4 * width) for _ in range(blocks)),
        *normalized(nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False), 2 * width),
        *normalized(nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), width),
        nn.Conv2d(width, colours, 7, padding=3),
        nn.Tanh(),
    )


def patch_discriminator(width: int, colours: int) -> nn.Sequential:
    """PatchGAN of two halvings."""
    return nn.Sequential(
        nn.Conv2d(colours, width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
        instance_norm(2 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1, bias=False),
        instance_norm(4 * width),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 1, 3, padding=1),
        Alone(),
    )


# Sequences


class SequenceGenerator(nn.Module):
    """A long short-term memory that writes sequences of tokens, of which the first follows 0.

    It has one bias a gate, and not the two of `nn.LSTMCell`.
    """

    def __init__(self, vocabulary: int, embedding: int, hidden: int):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(vocabulary, embedding))
        self.kernel = nn.Parameter(torch.empty(embedding + hidden, 4 * hidden))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.output_kernel = nn.Parameter(torch.empty(hidden, vocabulary))
        self.output_bias = nn.Parameter(torch.empty(vocabulary))

    def forward(self, gumbel: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Writes by straight-through Gumbel-softmax.

        Args:
            gumbel: Gumbel noise, (batch, length, vocabulary).
            temperature: that of the softmax.

        Returns:
            Tokens (batch, length), and the shares of all tokens (batch, length, vocabulary), which
            are those of whole tokens with the gradient of the softmax.
        """
        batch, length, vocabulary = gumbel.shape
        output = cell = gumbel.new_zeros(batch, self.output_kernel.shape[0])
        embedded = self.embedding[:1].expand(batch, -1)
        tokens, shares = [], []
        for place in range(length):
            gates = torch.addmm(self.bias, torch.cat([embedded, output], 1), self.kernel)
            enter, keep, candidate, show = gates.chunk(4, 1)
            cell = keep.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
            output = show.sigmoid() * cell.tanh()
            logits = torch.addmm(self.output_bias, output, self.output_kernel)
            noisy = (logits + gumbel[:, place]) / temperature
            token = noisy.argmax(1)
            tokens.append(token)
            if torch.is_grad_enabled():
                soft = noisy.softmax(1)
                share = F.one_hot(token, vocabulary).float() + (soft - soft.detach())
                embedded = share @ self.embedding
                shares.append(share)
            else:
                embedded = self.embedding[token]
        return torch.stack(tokens, 1), torch.stack(shares, 1) if shares else gumbel


class SequenceDiscriminator(nn.Module):
    """Convolutions of one to several tokens, and their maxima over all positions."""

    def __init__(self, vocabulary: int, width: int, longest: int):
        super().__init__()
        self.embed = nn.Linear(vocabulary, width, bias=False)
        self.kernels = nn.ModuleList(
            nn.Conv1d(width, width, size) for size in range(1, longest + 1)
        )
        self.last = nn.Linear(longest * width, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Of tokens (batch, length), or the shares of all tokens (batch, length, vocabulary)."""
        if sequences.ndim == 2:
            embedded = F.embedding(sequences, self.embed.weight.T)
        else:
            embedded = self.embed(sequences)
        x = embedded.transpose(1, 2)
        found = [F.leaky_relu(kernel(x).amax(2), 0.2) for kernel in self.kernels]
        return self.last(torch.cat(found, 1)).squeeze(1)


# StyleGAN2


def activated(x: Tensor) -> Tensor:
    """A leaky ReLU that keeps the variance."""
    return F.leaky_relu(x, 0.2) * 2**0.5


class EqualLinear(nn.Linear):
    """A linear layer with an equalized learning rate."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0):
        super().__init__(inputs, outputs)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        gain = self.rate / self.in_features**0.5
        return F.linear(x, self.weight * gain, self.bias * self.rate)


class EqualConv2d(nn.Conv2d):
    """A convolution with an equalized learning rate."""

    def equalized(self) -> Tensor:
        """The weight as it is applied."""
        return self.weight / (self.in_channels * self.kernel_size[0] ** 2) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.equalized(), self.bias, self.stride, self.padding)


class EqualUp(nn.ConvTranspose2d):
    """A transposed 3x3 convolution that doubles the image, and the filter."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs, 3, bias=False)
        self.filter = Filtered(outputs, padding=1, gain=4.0)

    def equalized(self) -> Tensor:
        """The weight as it is applied, in the order of a convolution's."""
        return self.weight.transpose(0, 1) / (9 * self.in_channels) ** 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.filter(F.conv_transpose2d(x, self.equalized().transpose(0, 1), stride=2))


class Modulated(nn.Module):
    """A convolution whose inputs and outputs each example's style scales."""

    def __init__(self, convolution: EqualConv2d | EqualUp, style: int, demodulates: bool):
        super().__init__()
        self.affine = EqualLinear(style, convolution.in_channels)
        self.convolution, self.demodulates = convolution, demodulates

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scales = self.affine(w)
        x = self.convolution(x * scales[:, :, None, None])
        if self.demodulates:
            squares = self.convolution.equalized().square().sum((2, 3))
            norms = F.linear(scales.square(), squares)
            x = x * torch.rsqrt(norms + 1e-8)[:, :, None, None]
        return x


class StyledLayer(nn.Module):
    """A modulated convolution, noise, bias and activation."""

    def __init__(self, convolution: EqualConv2d | EqualUp, style: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(convolution.out_channels))
        self.strength = nn.Parameter(torch.empty(()))
        self.modulated = Modulated(convolution, style, demodulates=True)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x = self.modulated(x, w)
        noise = torch.randn(x.shape[0], 1, *x.shape[2:])
        return activated(x + self.strength * noise + self.bias[:, None, None])


class StyledImage(nn.Module):
    """A modulated 1x1 convolution to the channels of an image."""

    def __init__(self, inputs: int, colours: int, style: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(colours))
        self.modulated = Modulated(EqualConv2d(inputs, colours, 1, bias=False), style, False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.modulated(x, w) + self.bias[:, None, None]


class StyleGenerator(nn.Module):
    """StyleGAN2's generator, whose smallest feature map has a side of 4.

    Args:
        latent: values of a latent.
        channels: channels at each size, from the image's.
        colours: channels of the image.
        style: values of a style.
        mapping: layers of the mapping network.
    """

    def __init__(self, latent: int, channels: list[int], colours: int, style: int, mapping: int):
        super().__init__()
        features = channels[-1]
        self.start = nn.Parameter(torch.empty(4, 4, features))
        self.images = nn.ModuleList([StyledImage(features, colours, style)])
        convolution = EqualConv2d(features, features, 3, padding=1, bias=False)
        self.layers = nn.ModuleList([StyledLayer(convolution, style)])
        for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
            second = EqualConv2d(outputs, outputs, 3, padding=1, bias=False)
            self.layers += [
                StyledLayer(EqualUp(inputs, outputs), style),
                StyledLayer(second, style),
            ]
            self.images.append(StyledImage(outputs, colours, style))
        self.mapping = nn.ModuleList(
            EqualLinear(style if level else latent, style, rate=0.01) for level in range(mapping)
        )
        self.doubled = Doubled(colours)

    def forward(self, latents: Tensor, shift: Tensor | None = None) -> Tensor:
        """Images of latents, whose styles may be shifted by (batch, style)."""
        w = latents * torch.rsqrt(latents.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.mapping:
            w = activated(layer(w))
        w = w if shift is None else w + shift
        x = self.start.permute(2, 0, 1).expand(len(w), -1, -1, -1)
        x = self.layers[0](x, w)
        total = self.images[0](x, w)
        for level, image in enumerate(self.images[1:]):
            x = self.layers[2 + 2 * level](self.layers[1 + 2 * level](x, w), w)
            total = self.doubled(total) + image(x, w)
        return total.tanh()


class StyleBlock(nn.Module):
    """StyleGAN2's residual block, which halves the image."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = EqualConv2d(inputs, inputs, 3, padding=1)
        self.second = EqualConv2d(inputs, outputs, 3, stride=2)
        self.skip = EqualConv2d(inputs, outputs, 1, bias=False)
        self.filter, self.halve = Filtered(inputs, padding=2), halved(inputs)

    def forward(self, x: Tensor) -> Tensor:
        residual = activated(self.second(self.filter(activated(self.first(x)))))
        return (residual + self.skip(self.halve(x))) / 2**0.5


class Activated(nn.Module):
    """`activated` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return activated(x)


def style_discriminator(channels: list[int], colours: int) -> nn.Sequential:
    """StyleGAN2's discriminator; arguments as of its generator."""
    deepest = channels[-1]
    return nn.Sequential(
        EqualConv2d(colours, channels[0], 1),
        Activated(),
        *(StyleBlock(*pair) for pair in pairwise(channels)),
        EqualConv2d(deepest, deepest, 3, padding=1),
        Activated(),
        Flat(),
        EqualLinear(16 * deepest, deepest),
        Activated(),
        EqualLinear(deepest, 1),
        Alone(),
    )
