"""The benchmark's peers: the same training in plain PyTorch, as its users would write it well.

Channels last, fused Adam, no gradient where none is needed, a discriminator without gradients in
the generator's turn, data in memory. Losses take their random numbers as an argument, so that they
can be compared on the same ones.
"""

import os
import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import torch_networks as networks
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

PLAYERS = ("discriminator", "generator")


class Peer:
    """Adversarial training of one generator and one discriminator.

    Args:
        config: the run's configuration, as nested dicts.
        examples: the data, (count, ...), images as uint8 with channels last.
        generator: the generator.
        discriminator: the discriminator.
        compiles: whether the losses are compiled.
    """

    def __init__(
        self,
        config: dict,
        examples: np.ndarray,
        generator: nn.Module,
        discriminator: nn.Module,
        compiles: bool,
    ):
        self.batch = config["train"]["batch"]
        self.updates = {player: config["train"][f"{player}_steps"] for player in PLAYERS}
        self.clip_norm = {p: config["optimizer"][p]["clip_norm"] for p in PLAYERS}
        self.average_decay = config["average"]["decay"]
        self.examples = stored(examples)
        self.networks = {
            "generator": generator.to(memory_format=torch.channels_last),
            "discriminator": discriminator.to(memory_format=torch.channels_last),
        }
        self.optimizers = {p: adam(self.networks[p], config["optimizer"][p]) for p in PLAYERS}
        self.weights = [*generator.parameters(), *float_buffers(generator)]
        self.average = [value.detach().clone() for value in self.weights]
        self.losses = {
            "discriminator": self.discriminator_loss,
            "generator": self.generator_loss,
        }
        self.steps, self.order, self.position = 0, torch.randperm(len(examples)), 0
        if compiles:
            self.compile()

    def compile(self) -> None:
        """Compiles what can be compiled; peers with second derivatives compile less."""
        self.losses = {player: torch.compile(loss) for player, loss in self.losses.items()}

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The discriminator's loss, a scalar."""
        raise NotImplementedError

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        """The generator's loss, a scalar."""
        raise NotImplementedError

    def draw(self) -> dict[str, Tensor]:
        """The random numbers of one update."""
        raise NotImplementedError

    def step(self) -> None:
        """The discriminator's updates, then the generator's, then the average."""
        for player in PLAYERS:
            self.networks["discriminator"].requires_grad_(player == "discriminator")
            for _ in range(self.updates[player]):
                loss = self.losses[player](self.next_batch(), self.draw())
                self.optimizers[player].zero_grad()
                loss.backward()
                if norm := self.clip_norm[player]:
                    nn.utils.clip_grad_norm_(self.networks[player].parameters(), norm)
                self.optimizers[player].step()
        self.update_average()
        self.steps += 1

    def update_average(self) -> None:
        """Moves the average of the generator's weights."""
        if self.average_decay:
            decay = min(self.average_decay, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                torch._foreach_lerp_(self.average, self.weights, 1 - decay)

    def next_batch(self) -> Tensor:
        """The next examples in the order of a permutation, as the networks see them."""
        if self.position + self.batch > len(self.order):
            self.order, self.position = torch.randperm(len(self.order)), 0
        chosen = self.order[self.position : self.position + self.batch]
        self.position += self.batch
        return as_seen(self.examples, chosen)


def stored(examples: np.ndarray) -> Tensor:
    """The data as a tensor, images in the order NCHW."""
    tensor = torch.from_numpy(examples)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def as_seen(examples: Tensor, chosen: Tensor) -> Tensor:
    """A batch: images scaled to [-1, 1], points and tokens as they are."""
    batch = examples[chosen]
    if batch.ndim == 4:
        return batch.float().mul_(2 / 255).sub_(1)
    return batch


def adam(network: nn.Module, settings: dict) -> torch.optim.Adam:
    """Fused Adam with the settings of a configuration."""
    return torch.optim.Adam(
        network.parameters(),
        settings["learning_rate"],
        (settings["beta1"], settings["beta2"]),
        settings["epsilon"],
        fused=True,
    )


def float_buffers(network: nn.Module) -> list[Tensor]:
    """The statistics of batch normalization, which are averaged with the weights."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


class NonSaturating(Peer):
    """The non-saturating loss, without penalties."""

    latent = 64

    def draw(self) -> dict[str, Tensor]:
        return {"latents": torch.randn(self.batch, self.latent)}

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        with torch.no_grad():
            fake = self.networks["generator"](drawn["latents"])
        logits = self.networks["discriminator"](torch.cat([real, fake]))
        of_real, of_fake = logits.chunk(2)
        return F.softplus(-of_real).mean() + F.softplus(of_fake).mean()

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        fake = self.networks["generator"](drawn["latents"])
        return F.softplus(-self.networks["discriminator"](fake)).mean()


class Ring(NonSaturating):
    """Points in the plane, from as many dimensions."""

    latent = 2


class WassersteinGradientPenalty(Peer):
    """The Wasserstein loss with a gradient penalty of weight 10."""

    def compile(self) -> None:
        # The critic's loss needs second derivatives, which compiled functions do not have.
        self.losses["generator"] = torch.compile(self.losses["generator"])
        self.generate = torch.compile(self.networks["generator"])

    def draw(self) -> dict[str, Tensor]:
        return {
            "latents": torch.randn(self.batch, 64),
            "share": torch.rand(self.batch, 1, 1, 1),
        }

    def discriminator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        critic = self.networks["discriminator"]
        with torch.no_grad():
            fake = getattr(self, "generate", self.networks["generator"])(drawn["latents"])
        of_real, of_fake = critic(torch.cat([real, fake])).chunk(2)
        between = torch.lerp(real, fake, drawn["share"]).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        slope = gradient.flatten(1).norm(dim=1)
        return (of_fake - of_real).mean() + 10 * (slope - 1).square().mean()

    def generator_loss(self, real: Tensor, drawn: dict[str, Tensor]) -> Tensor:
        return -self.networks["discriminator"](self.networks["generator"](drawn["latents"])).mean()


def build(case: str, config: dict, examples: dict[str, np.ndarray], compiles: bool) -> Peer:
    """The peer of a case."""
    images = examples["examples"]
    if case == "dcgan32":
        channels = [64, 128, 256]
        generator = networks.dcgan_generator(64, 4, channels, 1)
        critic = networks.dcgan_discriminator(4, channels, 1)
        return NonSaturating(config, images, generator, critic, compiles)
    if case == "dcgan64":
        channels = [64, 128, 256, 512]
        generator = networks.dcgan_generator(64, 4, channels, 3)
        critic = networks.dcgan_discriminator(4, channels, 3)
        return NonSaturating(config, images, generator, critic, compiles)
    if case == "ring8":
        generator = networks.point_generator(2, 400)
        critic = networks.maxout_discriminator(200, 5)
        return Ring(config, images, generator, critic, compiles)
    if case == "digits-wgan-gp":
        channels = [32, 64]
        generator = networks.dcgan_generator(64, 2, channels, 1)
        critic = networks.dcgan_discriminator(2, channels, 1)
        return WassersteinGradientPenalty(config, images, generator, critic, compiles)
    if case == "resnet32-wgan-gp":
        generator = networks.resnet_generator(64, 64, 3)
        critic = networks.resnet_discriminator(64, 3)
        return WassersteinGradientPenalty(config, images, generator, critic, compiles)
    raise ValueError(f"no peer for the case {case!r}")


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

    def __init__(
        self, case: str, config: dict, examples: dict[str, np.ndarray], compiles: bool
    ):
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        self.peer = build(case, config, examples, compiles)

    def play(self, steps: int) -> float:
        """Seconds of so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            self.peer.step()
        return time.perf_counter() - began

    def gigaflop(self) -> float:
        """Floating-point operations of a step in products and convolutions, in 10⁹."""
        with Operations() as counted:
            self.peer.step()
        return counted.total / 1e9

    def evaluate(self, given: dict[str, Any]) -> dict[str, tuple[int, float, float]]:
        """Loads weights; parameters, loss and norm of the gradient of each player."""
        peer, found = self.peer, {}
        drawn = {name: torch.from_numpy(value) for name, value in given["drawn"].items()}
        for player, network in peer.networks.items():
            found[player] = [networks.load(network, given["weights"][player])]
        real = stored(given["batch"])  # A view with channels last.
        for player, network in peer.networks.items():
            peer.networks["discriminator"].requires_grad_(player == "discriminator")
            peer.optimizers[player].zero_grad()
            loss = peer.losses[player](real, drawn)
            loss.backward()
            gradients = [value.grad for value in network.parameters() if value.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
            found[player] += [loss.item(), norm.item()]
        return {player: tuple(values) for player, values in found.items()}


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
