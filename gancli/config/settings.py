"""The sections of the configuration: every key, its allowed values, and its default.

Allowed values are declared only here; error messages derive their wording from it.
"""

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from gancli.registry import LONGEST_SPEC

LAST_STEP = 2**31 - 1  # the device counts steps in 32 bits
LARGEST_FLOAT = 1e30  # the device computes in float32
SMALLEST_FLOAT = 1e-30
SMALLEST_SIDE, LARGEST_SIDE = 4, 1024  # of images, in pixels
MOST_SPECS = 16
MOST_UPDATES = 1_000_000
MOST_EPOCHS = 1_000


class Section(BaseModel, frozen=True):
    """A part of the configuration: immutable; it refuses unknown keys and other types."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        str_max_length=LONGEST_SPEC,
    )


# Types that several fields share; each field adds its own description.
Step = Annotated[int, Field(ge=0, le=LAST_STEP)]
Interval = Annotated[int, Field(ge=1, le=LAST_STEP, description="in steps")]
Amount = Annotated[float, Field(ge=0, le=LARGEST_FLOAT)]
Positive = Annotated[float, Field(ge=SMALLEST_FLOAT, le=LARGEST_FLOAT)]
Share = Annotated[float, Field(ge=0, lt=1)]
Specs = Annotated[tuple[str, ...], Field(max_length=MOST_SPECS)]


# Marks a value that may change over a run: a number, or a schedule between two such numbers.
SCHEDULED = "may be a schedule"
ScheduledAmount = Annotated[Amount | str, SCHEDULED]
ScheduledShare = Annotated[Share | str, SCHEDULED]


def _updates(setting: int | str) -> int | str:
    """Refuses what is neither a number of updates nor of epochs that a step could hold.

    A number of epochs has one way to be written, so that it is one run.
    """
    if isinstance(setting, int):
        number, most = setting, MOST_UPDATES
    else:
        words = re.fullmatch(r"\s*(?:(\d{1,6})\s+)?epochs?\s*", setting, re.ASCII)
        number, most = int(words[1] or 1) if words else 0, MOST_EPOCHS
    if not 1 <= number <= most:
        raise ValueError("a step cannot hold so many updates")
    return setting if isinstance(setting, int) else f"{number} epoch{'s' * (number > 1)}"


Updates = Annotated[
    int | str,
    AfterValidator(_updates),
    Field(
        description="updates per step, or whole epochs",
        json_schema_extra={
            "allowed": f"a whole number from 1 to {MOST_UPDATES:,}, or whole epochs, 1 to "
            f"{MOST_EPOCHS:,}, for example '1 epoch'"
        },
    ),
]


def sides_of(size: int | str) -> tuple[int, int]:
    """Parses a size into height and width in pixels: one number for both, or `HEIGHTxWIDTH`.

    Raises:
        ValueError: if it is neither.
    """
    words = re.fullmatch(r"(\d{1,9})(?:x(\d{1,9}))?", str(size), re.ASCII)
    if not words:
        raise ValueError("neither a number nor HEIGHTxWIDTH")
    return int(words[1]), int(words[2] or words[1])


def _size(size: int | str) -> int | str:
    """Refuses sides out of range; writes equal sizes alike, so that they make the same run."""
    height, width = sides_of(size)
    if not SMALLEST_SIDE <= min(height, width) <= max(height, width) <= LARGEST_SIDE:
        raise ValueError("a side that images cannot have")
    return height if height == width else f"{height}x{width}"


class DataSettings(Section, frozen=True):
    """The data set, and how it is read."""

    name: Annotated[str, Field(description="a built-in name, a TFDS name or a path")] = "digits"
    target: Annotated[
        str, Field(description="a second data set, to translate into (image-to-image)")
    ] = ""
    paired: Annotated[
        Literal["", "AtoB", "BtoA"],
        Field(description="whether images belong together: by name, or two side by side"),
    ] = ""
    size: Annotated[
        Annotated[int | str, AfterValidator(_size)] | None,
        Field(
            description="image size in pixels: the side of squares, or HEIGHTxWIDTH",
            json_schema_extra={
                "allowed": f"a whole number from {SMALLEST_SIDE} to {LARGEST_SIDE:,}, or two as "
                "HEIGHTxWIDTH, for example 64x96"
            },
        ),
    ] = None
    fit: Annotated[
        Literal["crop", "pad"], Field(description="how to fit images to another aspect ratio")
    ] = "crop"
    split: Annotated[str, Field(description="the part that is read")] = "train"
    holdout: Annotated[
        Share, Field(description="of images without splits: the share that is their split test")
    ] = 0.0
    white_level: Annotated[
        int | None,
        Field(ge=1, le=65535, description="value of white in the files, e.g. 4095 of 12 bits"),
    ] = None
    keep: Annotated[
        Literal["", "alpha", "16bit"],
        Field(description="of images from files: opacity (RGBA), or 16 bits"),
    ] = ""
    skip_damaged: Annotated[
        bool, Field(description="leaves damaged files of a folder of images out")
    ] = False
    resident_mib: Annotated[
        int, Field(ge=0, le=2**30, description="larger sets stream from disk")
    ] = 1024


class OptimizerSettings(Section, frozen=True):
    """One player's optimizer."""

    name: Annotated[str, Field(description="see gan list optimizers")] = "adam"
    learning_rate: ScheduledAmount = 2e-4
    beta1: Share = 0.5
    beta2: ScheduledShare = 0.999
    epsilon: Positive = 1e-8
    momentum: Annotated[Share, Field(description="sgd only")] = 0.0
    weight_decay: Annotated[Amount, Field(description="adamw only")] = 0.0
    clip_norm: Annotated[
        float | None, Field(ge=SMALLEST_FLOAT, le=LARGEST_FLOAT, description="of the gradients")
    ] = None
    clip_weights: Annotated[
        float | None,
        Field(ge=SMALLEST_FLOAT, le=LARGEST_FLOAT, description="clip weights to ± this"),
    ] = None


class Optimizers(Section, frozen=True):
    """The optimizers of generator and discriminator."""

    generator: OptimizerSettings = OptimizerSettings()
    discriminator: OptimizerSettings = OptimizerSettings()


class InputSettings(Section, frozen=True):
    """How the discriminator's inputs are modified."""

    augment: Annotated[Specs, Field(description="differentiable augmentations")] = ()
    augment_probability: Annotated[
        Annotated[float, Field(ge=0, le=1)] | str,
        SCHEDULED,
        Field(description="probability of each augmentation, without a target"),
    ] = 1.0
    augment_target: Annotated[
        ScheduledShare, Field(description="target of E sign D(real) (ADA); 0: fixed probability")
    ] = 0.0
    augment_images: Annotated[
        int, Field(ge=1, le=LAST_STEP, description="images for ADA's probability to go 0 to 1")
    ] = 500_000
    noise: Annotated[ScheduledAmount, Field(description="σ of the instance noise")] = 0.0
    packing: Annotated[int, Field(ge=1, le=64, description="examples judged together (PacGAN)")] = 1


class AverageSettings(Section, frozen=True):
    """The exponential moving average (EMA) of the generator's weights."""

    decay: Annotated[ScheduledShare, Field(description="0 for no averaging")] = 0.999
    half_life: Annotated[
        ScheduledAmount, Field(description="in examples, decay 2^(-batch / this); 0: use decay")
    ] = 0.0
    rampup: Annotated[bool, Field(description="decay at most (1 + step) / (10 + step)")] = True


class TrainSettings(Section, frozen=True):
    """How long training takes, and by which rules."""

    steps: Annotated[Interval, Field(description="number of generator turns")] = 3000
    batch: Annotated[int, Field(ge=1, le=2**20, description="examples per update")] = 64
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    discriminator_steps: Updates = 1
    generator_steps: Updates = 1
    dynamics: Annotated[str, Field(description="see gan list dynamics")] = "alternating"
    precision: Annotated[
        Literal["float32", "bfloat16"],
        Field(description="of the networks' products, except in their last layers"),
    ] = "float32"
    shard_state: Annotated[
        bool,
        Field(description="divide weights and optimizer states among the devices, too"),
    ] = False
    microbatch: Annotated[
        int,
        Field(
            ge=0,
            le=2**20,
            description="examples that networks compute at a time, to save memory; 0: all",
        ),
    ] = 0


class FineTuneSettings(Section, frozen=True):
    """What a run starts from instead of random weights, and which layers keep what they learned."""

    source: Annotated[
        str, Field(description="a run or checkpoint whose weights the run starts from")
    ] = ""
    freeze_discriminator: Annotated[
        int, Field(ge=0, le=LAST_STEP, description="layers next to the image that do not train")
    ] = 0
    freeze_generator: Annotated[
        int, Field(ge=0, le=LAST_STEP, description="layers next to the latent that do not train")
    ] = 0

    @property
    def frozen(self) -> dict[str, int]:
        """The number of frozen layers of each player."""
        return {"discriminator": self.freeze_discriminator, "generator": self.freeze_generator}


class CheckpointSettings(Section, frozen=True):
    """When checkpoints are written, and how many are kept."""

    every: Interval = 1000
    minutes: Annotated[Positive, Field(description="longest time between checkpoints")] = 10.0
    keep: Annotated[int, Field(ge=1, le=LAST_STEP, description="newest ones to keep")] = 3


class SampleSettings(Section, frozen=True):
    """When sample grids are drawn."""

    every: Interval = 250
    count: Annotated[int, Field(ge=1, le=4096, description="examples in the grid")] = 64


class LoggingSettings(Section, frozen=True):
    """When and where metrics are written."""

    every: Interval = 50
    tensorboard: Annotated[bool, Field(description="also write TensorBoard event files")] = False
    profile: Annotated[
        bool, Field(description="trace some steps, and say which operations took longest")
    ] = False


class EvaluationSettings(Section, frozen=True):
    """When a run is evaluated while it trains, and what follows from the result."""

    every: Annotated[Step, Field(description="in steps; 0 for never")] = 0
    metrics: Annotated[Specs, Field(description="see gan list metrics; empty: all that fit")] = ()
    features: Annotated[
        str, Field(description="see gan list features; empty: the default for the data")
    ] = ""
    samples: Annotated[int, Field(ge=100, le=2**20, description="examples to generate")] = 1000
    best: Annotated[
        str, Field(description="METRIC/FIGURE that selects the step to keep, e.g. classes/score")
    ] = ""
    patience: Annotated[
        int,
        Field(
            ge=0,
            le=LAST_STEP,
            description="stop after this many evaluations without improvement; 0: never",
        ),
    ] = 0


class MonitorSettings(Section, frozen=True):
    """How a run is watched for what goes wrong in adversarial training."""

    every: Annotated[
        Step, Field(description="steps between measurements of samples and logits; 0 for never")
    ] = 250
    policy: Annotated[
        Literal["report", "stop", "remedy"],
        Field(
            description="say what goes wrong and train on, end the run early, or go back to a "
            "checkpoint and train on with a remedy"
        ),
    ] = "report"
    remedies: Annotated[int, Field(ge=1, le=100, description="maximum number of remedies")] = 3


class DivergenceSettings(Section, frozen=True):
    """What happens when a value is not finite or a loss explodes."""

    policy: Annotated[
        Literal["stop", "rollback"],
        Field(description="end, or return to the last checkpoint with a lower learning rate"),
    ] = "stop"
    loss_limit: Annotated[Positive, Field(description="a loss beyond ± this has exploded")] = 1e6
    rollbacks: Annotated[int, Field(ge=1, le=100, description="maximum number of rollbacks")] = 3
    factor: Annotated[
        float, Field(gt=0, lt=1, description="learning rate factor of each rollback")
    ] = 0.5


class Config(Section, frozen=True):
    """Everything that decides a run, including its seed."""

    task: str = "generation"
    model: str = "dcgan"
    loss: str = "hinge"
    penalties: Specs = ()
    data: DataSettings = DataSettings()
    optimizer: Optimizers = Optimizers()
    inputs: InputSettings = InputSettings()
    average: AverageSettings = AverageSettings()
    train: TrainSettings = TrainSettings()
    finetune: FineTuneSettings = FineTuneSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    sample: SampleSettings = SampleSettings()
    logging: LoggingSettings = LoggingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    monitors: MonitorSettings = MonitorSettings()
    divergence: DivergenceSettings = DivergenceSettings()


def fields(section: type[BaseModel] = Config, prefix: str = "") -> dict[str, FieldInfo]:
    """Every field of the configuration by dotted key."""
    flat: dict[str, FieldInfo] = {}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            flat |= fields(field.annotation, f"{prefix}{name}.")
        else:
            flat[prefix + name] = field
    return flat


def of_both_players(key: str) -> tuple[str, ...]:
    """The keys for which `optimizer.KEY` stands, one for each player; empty for any other key."""
    section, _, name = key.partition(".")
    if section != "optimizer" or name not in OptimizerSettings.model_fields:
        return ()
    return tuple(f"optimizer.{player}.{name}" for player in Optimizers.model_fields)


def known_keys() -> list[str]:
    """Every key that may be given a value: those of fields, and those of both players."""
    both = [f"optimizer.{name}" for name in OptimizerSettings.model_fields]
    return [*fields(), *both]


# What others call a key, by the last part of what they write.
OTHER_NAMES = {
    "batch_size": "train.batch",
    "batchsize": "train.batch",
    "bs": "train.batch",
    "critic_steps": "train.discriminator_steps",
    "ema": "average.decay",
    "epochs": "train.steps",
    "image_size": "data.size",
    "iterations": "train.steps",
    "lr": "optimizer.learning_rate",
    "n_critic": "train.discriminator_steps",
    "resolution": "data.size",
}


def allowed(field: FieldInfo) -> str:
    """What a field accepts, in words."""
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["allowed"])
    if SCHEDULED in field.metadata:
        number = FieldInfo.from_annotation(get_args(field.annotation)[0])
        return f"{allowed(number)}, or a schedule of such numbers (gan list schedules)"
    words = {
        int: "a whole number",
        float: "a number",
        str: f"UTF-8 text of at most {LONGEST_SPEC:,} characters",
        bool: "true or false",
    }
    kinds = [field.annotation, *get_args(field.annotation)]
    names = [words[kind] for kind in kinds if kind in words]
    if not names:
        names = [repr(one) for one in get_args(field.annotation) if isinstance(one, str)]
    if tuple in (getattr(field.annotation, "__origin__", None),):
        names = [f"a list of text, at most {MOST_SPECS}"]
    limits = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{text} {getattr(limit, name):,}"
        for limit in field.metadata
        for name, text in limits.items()
        if hasattr(limit, name)
    ]
    return " or ".join(names) + (", " + ", ".join(bounds) if bounds else "")
