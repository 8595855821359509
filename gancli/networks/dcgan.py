"""Deep convolutional networks with 4x4 kernels; each layer halves or doubles the image."""

from typing import Annotated, Any

from flax import nnx

from gancli.networks.convolutions import (
    down_convolve,
    up_convolve,
)
from gancli.networks.layers import (
    Convolution,
    Layer,
    Minibatch,
    flatten,
    leaky_relu,
    minibatch_features,
    output_head,
    published_normal,
    with_spectral_norm,
)
from gancli.networks.network import MODELS, Architecture, Interface, Width, architecture
from gancli.networks.normalization import (
    GeneratorNorm,
    Norm,
    first_inputs,
    generator_module,
    normalization,
)
from gancli.networks.pyramid import channels_by_side, smallest_map
from gancli.registry import Bounds


@MODELS.register("dcgan", reference="arXiv:1511.06434")
def dcgan(
    interface: Interface,
    *,
    width: Width = 32,
    norm: Norm = "none",
    generator_norm: GeneratorNorm = "batch",
    spectral_norm: bool = False,
    minibatch: Minibatch = "none",
    dense: Annotated[int, Bounds(0, 16384)] = 0,
) -> Architecture:
    """Deep convolutional networks: strided 4x4 convolutions, no pooling.

    The published discriminator has norm=batch; without it, the discriminator also suits penalties.
    The published networks have no hidden dense layer; with one they have the shape of
    arXiv:1606.03657, appendix C, on which arXiv:1711.10337 also compares losses.

    Args:
        interface: what the networks must fit.
        width: channels next to the image; they double at each level, up to 8 * width.
        norm: normalization in the discriminator, not on its first layer.
        generator_norm: normalization in the generator, not on its last layer.
        spectral_norm: whether the discriminator's kernels have singular values of at most 1.
        minibatch: how the discriminator compares the images of a batch.
        dense: units of a hidden dense layer, the generator's first and the discriminator's
            second to last; 0 for none.

    Raises:
        UserError: if the examples are not images of a supported size, or the normalization needs
            codes that the generator does not receive.
    """
    shape = interface.shape
    rows, columns = smallest_map("dcgan", interface)
    channels = channels_by_side(shape, width)[:-1]  # After each halving.
    normal = published_normal()

    def generator(rngs: nnx.Rngs) -> nnx.Module:
        bias = generator_norm == "none"
        inputs, deepest = first_inputs(interface, generator_norm), channels[-1]
        layers: list[Any] = []
        if dense:
            layers = [
                nnx.Linear(inputs, dense, use_bias=bias, kernel_init=normal, rngs=rngs),
                *normalization(generator_norm, dense, rngs, interface.codes),
                nnx.relu,
            ]
            inputs = dense
        layers += [
            nnx.Linear(
                inputs, rows * columns * deepest, use_bias=bias, kernel_init=normal, rngs=rngs
            ),
            lambda x: x.reshape(-1, rows, columns, deepest),
            *normalization(generator_norm, deepest, rngs, interface.codes),
            nnx.relu,
        ]
        for inputs, outputs in zip(channels[:0:-1], channels[-2::-1], strict=True):
            layers += [
                Convolution(
                    up_convolve, 4, inputs, outputs, use_bias=bias, kernel_init=normal, rngs=rngs
                ),
                *normalization(generator_norm, outputs, rngs, interface.codes),
                nnx.relu,
            ]
        last = Convolution(up_convolve, 4, channels[0], shape[-1], kernel_init=normal, rngs=rngs)
        return generator_module([*layers, last, nnx.tanh], interface, generator_norm)

    def discriminator(rngs: nnx.Rngs) -> nnx.Module:
        layers: list[Layer] = []
        inputs = interface.seen_shape[-1]
        for level, outputs in enumerate(channels):
            level_norm = norm if level else "none"
            bias = level_norm == "none"
            layer = Convolution(
                down_convolve, 4, inputs, outputs, use_bias=bias, kernel_init=normal, rngs=rngs
            )
            layers += [
                with_spectral_norm(layer, spectral_norm, rngs),
                *normalization(level_norm, outputs, rngs),
                leaky_relu,
            ]
            inputs = outputs
        comparison, features = minibatch_features(minibatch, rows * columns * inputs, rngs)
        layers += [flatten, *comparison]
        if dense:
            bias = norm == "none"
            layer = nnx.Linear(features, dense, use_bias=bias, kernel_init=normal, rngs=rngs)
            layers += [
                with_spectral_norm(layer, spectral_norm, rngs),
                *normalization(norm, dense, rngs),
                leaky_relu,
            ]
            features = dense
        last = nnx.Linear(features, interface.outputs, kernel_init=normal, rngs=rngs)
        last = with_spectral_norm(last, spectral_norm, rngs)
        return nnx.Sequential(*layers, *output_head(last, interface.features))

    return architecture(interface, generator, discriminator)
