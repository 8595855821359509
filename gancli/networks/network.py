"""What a network is: pure functions over plain nested dicts, made from any flax NNX module."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
from flax import nnx

from gancli.config import Config
from gancli.errors import UserError
from gancli.registry import Bounds, Registry

Params = dict[str, Any]
Stats = dict[str, Any]


class Network(NamedTuple):
    """A network as pure functions over pytrees.

    `initialize(key)` makes its trainable parameters and its statistics (running statistics of
    batch normalization, vectors of spectral normalization), both nested dicts of arrays with
    text keys. `apply(params, stats, x, train=True)` gives the output and the new statistics.
    `normalizes_batch` is True if an example's output depends on the other examples of its
    batch through batch normalization.

    A generator that maps its inputs to another latent first, of `styles` values, has what
    `apply(..., shift=s)` is given, (batch, styles), added to that one.
    """

    initialize: Callable[[jax.Array], tuple[Params, Stats]]
    apply: Callable[..., tuple[jax.Array, Stats]]
    normalizes_batch: bool
    styles: int = 0


class Interface(NamedTuple):
    """What a generator and a discriminator must fit: examples, latents, and codes.

    `shape` is that of one example. A generator takes `latent` values of noise, followed by
    `codes` values that say what is to be made, such as a label as one value of 1 among zeros. A
    discriminator sees examples with `seen` values along their last axis (that of `shape` by
    default), and gives each of them `outputs` values, followed with `features` by the values that
    its last layer makes them of.

    Where `source` is not 0, the generator takes images of so many channels in place of noise, and
    the discriminator judges patches. Where examples are tokens, there are `vocabulary` different
    ones, and a discriminator sees for each place of a sequence the share that each token has of
    it, all but one 0 in real examples.
    """

    shape: tuple[int, ...]
    latent: int
    codes: int = 0
    seen: int | None = None
    outputs: int = 1
    features: bool = False
    source: int = 0
    vocabulary: int = 0

    @property
    def inputs(self) -> int:
        """The values that a generator takes."""
        return self.latent + self.codes

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """The shape of what a discriminator sees."""
        if self.vocabulary:
            return (*self.shape, self.seen or self.vocabulary)
        return (*self.shape[:-1], self.seen or self.shape[-1])


class Recurrence(NamedTuple):
    """How a generator writes sequences, token by token.

    `start(params, batch)` gives the state before the first token. `step(params, state, inputs)`
    reads the token before, (batch,) int32 or the shares of all tokens (batch, vocabulary), and
    gives the new state and the logits (batch, vocabulary) of the next one. What is read before the
    first token is token 0.
    """

    start: Callable[[Params, int], Any]
    step: Callable[[Params, Any, jax.Array], tuple[Any, jax.Array]]


class Architecture(NamedTuple):
    """A generator, and a discriminator of what it makes.

    The generator makes, of (batch, latent + codes), images (batch, height, width, channels) in
    [-1, 1], or points (batch, dimensions). The discriminator gives (batch,) for one output alone,
    and else (batch, outputs + features).

    Of images, the generator makes (batch, height, width, channels) of the same height and width,
    whatever they are, unbounded. The discriminator then gives all of this for each patch:
    (batch, rows, columns), and else (batch, rows, columns, outputs + features).

    A generator of tokens has a `recurrence`, and is itself teacher forcing: of tokens
    (batch, length), the logits (batch, length, vocabulary) of each given those before it.
    """

    generator: Network
    discriminator: Network
    recurrence: Recurrence | None = None


MODELS = Registry("model")


def networks_of(config: Config, interface: Interface, model: str = "") -> Architecture:
    """The networks of a configuration: the one door through which all of them come.

    Args:
        config: the run's.
        interface: what the task gives them and asks of them.
        model: a spec in place of the configuration's.

    Returns:
        The generator and the discriminator.

    Raises:
        UserError: if the model does not fit the interface.
    """
    return MODELS.build(model or config.model, interface)


# Options that several models have. Deeper networks are traced for longer than they are of use.
Width = Annotated[int, Bounds(1, 16384)]
Depth = Annotated[int, Bounds(1, 100)]


def network(
    make_module: Callable[[nnx.Rngs], nnx.Module], input_shape: tuple[int | None, ...]
) -> Network:
    """Pure functions of an NNX module; nothing is allocated until they are called.

    Args:
        make_module: builds the module, drawing initial values from the given streams. The
            module maps (batch, *input_shape) to its output and follows NNX's train() and
            eval() modes. One with another latent inside has an attribute `styles`, and takes a
            shift of it beside its input.
        input_shape: the shape of one input example, None where any size will do.

    Returns:
        The module's initialization and application as a network.
    """
    template = nnx.eval_shape(lambda: make_module(nnx.Rngs(0)))
    definition = nnx.split(template, nnx.Param, ...)[0]
    layers = (layer for _, layer in nnx.iter_graph(template))
    normalizes_batch = any(isinstance(layer, nnx.BatchNorm) for layer in layers)
    styles = getattr(template, "styles", 0)

    def initialize(key: jax.Array) -> tuple[Params, Stats]:
        return _states(make_module(nnx.Rngs(key)))

    def apply(
        params: Params,
        stats: Stats,
        x: jax.Array,
        train: bool = True,
        shift: jax.Array | None = None,
    ):
        sides = zip(input_shape, x.shape[1:], strict=False)
        if x.ndim != len(input_shape) + 1 or any(own not in (None, side) for own, side in sides):
            raise ValueError(f"input of shape {x.shape}, expected (batch, *{input_shape})")
        if shift is not None and not styles:
            raise ValueError("a shift of a latent that the network does not have")
        # Without a copy, statistics could not be changed under an outer transformation.
        states = (nnx.restore_int_paths(params), nnx.restore_int_paths(stats))
        module = nnx.merge(definition, *states, copy=True)
        module.train() if train else module.eval()
        output = module(x) if shift is None else module(x, shift)
        return output, _states(module)[1]

    return Network(jax.jit(initialize), apply, normalizes_batch, styles)


def carrying(network: Network, values: Mapping[str, Any]) -> Network:
    """A network whose statistics hold more than its own, for a task to move.

    Args:
        network: any network.
        values: initial arrays, or nested dicts of them, by name.

    Returns:
        A network with the statistics {"network": its own, **values}, of which applying it moves
        its own alone; without values, the network as it is.
    """
    if not values:
        return network

    def initialize(key: jax.Array) -> tuple[Params, Stats]:
        params, stats = network.initialize(key)
        return params, {"network": stats, **values}

    def apply(params: Params, stats: Stats, x: jax.Array, *args: Any, **options: Any):
        output, moved = network.apply(params, stats["network"], x, *args, **options)
        return output, {**stats, "network": moved}

    return network._replace(initialize=initialize, apply=apply)


def architecture(
    interface: Interface,
    generator: Callable[[nnx.Rngs], nnx.Module],
    discriminator: Callable[[nnx.Rngs], nnx.Module],
) -> Architecture:
    """The networks of an interface, of the modules that a model makes (see `network`).

    Raises:
        UserError: if the generator is to take images, or the examples are tokens.
    """
    refuse_tokens(interface)
    if interface.source:
        raise UserError(
            "a model that makes its examples of noise, in a task that makes them of images",
            "unet or cyclegan",
            "Choose one as --model, or --task generation",
        )
    return Architecture(
        network(generator, (interface.inputs,)), network(discriminator, interface.seen_shape)
    )


def translating(
    interface: Interface,
    generator: Callable[[int, int, nnx.Rngs], nnx.Module],
    discriminator: Callable[[nnx.Rngs], nnx.Module],
) -> Architecture:
    """The networks of an interface whose generator takes images, of any height and width.

    `generator` makes its module of the channels of its inputs and outputs, and initial values.

    Raises:
        UserError: if it is to take noise, or the examples are no images.
    """
    refuse_tokens(interface)
    if len(interface.shape) != 3:
        raise UserError(
            f"a model that makes images of images, and examples of shape {interface.shape}",
            "images of shape (height, width, channels)",
            "Choose --model mlp, which takes points",
        )
    if not interface.source:
        raise UserError(
            "a model that makes images of images, in a task that makes its examples of noise",
            "another model, or a task that translates",
            "Choose --task super-resolution, colorization or cyclegan, or another --model",
        )
    inputs, outputs = interface.source, interface.shape[-1]
    return Architecture(
        network(lambda rngs: generator(inputs, outputs, rngs), (None, None, inputs)),
        network(discriminator, (None, None, interface.seen_shape[-1])),
    )


def refuse_tokens(interface: Interface) -> None:
    """Refuses examples that are tokens, in models of images and points.

    Raises:
        UserError: naming the models that take them.
    """
    if interface.vocabulary:
        raise UserError(
            f"the model was given sequences of {interface.shape[0]} tokens, and makes images or "
            "points",
            "model sequence for tokens",
            "Leave out --model, or choose another --dataset",
        )


def _states(module: nnx.Module) -> tuple[Params, Stats]:
    _, params, stats = nnx.split(module, nnx.Param, ...)
    return _with_text_keys(nnx.to_pure_dict(params)), _with_text_keys(nnx.to_pure_dict(stats))


def _with_text_keys(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {str(key): _with_text_keys(value) for key, value in tree.items()}
