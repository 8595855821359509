"""The interface of a network: pure functions over nested dicts, made from a flax NNX module."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
from flax import nnx

from gancli.config import Config
from gancli.errors import UserError, shown
from gancli.networks.layer_order import paths_of_layers
from gancli.networks.microbatch import in_parts
from gancli.networks.precision import in_bfloat16
from gancli.registry import Bounds, Registry

Params = dict[str, Any]
Stats = dict[str, Any]


class Styles(NamedTuple):
    """The latent w that a generator's mapping network makes of its inputs.

    w has `size` values, and each of the generator's `layers` takes one w, by default the same.
    `of(params, stats, x)` returns the w of inputs, (batch, size).
    """

    size: int
    layers: int
    of: Callable[[Params, Stats, jax.Array], jax.Array]


class Network(NamedTuple):
    """A network as pure functions over pytrees.

    `initialize(key)` returns its trainable parameters and its statistics (running statistics of
    batch normalization, vectors of spectral normalization), both nested dicts of arrays with text
    keys. `apply(params, stats, x, train=True)` returns the output and the new statistics.
    `normalizes_batch` is True if an example's output depends on the other examples of its batch
    through batch normalization, `compares_batch` if it does through layers with an attribute of
    that name.

    If a generator has `styles`, its `apply` also takes `styles=w`, (batch, size) or
    (batch, layers, size), which replaces the w of its inputs, and `noise`: `random`, a function of
    the inputs, as in training; `constant`, the default outside training; or `none`. A network that
    takes images of any size fills up their sides to multiples of `multiple`.

    `layers` are the layers from the input to the output, each as the paths, such as `layers/0`,
    of the parameters and statistics that it consists of. A network that `generates` has examples
    as its outputs, any other as its inputs. Where a task updates further statistics (see
    `carrying`), its own are under `network`, and it is `carried`.
    """

    initialize: Callable[[jax.Array], tuple[Params, Stats]]
    apply: Callable[..., tuple[jax.Array, Stats]]
    normalizes_batch: bool
    compares_batch: bool = False
    styles: Styles | None = None
    layers: tuple[tuple[str, ...], ...] = ()
    generates: bool = False
    carried: bool = False
    multiple: int = 1


class Interface(NamedTuple):
    """The inputs and outputs of generator and discriminator: examples, latents, and codes.

    `shape` is the shape of one example. A generator takes `latent` values of noise, followed by
    `codes` values such as a one-hot label. A discriminator sees examples with `seen` values along
    their last axis (that of `shape` by default), and returns `outputs` values for each, followed
    by the inputs of its last layer if `features` is set.

    If `source` is not 0, the generator takes images with that number of channels instead of noise,
    and the discriminator judges patches. For tokens, `vocabulary` is the number of different
    tokens, and a discriminator sees the share of each token at each position of a sequence, which
    is one-hot for real examples.
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
        """Number of values that a generator takes."""
        return self.latent + self.codes

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """The shape of a discriminator's input."""
        if self.vocabulary:
            return (*self.shape, self.seen or self.vocabulary)
        return (*self.shape[:-1], self.seen or self.shape[-1])


class Recurrence(NamedTuple):
    """How a generator writes sequences, token by token.

    `start(params, batch)` returns the state before the first token. `step(params, state, inputs)`
    reads the previous token, (batch,) int32 or the shares of all tokens (batch, vocabulary), and
    returns the new state and the logits (batch, vocabulary) of the next token. Before the first
    token it reads token 0.
    """

    start: Callable[[Params, int], Any]
    step: Callable[[Params, Any, jax.Array], tuple[Any, jax.Array]]


class Architecture(NamedTuple):
    """A generator and its discriminator.

    The generator maps (batch, latent + codes) to images (batch, height, width, channels) in
    [-1, 1], or to points (batch, dimensions). The discriminator returns (batch,) for a single
    output, else (batch, outputs + features).

    An image-to-image generator maps images of any height and width to images
    (batch, height, width, channels) of the same height and width, unbounded. The discriminator then
    returns its outputs for each patch: (batch, rows, columns) for a single output, else
    (batch, rows, columns, outputs + features).

    A token generator has a `recurrence`; applying it is teacher forcing, from tokens
    (batch, length) to the logits (batch, length, vocabulary) of each given those before it.
    """

    generator: Network
    discriminator: Network
    recurrence: Recurrence | None = None


MODELS = Registry("model")


def networks_of(config: Config, interface: Interface, model: str = "") -> Architecture:
    """Builds the networks of a configuration; every network is built here.

    Args:
        config: configuration of the run.
        interface: inputs and outputs that the task needs.
        model: a model spec that replaces the configuration's.

    Raises:
        UserError: if the model does not fit the interface, or cannot be computed for a part of a
            batch.
    """
    spec = model or config.model
    built = MODELS.build(spec, interface)
    if config.train.precision == "bfloat16":
        built = _in_bfloat16(built)
    if config.train.microbatch:
        _require_parts(config, built, spec)
        built = _in_parts(built, config.train.microbatch)
    return built


def _in_bfloat16(built: Architecture) -> Architecture:
    """The same networks with products in bfloat16."""

    def changed(network: Network) -> Network:
        def apply(
            params: Params,
            stats: Stats,
            x: jax.Array,
            train: bool = True,
            styles: jax.Array | None = None,
            **options: Any,
        ) -> tuple[jax.Array, Stats]:
            def applied(
                params: Params, stats: Stats, x: jax.Array, styles: jax.Array | None
            ) -> Any:
                own = options if styles is None else options | {"styles": styles}
                return network.apply(params, stats, x, train, **own)

            return in_bfloat16(applied, output=0)(params, stats, x, styles)

        if network.styles is None:
            return network._replace(apply=apply)
        of = network.styles.of

        def rounded(params: Params, stats: Stats, x: jax.Array) -> jax.Array:
            # All its products are rounded, as they are on the way to an image.
            return in_bfloat16(lambda *given: (of(*given),), output=-1)(params, stats, x)[0]

        return network._replace(apply=apply, styles=network.styles._replace(of=rounded))

    written = built.recurrence
    if written is not None:
        written = written._replace(step=in_bfloat16(written.step, output=1))
    return Architecture(changed(built.generator), changed(built.discriminator), written)


def _require_parts(config: Config, built: Architecture, spec: str) -> None:
    """Refuses parts that do not make up the batch, and networks whose examples need all others."""
    size, batch = config.train.microbatch, config.train.batch
    if batch % size:
        raise UserError(
            f"train.microbatch was {size} with train.batch={batch}",
            f"a number that divides {batch}, or 0 for the whole batch at once",
        )
    for role, network in (("generator", built.generator), ("discriminator", built.discriminator)):
        if network.normalizes_batch or network.compares_batch:
            how = "batch normalization" if network.normalizes_batch else "a comparison of the batch"
            raise UserError(
                f"train.microbatch was {size} with {how} in the {role} of {shown(spec)}: an "
                "example's output would depend on the other examples of its part",
                "networks that treat each example alone, or train.microbatch=0",
                "Choose another norm or generator_norm, such as layer, minibatch=none, and infogan "
                "without agreement",
            )


def _in_parts(built: Architecture, size: int) -> Architecture:
    """The same networks, which during training compute `size` examples at a time."""

    def changed(network: Network) -> Network:
        def apply(
            params: Params, stats: Stats, x: jax.Array, train: bool = True, **options: Any
        ) -> tuple[jax.Array, Stats]:
            def applied(given: tuple[jax.Array, dict[str, Any]]) -> tuple[jax.Array, Stats]:
                return network.apply(params, stats, given[0], train, **given[1])

            return in_parts(applied, size if train else 0)((x, options))

        return network._replace(apply=apply)

    return Architecture(changed(built.generator), changed(built.discriminator), built.recurrence)


# Options that several models share. Tracing deeper networks takes longer than they are worth.
Width = Annotated[int, Bounds(1, 16384)]
Depth = Annotated[int, Bounds(1, 100)]


def network(
    make_module: Callable[[nnx.Rngs], nnx.Module],
    input_shape: tuple[int | None, ...],
    generates: bool = False,
) -> Network:
    """Pure functions of an NNX module; nothing is allocated until they are called.

    Args:
        make_module: builds the module, drawing initial values from the given streams. The
            module maps (batch, *input_shape) to its output and follows NNX's train() and
            eval() modes. A module with a mapping network has the attributes `styles` and
            `style_layers` (see `Styles`) and the method `style_of`, one that fills up sides has
            `multiple`. A module that is neither a sequence nor a single layer has a method
            `in_order`, which returns its layers in the order in which they compute, one of
            several parts as a tuple.
        input_shape: the shape of one input example; None for an axis of any size.
        generates: whether its outputs are examples.

    Returns:
        The module's initialization and application as a network.
    """
    template = nnx.eval_shape(lambda: make_module(nnx.Rngs(0)))
    definition = nnx.split(template, nnx.Param, ...)[0]
    nodes = [node for _, node in nnx.iter_graph(template)]
    normalizes_batch = any(isinstance(node, nnx.BatchNorm) for node in nodes)
    compares_batch = any(getattr(node, "compares_batch", False) for node in nodes)
    mapped = hasattr(template, "style_of")

    def initialize(key: jax.Array) -> tuple[Params, Stats]:
        return _states(make_module(nnx.Rngs(key)))

    def merged(params: Params, stats: Stats) -> Any:
        # Copied, because statistics cannot be changed under an outer transformation otherwise.
        states = (nnx.restore_int_paths(params), nnx.restore_int_paths(stats))
        return nnx.merge(definition, *states, copy=True)

    def apply(params: Params, stats: Stats, x: jax.Array, train: bool = True, **options: Any):
        sides = zip(input_shape, x.shape[1:], strict=False)
        if x.ndim != len(input_shape) + 1 or any(own not in (None, side) for own, side in sides):
            raise ValueError(f"input of shape {x.shape}, expected (batch, *{input_shape})")
        if options and not mapped:
            raise ValueError(f"{', '.join(options)} of a network without styles")
        module = merged(params, stats)
        module.train() if train else module.eval()
        return module(x, **options), _states(module)[1]

    def of(params: Params, stats: Stats, x: jax.Array) -> jax.Array:
        return merged(params, stats).style_of(x)

    own: Any = template
    return Network(
        jax.jit(initialize),
        apply,
        normalizes_batch,
        compares_batch,
        Styles(own.styles, own.style_layers, of) if mapped else None,
        paths_of_layers(template),
        generates,
        multiple=getattr(template, "multiple", 1),
    )


def carrying(network: Network, values: Mapping[str, Any]) -> Network:
    """Adds values to a network's statistics, for a task to update.

    Args:
        network: any network.
        values: initial arrays, or nested dicts of them, by name.

    Returns:
        A network with the statistics {"network": its own, **values}; applying it changes only its
        own. Without values, the network itself.
    """
    if not values:
        return network

    def initialize(key: jax.Array) -> tuple[Params, Stats]:
        params, stats = network.initialize(key)
        return params, {"network": stats, **values}

    def apply(params: Params, stats: Stats, x: jax.Array, *args: Any, **options: Any):
        output, moved = network.apply(params, stats["network"], x, *args, **options)
        return output, {**stats, "network": moved}

    def of(params: Params, stats: Stats, x: jax.Array) -> jax.Array:
        assert network.styles
        return network.styles.of(params, stats["network"], x)

    styles = network.styles and network.styles._replace(of=of)
    return network._replace(initialize=initialize, apply=apply, styles=styles, carried=True)


def architecture(
    interface: Interface,
    generator: Callable[[nnx.Rngs], nnx.Module],
    discriminator: Callable[[nnx.Rngs], nnx.Module],
) -> Architecture:
    """Builds the networks of an interface from a model's modules (see `network`).

    Raises:
        UserError: if the task is image-to-image, or the examples are tokens.
    """
    refuse_tokens(interface)
    if interface.source:
        raise UserError(
            "a model that generates from noise, in an image-to-image task",
            "unet or cyclegan",
            "Choose one as --model, or --task generation",
        )
    return Architecture(
        network(generator, (interface.inputs,), generates=True),
        network(discriminator, interface.seen_shape),
    )


def translating(
    interface: Interface,
    generator: Callable[[int, int, nnx.Rngs], nnx.Module],
    discriminator: Callable[[nnx.Rngs], nnx.Module],
) -> Architecture:
    """Builds the networks of an interface whose generator takes images of any height and width.

    `generator` builds its module from the channels of its inputs and outputs, and initial values.

    Raises:
        UserError: if the task gives the generator noise, or the examples are not images.
    """
    refuse_tokens(interface)
    if len(interface.shape) != 3:
        raise UserError(
            f"an image-to-image model with examples of shape {interface.shape}",
            "images of shape (height, width, channels)",
            "Choose --model mlp, which takes points",
        )
    if not interface.source:
        raise UserError(
            "an image-to-image model, in a task that generates from noise",
            "another model, or an image-to-image task",
            "Choose --task super-resolution, colorization or cyclegan, or another --model",
        )
    inputs, outputs = interface.source, interface.shape[-1]
    return Architecture(
        network(lambda rngs: generator(inputs, outputs, rngs), (None, None, inputs), True),
        network(discriminator, (None, None, interface.seen_shape[-1])),
    )


def refuse_tokens(interface: Interface) -> None:
    """Refuses examples that are tokens, in models of images and points.

    Raises:
        UserError: naming the model for tokens.
    """
    if interface.vocabulary:
        raise UserError(
            f"a model for images or points, with sequences of {interface.shape[0]} tokens",
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
