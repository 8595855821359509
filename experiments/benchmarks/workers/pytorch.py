"""The benchmark's peers: the same training in plain PyTorch, as its users would write it well.

Channels last, fused Adam, no gradient where none is needed, a discriminator without gradients in
the generator's turn, data in memory. Losses take their random numbers as an argument, so that they
can be compared on the same ones.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo import config as dynamo
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from workers import pytorch_networks as networks

PLAYERS = ("discriminator", "generator")
# Samples that are drawn at once.
_BLOCK = 256


class Peer:
    """Adversarial training of a generator against a discriminator.

    Args:
        config: the run's configuration, as nested dicts.
        examples: the data by name, each (count, ...), images as uint8 with channels last.
        generator: the generator.
        discriminator: the discriminator.
        compiles: whether the `parts` are compiled.
    """

    # Methods to compile. What needs a gradient inside of them is marked outside.
    parts = ("generate", "critic_loss", "fooling_loss")

    def __init__(
        self,
        config: dict,
        examples: dict[str, np.ndarray],
        generator: nn.Module,
        discriminator: nn.Module,
        compiles: bool,
    ):
        self.batch = config["train"]["batch"]
        self.updates = {player: config["train"][f"{player}_steps"] for player in PLAYERS}
        self.clip_norm = {p: config["optimizer"][p]["clip_norm"] for p in PLAYERS}
        self.average_decay = config["average"]["decay"]
        self.sets = [stored(one) for one in examples.values()]
        self.generator = generator.to(memory_format=torch.channels_last)
        self.discriminator = discriminator.to(memory_format=torch.channels_last)
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.optimizers = {p: adam(self.networks[p], config["optimizer"][p]) for p in PLAYERS}
        self.weights = [*generator.parameters(), *statistics(generator)]
        self.average = [value.detach().clone() for value in self.weights]
        self.steps = 0
        self.orders = [torch.randperm(len(one)) for one in self.sets]
        self.positions = [0 for _ in self.sets]
        if compiles:
            dynamo.trace_autograd_ops = True  # For penalties on gradients.
            for part in self.parts:
                setattr(self, part, torch.compile(getattr(self, part)))

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The discriminator's loss, a scalar."""
        with torch.no_grad():
            fake = self.generate(drawn["latents"])
        return self.critic_loss(real, fake)

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The generator's loss, a scalar."""
        return self.fooling_loss(real, drawn["latents"])

    def generate(self, latents: Tensor) -> Tensor:
        """Generated examples."""
        return self.generator(latents)

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss on these examples."""
        raise NotImplementedError

    def fooling_loss(self, real: Tensor, latents: Tensor) -> Tensor:
        """The generator's loss on these latents."""
        raise NotImplementedError

    def draw(self) -> dict[str, Tensor]:
        """The random numbers of one update."""
        return {"latents": torch.randn(self.batch, 64)}

    def step(self) -> None:
        """The discriminator's updates, then the generator's, then the average."""
        for player in PLAYERS:
            self.discriminator.requires_grad_(player == "discriminator")
            loss_of = getattr(self, f"{player}_loss")
            for _ in range(self.updates[player]):
                loss = loss_of(self.next_batch(), self.draw())
                self.optimizers[player].zero_grad()
                loss.backward()
                if norm := self.clip_norm[player]:
                    nn.utils.clip_grad_norm_(self.networks[player].parameters(), norm)
                self.optimizers[player].step()
        self.update_average()
        self.steps += 1

    def restart(self) -> None:
        """Makes the next step the first one again."""
        self.steps = 0

    def update_average(self) -> None:
        """Moves the average of the generator's weights."""
        if self.average_decay:
            decay = min(self.average_decay, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    def next_batch(self) -> Any:
        """The next examples, of one set."""
        return self.next_of(0)

    def next_of(self, number: int) -> Tensor:
        """The next examples of a set in the order of a permutation, as networks see them."""
        examples, first = self.sets[number], self.positions[number]
        if first + self.batch > len(examples):
            self.orders[number], first = torch.randperm(len(examples)), 0
        self.positions[number] = first + self.batch
        return as_seen(examples[self.orders[number][first : first + self.batch]])


def stored(examples: np.ndarray) -> Tensor:
    """The data as a tensor, images in the order NCHW."""
    tensor = torch.from_numpy(examples)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def as_seen(batch: Tensor) -> Tensor:
    """A batch: images scaled to [-1, 1], points as they are, tokens as indices."""
    if batch.ndim == 4:
        return batch.float().mul_(2 / 255).sub_(1)
    return batch if batch.is_floating_point() else batch.long()


def adam(network: nn.Module, settings: dict) -> torch.optim.Adam:
    """Fused Adam with the settings of a configuration."""
    return torch.optim.Adam(
        network.parameters(),
        settings["learning_rate"],
        (settings["beta1"], settings["beta2"]),
        settings["epsilon"],
        fused=True,
    )


def statistics(network: nn.Module) -> list[Tensor]:
    """The statistics of batch normalization, which are averaged with the weights."""
    return [module.running_mean for module in norms(network)] + [
        module.running_var for module in norms(network)
    ]


def norms(network: nn.Module) -> list[nn.Module]:
    """The batch normalizations of a network."""
    kinds = nn.BatchNorm1d | nn.BatchNorm2d
    return [module for module in network.modules() if isinstance(module, kinds)]


class NonSaturating(Peer):
    """The non-saturating loss, without penalties."""

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean()

    def fooling_loss(self, real: Tensor, latents: Tensor) -> Tensor:
        return F.softplus(-self.discriminator(self.generator(latents))).mean()


class Ring(NonSaturating):
    """Points in the plane, from as many dimensions."""

    def draw(self) -> dict[str, Tensor]:
        return {"latents": torch.randn(self.batch, 2)}


class WassersteinGradientPenalty(Peer):
    """The Wasserstein loss with a gradient penalty of weight 10."""

    def draw(self) -> dict[str, Tensor]:
        return {**super().draw(), "share": torch.rand(self.batch, 1, 1, 1)}

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            fake = self.generate(drawn["latents"])
            between = torch.lerp(real, fake, drawn["share"])
        return self.critic_loss(real, fake, between.requires_grad_())

    def critic_loss(self, real: Tensor, fake: Tensor, between: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        (gradient,) = torch.autograd.grad(
            self.discriminator(between).sum(), between, create_graph=True
        )
        slope = gradient.flatten(1).norm(dim=1)
        return (of_fake - of_real).mean() + 10 * (slope - 1).square().mean()

    def fooling_loss(self, real: Tensor, latents: Tensor) -> Tensor:
        return -self.discriminator(self.generator(latents)).mean()


class Relativistic(Peer):
    """The relativistic pairing loss with R1 and R2 of weight 1."""

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            seen = torch.cat([real, self.generate(drawn["latents"])])
        return self.critic_loss(seen.requires_grad_())

    def critic_loss(self, seen: Tensor) -> Tensor:
        logits = self.discriminator(seen)
        of_real, of_fake = logits.chunk(2)
        (gradient,) = torch.autograd.grad(logits.sum(), seen, create_graph=True)
        penalty = 0.5 * gradient.square().sum() / len(of_real)  # The mean of both, added.
        return F.softplus(of_fake - of_real).mean() + penalty

    def fooling_loss(self, real: Tensor, latents: Tensor) -> Tensor:
        of_real = self.discriminator(real)
        return F.softplus(of_real - self.discriminator(self.generator(latents))).mean()


class ImagePool:
    """Generated images of earlier steps, of which the discriminator is shown some instead."""

    def __init__(self, size: int, shape: tuple[int, ...]):
        images = torch.empty(size, *shape)
        self.images, self.added = images.contiguous(memory_format=torch.channels_last), 0

    def exchange(self, made: Tensor, exchanged: Tensor) -> Tensor:
        """Images of which those that are `exchanged` are older ones, once the pool is full."""
        if self.added < len(self.images):
            self.images[self.added : self.added + len(made)] = made
            self.added += len(made)
            return made
        places = torch.randperm(len(self.images))[: len(made)]
        older = self.images[places]
        self.images[places] = torch.where(exchanged, made, older)
        return torch.where(exchanged, older, made)


class CycleGAN(Peer):
    """Translation between two sets by the least-squares loss; the networks of a set make it."""

    parts = ("translate", "critic_loss", "fooling_loss")

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        size = -(-50 // self.batch) * self.batch
        self.pools = [ImagePool(size, one.shape[1:]) for one in self.sets]

    def draw(self) -> dict[str, Tensor]:
        return {"exchanged": torch.rand(2, self.batch, 1, 1, 1) < 0.5}

    def next_batch(self) -> list[Tensor]:
        return [self.next_of(0), self.next_of(1)]

    def translate(self, real: list[Tensor]) -> list[Tensor]:
        return [self.generator[to](real[1 - to]) for to in (0, 1)]

    def discriminator_loss(self, real: list[Tensor], drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            made = zip(self.translate(real), drawn["exchanged"], strict=True)
            seen = [pool.exchange(*one) for pool, one in zip(self.pools, made, strict=True)]
        return self.critic_loss(real, seen)

    def critic_loss(self, real: list[Tensor], fake: list[Tensor]) -> Tensor:
        total = torch.zeros(())
        for to in (0, 1):
            logits = self.discriminator[to](torch.cat([real[to], fake[to]]))
            of_real, of_fake = logits.chunk(2)
            total = total + 0.5 * ((of_real - 1).square().mean() + of_fake.square().mean())
        return total

    def generator_loss(self, real: list[Tensor], drawn: dict[str, Tensor]) -> Tensor:
        return self.fooling_loss(real)

    def fooling_loss(self, real: list[Tensor]) -> Tensor:
        total = torch.zeros(())
        for to in (0, 1):
            source = real[1 - to]
            # Images that are already of the set must stay as they are.
            made, same = self.generator[to](torch.cat([source, real[to]])).chunk(2)
            again = self.generator[1 - to](made)
            total = total + (
                2 * 0.5 * (self.discriminator[to](made) - 1).square().mean()
                + 10 * F.l1_loss(again, source)
                + 5 * F.l1_loss(same, real[to])
            )
        return total

    def restart(self) -> None:
        super().restart()
        for pool in self.pools:
            pool.added = 0


class GumbelSoftmax(Peer):
    """Sequences of tokens with the gradient of Gumbel-softmax, by the non-saturating loss."""

    length, vocabulary = 20, 500

    def draw(self) -> dict[str, Tensor]:
        noise = torch.empty(self.batch, self.length, self.vocabulary)
        return {"gumbel": noise.exponential_().log_().neg_()}

    def temperature(self) -> Tensor:
        """Falls from 1 to 0.1 in 2,000 steps; a tensor, so that no value is compiled in."""
        return torch.tensor(0.1 ** min(1.0, self.steps / 2000))

    def generate(self, gumbel: Tensor, temperature: Tensor) -> Tensor:
        return self.generator(gumbel, temperature)[0]

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            fake = self.generate(drawn["gumbel"], self.temperature())
        return self.critic_loss(real, fake)

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean()

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        return self.fooling_loss(drawn["gumbel"], self.temperature())

    def fooling_loss(self, gumbel: Tensor, temperature: Tensor) -> Tensor:
        _, shares = self.generator(gumbel, temperature)
        return F.softplus(-self.discriminator(shares)).mean()


class StyleGAN2(Peer):
    """The non-saturating loss, R1 at every 16th step, path lengths at every fourth."""

    parts = ("generate", "critic_loss", "penalized_loss", "fooling_loss", "path_loss")
    r1_every, path_every, styles = 16, 4, 128

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.path_length = torch.zeros(())

    def draw(self) -> dict[str, Tensor]:
        drawn = super().draw()
        if self.steps % self.path_every == 0:
            drawn["direction"] = torch.randn_like(self.sets[0][: self.batch], dtype=torch.float)
        return drawn

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            fake = self.generate(drawn["latents"])
        if self.steps % self.r1_every == 0:
            return self.penalized_loss(real.requires_grad_(), fake)
        return self.critic_loss(real, fake)

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(torch.cat([real, fake])).chunk(2)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean()

    def penalized_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        of_real, of_fake = self.discriminator(real), self.discriminator(fake)
        (gradient,) = torch.autograd.grad(of_real.sum(), real, create_graph=True)
        penalty = 0.5 * self.r1_every * gradient.square().sum() / len(real)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean() + penalty

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        if self.steps % self.path_every == 0:
            shift = torch.zeros(self.batch, self.styles, requires_grad=True)
            loss, self.path_length = self.path_loss(
                drawn["latents"], shift, drawn["direction"], self.path_length
            )
            return loss
        return self.fooling_loss(real, drawn["latents"])

    def fooling_loss(self, real: Tensor, latents: Tensor) -> Tensor:
        return F.softplus(-self.discriminator(self.generator(latents))).mean()

    def path_loss(
        self, latents: Tensor, shift: Tensor, direction: Tensor, mean: Tensor
    ) -> tuple[Tensor, Tensor]:
        images = self.generator(latents, shift)
        projected = (images * direction).sum() / (images.shape[2] * images.shape[3]) ** 0.5
        (gradient,) = torch.autograd.grad(projected, shift, create_graph=True)
        lengths = gradient.norm(dim=1)
        moved = mean + 0.01 * (lengths.detach().mean() - mean)
        penalty = 2 * self.path_every * (lengths - moved).square().mean()
        return F.softplus(-self.discriminator(images)).mean() + penalty, moved

    def restart(self) -> None:
        super().restart()
        self.path_length = torch.zeros(())


def of_each_set(make: Callable[[], nn.Module]) -> nn.ModuleList:
    """Two networks, each of which makes or judges images of one set."""
    return nn.ModuleList([make(), make()])


def dcgan32() -> tuple[type[Peer], nn.Module, nn.Module]:
    """DCGAN of grey images of 32x32, to train or to sample from."""
    channels = [64, 128, 256]
    return (
        NonSaturating,
        networks.dcgan_generator(64, 4, channels, 1),
        networks.dcgan_discriminator(4, channels, 1),
    )


# By case: the peer, its generator and its discriminator.
PEERS: dict[str, Callable[[], tuple[type[Peer], nn.Module, nn.Module]]] = {
    "dcgan32": dcgan32,
    "sampling": dcgan32,
    "dcgan64": lambda: (
        NonSaturating,
        networks.dcgan_generator(64, 4, [64, 128, 256, 512], 3),
        networks.dcgan_discriminator(4, [64, 128, 256, 512], 3),
    ),
    "ring8": lambda: (
        Ring,
        networks.point_generator(2, 400),
        networks.maxout_discriminator(200, 5),
    ),
    "digits-wgan-gp": lambda: (
        WassersteinGradientPenalty,
        networks.dcgan_generator(64, 2, [32, 64], 1),
        networks.dcgan_discriminator(2, [32, 64], 1),
    ),
    "resnet32-wgan-gp": lambda: (
        WassersteinGradientPenalty,
        networks.resnet_generator(64, 64, 3),
        networks.resnet_discriminator(64, 3),
    ),
    "r3gan32": lambda: (
        Relativistic,
        networks.r3gan_generator(64, [16, 32, 64, 128], 3),
        networks.r3gan_discriminator([16, 32, 64, 128], 3),
    ),
    "cyclegan32": lambda: (
        CycleGAN,
        of_each_set(lambda: networks.translator(32, 3, 3)),
        of_each_set(lambda: networks.patch_discriminator(32, 3)),
    ),
    "gumbel": lambda: (
        GumbelSoftmax,
        networks.SequenceGenerator(500, 32, 32),
        networks.SequenceDiscriminator(500, 64, 5),
    ),
    "stylegan2-32": lambda: (
        StyleGAN2,
        networks.StyleGenerator(64, [32, 64, 128, 256], 3, style=128, mapping=4),
        networks.style_discriminator([32, 64, 128, 256], 3),
    ),
}


class Operations(TorchDispatchMode):
    """Counts floating-point operations of products and convolutions, as `FlopCounterMode` does.

    That one follows modules, too, which second derivatives do not allow.
    """

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        if count := flop_registry.get(function._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


class Worker:
    """A peer in a process of its own; the methods are what the benchmark asks of it.

    Args:
        case: the name of the case.
        config: the run's configuration, as nested dicts.
        examples: the data by name.
        compiles: whether it uses `torch.compile`.
    """

    def __init__(self, case: str, config: dict, examples: dict[str, np.ndarray], compiles: bool):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        peer, generator, discriminator = PEERS[case]()
        self.peer = peer(config, examples, generator, discriminator, compiles)

    def load(self, weights: dict[str, dict]) -> dict[str, int]:
        """Loads the weights of each player; returns their numbers of parameters."""
        peer = self.peer
        return {name: networks.load(peer.networks[name], own) for name, own in weights.items()}

    def play(self, steps: int) -> float:
        """Seconds of so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.peer.step()
        return time.perf_counter() - began

    @torch.inference_mode()
    def sample(self, count: int) -> float:
        """Seconds of drawing so many samples, images as uint8 with channels last."""
        peer = self.peer
        peer.generator.eval()
        began, blocks = time.perf_counter(), -(-count // _BLOCK)
        for _ in range(blocks):
            images = peer.generate(torch.randn(_BLOCK, 64))
            pixels = images.mul(127.5).add_(127.5).round_().clamp_(0, 255).byte()
            pixels.permute(0, 2, 3, 1).numpy()
        peer.generator.train()
        return (time.perf_counter() - began) * count / (blocks * _BLOCK)

    def gigaflop(self, period: int) -> float:
        """Floating-point operations of a step in products and convolutions, in 10⁹.

        Args:
            period: number of steps whose mean is taken, from the first on.
        """
        self.peer.restart()
        with Operations() as counted:
            for _ in range(period):
                self.peer.step()
        return counted.total / period / 1e9

    def evaluate(self, batch: list, drawn: dict[str, Any]) -> dict[str, tuple[float, float]]:
        """Loss and norm of the gradient of each player in the first step.

        Strengths of noise are left out of the norm: their gradient is random.

        Args:
            batch: the examples of each set, images with channels last.
            drawn: the random numbers by name.
        """
        peer, found = self.peer, {}
        peer.restart()
        real = [stored(one) for one in batch]
        given = {name: stored(value) for name, value in drawn.items()}
        for player, network in peer.networks.items():
            peer.discriminator.requires_grad_(player == "discriminator")
            peer.optimizers[player].zero_grad()
            loss = getattr(peer, f"{player}_loss")(real if len(real) > 1 else real[0], given)
            loss.backward()
            gradients = [
                value.grad
                for name, value in network.named_parameters()
                if value.grad is not None and not name.endswith("strength")
            ]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            found[player] = loss.item(), norm.item()
        return found


class Product:
    """A product of two matrices, whose speed is taken as the machine's peak."""

    def __init__(self, side: int):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.factors = torch.randn(2, side, side)

    def play(self, steps: int) -> float:
        """Seconds of so many products."""
        began = time.perf_counter()
        for _ in range(steps):
            torch.mm(*self.factors)
        return time.perf_counter() - began


def versions() -> str:
    """The version of PyTorch."""
    return f"PyTorch {torch.__version__}"
