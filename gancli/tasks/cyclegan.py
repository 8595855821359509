"""CycleGAN: unpaired translation between two sets of images, both ways."""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from gancli.adversarial.dynamics import Aux, Game, Turn, Weights
from gancli.adversarial.keys import Stream
from gancli.config import Config
from gancli.data.dataset import DataSpec
from gancli.errors import UserError, shown
from gancli.networks import Architecture, Interface, networks_of
from gancli.registry import Bounds
from gancli.tasks.opponent import Opponent, build_opponent, require_unpacked
from gancli.tasks.paired import Weight
from gancli.tasks.task import TASKS, Part, Task, Translator

# Names of the two directions in weights and metrics.
_WAYS = ("forward", "back")


class Pool(NamedTuple):
    """Buffer of earlier generated images for the discriminator (arXiv:1612.07828).

    `images` is (size, height, width, channels); the first `added` of them are filled.
    """

    images: jax.Array
    added: jax.Array

    def exchange(self, made: jax.Array, key: jax.Array) -> tuple[jax.Array, "Pool"]:
        """Exchanges each image with probability ½ for an older one.

        Args:
            made: (n, height, width, channels) new images; the size of the pool is a multiple of n.
                Until the pool is full, new images are added and returned unchanged.
            key: decides which images are exchanged.

        Returns:
            Images for the discriminator, of the same shape, and the new pool.
        """
        count, size = len(made), len(self.images)
        key_of_places, key_of_coins = jax.random.split(key)
        filling = self.added < size
        anywhere = jax.random.choice(key_of_places, size, (count,), replace=False)
        places = jnp.where(filling, self.added + jnp.arange(count), anywhere) % size
        older = self.images[places]
        kept = jax.random.bernoulli(key_of_coins, 0.5, (count,)) & ~filling
        taken = (kept | filling)[:, jnp.newaxis, jnp.newaxis, jnp.newaxis]
        images = self.images.at[places].set(jnp.where(taken, made, older))
        shown_instead = kept[:, jnp.newaxis, jnp.newaxis, jnp.newaxis]
        added = jnp.minimum(self.added + count, size)
        return jnp.where(shown_instead, older, made), Pool(images, added)


@TASKS.register(
    "cyclegan",
    reference="arXiv:1703.10593",
    recipe={"model": "cyclegan", "loss": "least-squares"},
)
def cyclegan(
    config: Config,
    data: DataSpec,
    cycle: Weight = 10.0,
    identity: Weight = 5.0,
    adversarial: Weight = 2.0,
    pool: Annotated[int, Bounds(0, 100_000)] = 50,
) -> Task:
    """CycleGAN: translates images between two sets (--target) without pairs, in both directions.

    Generators F of x in the first set and B of y in the second, and a discriminator of each
    set's images, of patches. The generators lower λa times their adversarial losses and
    λc (mean |B(F(x)) - x| + mean |F(B(y)) - y|) + λi (mean |F(y) - y| + mean |B(x) - x|); their
    images are in [-1, 1] by tanh. The discriminators are shown some images made before. With the
    half squares of least-squares, λa = 2 gives the generators the authors' (f - 1)², beside their
    λc and λi, and the discriminators their ½ (r - 1)² + ½ f².

    Args:
        config: the run's configuration.
        data: description of the images of both sets.
        cycle: λc.
        identity: λi; 0 where the sets have other channels.
        adversarial: λa.
        pool: images made before that are kept of each set, rounded up to whole batches; 0 for
            none.

    Returns:
        The task, with the players `discriminator` and `generator`, of two networks each.

    Raises:
        UserError: if there is no second set, or the parts do not fit each other.
    """
    target = data.target
    if target is None:
        raise UserError(
            f"task 'cyclegan' with only one data set, {shown(data.name)}",
            "a second data set to translate into",
            "Add --target, for example --dataset digits --target mnist --set data.size=28",
        )
    if identity and data.shape != target.shape:
        raise UserError(
            f"identity={identity:g} with images of shape {data.shape} and {target.shape}",
            "identity=0 for sets with different channels",
            "Add --task cyclegan:identity=0",
        )
    require_unpacked(config, "task 'cyclegan'")

    def networks_to(made: DataSpec, of: DataSpec) -> Architecture:
        return networks_of(config, Interface(made.shape, 0, source=of.shape[-1]))

    # By direction: the generator, and the discriminator of its images.
    networks = {"forward": networks_to(target, data), "back": networks_to(data, target)}
    specs = {"forward": target, "back": data}
    batch = config.train.batch

    def opponent_of(way: str) -> Opponent:
        size = -(-pool // batch) * batch
        empty = Pool(jnp.zeros((size, *specs[way].shape)), jnp.int32(0))
        held = {"pool": empty._asdict()} if pool else {}
        return build_opponent(config, networks[way].discriminator, specs[way], held)

    opponents = {way: opponent_of(way) for way in _WAYS}
    loss = opponents["forward"].loss

    def play(player: str, params: dict, stats: dict, turn: Turn) -> tuple[jax.Array, Aux]:
        real = {"forward": turn.batch["target"], "back": turn.batch["examples"]}
        sources = {"forward": real["back"], "back": real["forward"]}
        carried = dict(stats["generator"])

        def make(way: str, images: jax.Array) -> jax.Array:
            outputs, carried[way] = networks[way].generator.apply(
                params["generator"][way], carried[way], images, train=True
            )
            return jnp.tanh(outputs)

        made = {way: make(way, sources[way]) for way in _WAYS}
        turns = {way: turn._replace(part=number) for number, way in enumerate(_WAYS)}
        of_discriminators = dict(stats["discriminator"])

        def discriminate(
            way: str, images: jax.Array, stream: Stream
        ) -> tuple[jax.Array, jax.Array]:
            own, key = opponents[way], turns[way].key(stream)
            seen = own.see(images, key, turn, stats["discriminator"][way])
            logits, of_discriminators[way] = own.network.apply(
                params["discriminator"][way], of_discriminators[way], seen
            )
            return logits, seen

        total, terms = jnp.float32(0), dict[str, jax.Array]()
        if player == "generator":
            for way, other in zip(_WAYS, reversed(_WAYS), strict=True):
                of_real, _ = discriminate(way, real[way], Stream.REAL_INPUT)
                of_made, _ = discriminate(way, made[way], Stream.FAKE_INPUT)
                own = loss.generator(of_real.reshape(-1), of_made.reshape(-1)).mean()
                total += adversarial * own
                if cycle:
                    again = make(other, made[way])
                    terms[f"cycle/{way}"] = cycle * jnp.abs(again - sources[way]).mean()
                if identity:
                    same = make(way, real[way])
                    terms[f"identity/{way}"] = identity * jnp.abs(same - real[way]).mean()
            return sum(terms.values(), total), Aux(carried, terms)

        metrics = {}
        for way in _WAYS:
            fakes = made[way]
            if pool:
                held = Pool(**of_discriminators[way]["pool"])
                key = turns[way].key(Stream.POOL)
                fakes, held = held.exchange(jax.lax.stop_gradient(fakes), key)
                of_discriminators[way] = of_discriminators[way] | {"pool": held._asdict()}
            of_real, shown_real = discriminate(way, real[way], Stream.REAL_INPUT)
            of_made, shown_made = discriminate(way, fakes, Stream.FAKE_INPUT)
            flat = of_real.reshape(-1), of_made.reshape(-1)
            total += loss.discriminator(*flat).mean()
            moved = of_discriminators[way]

            def critic(images: jax.Array, way: str = way, moved: Any = moved) -> jax.Array:
                logits, _ = opponents[way].network.apply(
                    params["discriminator"][way], moved, images
                )
                return logits.mean(axis=(1, 2))

            added, aux = opponents[way].update(
                flat, (shown_real, shown_made), critic, moved, turns[way]
            )
            terms |= {f"{name}/{way}": value for name, value in added.items()}
            of_discriminators[way] = aux.stats
            metrics |= {f"{name}/{way}": value for name, value in aux.metrics.items()}
        return sum(terms.values(), total), Aux(of_discriminators, metrics | terms)

    def initialize(key: jax.Array) -> dict[str, Weights]:
        keys = jax.random.split(key, 4)
        generators, discriminators = Weights({}, {}), Weights({}, {})
        for number, way in enumerate(_WAYS):
            params, stats = networks[way].generator.initialize(keys[2 * number])
            generators.params[way], generators.stats[way] = params, stats
            params, stats = opponents[way].network.initialize(keys[2 * number + 1])
            discriminators.params[way], discriminators.stats[way] = params, stats
        return {"discriminator": discriminators, "generator": generators}

    def translator(way: str, source: DataSpec) -> Translator:
        def translate(weights: Weights, sources: jax.Array) -> jax.Array:
            own = (weights.params[way], weights.stats[way])
            return jnp.tanh(networks[way].generator.apply(*own, sources, train=False)[0])

        def plain(sources: jax.Array) -> jax.Array:
            return with_channels(sources, specs[way].shape[-1])

        multiple = networks[way].generator.multiple
        return Translator(
            "generator",
            source.shape[-1],
            lambda examples: examples,
            translate,
            plain,
            False,
            multiple,
        )

    def judge(way: str) -> Part:
        def logits_of(weights: Weights, images: jax.Array) -> tuple[jax.Array]:
            own = (weights.params[way], weights.stats[way])
            return (opponents[way].network.apply(*own, images, train=False)[0],)

        images = jax.ShapeDtypeStruct(specs[way].shape, jnp.float32)
        return Part("discriminator", {"images": images}, ("logits",), logits_of)

    return Task(
        game=Game(("discriminator", "generator"), play),
        roles={"discriminator": "discriminator", "generator": "generator"},
        networks={
            "discriminator": {way: opponents[way].network for way in _WAYS},
            "generator": {way: networks[way].generator for way in _WAYS},
        },
        initialize=initialize,
        sampler=translator("forward", data),
        examples_per_update=batch,
        back=translator("back", target),
        parts={"discriminator": judge("forward"), "discriminator-back": judge("back")},
    )


def with_channels(images: jax.Array, channels: int) -> jax.Array:
    """Converts images (n, height, width, any) to so many channels: grey repeated, or the mean."""
    if images.shape[-1] == channels:
        return images
    grey = images.mean(axis=-1, keepdims=True)
    return jnp.broadcast_to(grey, (*images.shape[:-1], channels))
