"""Every catalogue by the name that `gan list` gives it."""

from gancli.augment import AUGMENTATIONS
from gancli.data import DATASETS
from gancli.dynamics import DYNAMICS
from gancli.evaluation import METRICS
from gancli.features import FEATURES
from gancli.games import GAMES
from gancli.losses import LOSSES
from gancli.networks import MODELS
from gancli.optimizers import OPTIMIZERS, SCHEDULES
from gancli.penalties import PENALTIES
from gancli.registry import Registry
from gancli.tasks import TASKS


def catalogues() -> dict[str, Registry]:
    """The registries, by the plural of what they hold."""
    return {
        "losses": LOSSES,
        "penalties": PENALTIES,
        "models": MODELS,
        "tasks": TASKS,
        "datasets": DATASETS,
        "metrics": METRICS,
        "features": FEATURES,
        "dynamics": DYNAMICS,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "augmentations": AUGMENTATIONS,
        "games": GAMES,
    }
