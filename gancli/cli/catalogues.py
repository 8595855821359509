"""Every catalogue by its name in `gan list`."""

from gancli.adversarial.augmentations import AUGMENTATIONS
from gancli.adversarial.dynamics import DYNAMICS
from gancli.adversarial.games import GAMES
from gancli.adversarial.losses import LOSSES
from gancli.adversarial.optimizers import OPTIMIZERS
from gancli.adversarial.penalties import PENALTIES
from gancli.adversarial.schedules import SCHEDULES
from gancli.data import DATASETS
from gancli.evaluation import METRICS
from gancli.features import FEATURES
from gancli.networks import MODELS
from gancli.registry import Registry
from gancli.tasks import TASKS
from gancli.training.monitors import MONITORS, PATHOLOGIES


def catalogues() -> dict[str, Registry]:
    """The registries by the plural noun for their entries."""
    return {
        "losses": LOSSES,
        "penalties": PENALTIES,
        "models": MODELS,
        "tasks": TASKS,
        "datasets": DATASETS,
        "metrics": METRICS,
        "monitors": MONITORS,
        "pathologies": PATHOLOGIES,
        "features": FEATURES,
        "dynamics": DYNAMICS,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "augmentations": AUGMENTATIONS,
        "games": GAMES,
    }
