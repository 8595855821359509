"""The watch over a run: its monitors, the measurements of its states, and its diagnosis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gancli.adversarial.dynamics import TrainState
from gancli.config import Config
from gancli.data.dataset import Dataset
from gancli.runs.checkpoints import Checkpoints
from gancli.runs.resume_point import Projected, ResumePoint
from gancli.system import processes
from gancli.system.placement import on_one_device
from gancli.tasks import Task
from gancli.training.monitors import MONITORS, Change, Diagnosis, Window, diagnose
from gancli.training.monitors.diagnosis import PREFIX
from gancli.training.monitors.fluctuations import fluctuations
from gancli.training.monitors.motion import motion
from gancli.training.monitors.probe import build_probe
from gancli.training.rollback import FoundError, Record, RemediedError, Rollback, plan_remedy


class Watch:
    """The watch over one run.

    Args:
        config: configuration of the run.
    """

    def __init__(self, config: Config):
        self._config = config
        self._monitors = [MONITORS.build(name, config) for name in MONITORS.names()]
        self.diagnosis = Diagnosis(config)
        self.projections: tuple[Projected, ...] = ()

    def prepare(self, task: Task, dataset: Dataset, held_out: Dataset | None) -> None:
        """Fixes what the states of an attempt are measured by; see `build_probe`."""
        self._probe = build_probe(task, self._config, dataset, held_out)

    def replay(
        self, config: Config, lines: Iterable[Mapping[str, Any]], point: ResumePoint
    ) -> None:
        """Begins the diagnosis of an attempt; see `diagnose`."""
        self.diagnosis, _ = diagnose(config, lines, point.rollbacks)
        self.projections = point.projections

    def treat(
        self,
        begun: Sequence[Change],
        dataset: Dataset,
        checkpoints: Checkpoints,
        rollbacks: Sequence[Record],
    ) -> None:
        """Ends an attempt if a pathology that begins has a remedy; see `plan_remedy`.

        Raises:
            RemediedError: with the rollback.
        """
        planned = None
        if begun and processes.is_first():  # Only this process knows all lines of the run.
            checkpoints.wait()
            planned = plan_remedy(self.diagnosis, begun, dataset, checkpoints, rollbacks)
        if planned := processes.of_first(planned):
            raise RemediedError(Rollback(*planned))

    def check(self, window: Window) -> None:
        """Shows the monitors new metrics or a state.

        Raises:
            FoundError: if training cannot continue with them.
        """
        for monitor in self._monitors:
            if finding := monitor(window):
                raise FoundError(finding)

    def measure(self, state: TrainState, window: Window) -> dict[str, float]:
        """Measures a state and the metrics before it, as figures of a line of metrics."""
        figures, players = self._probe(on_one_device(state))
        # A step may be measured again after an interruption.
        before = [one for one in self.projections if one.step < window.step]
        now = Projected(window.step, players)
        self.projections = (*before[-1:], now)
        found = fluctuations(window.names, window.rows) | figures | motion(before, now)
        return {f"{PREFIX}{name}": value for name, value in found.items()}
