"""TensorBoard event files, written by TensorBoard's own writer (the extra `tensorboard`)."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from gancli.errors import UserError

# While a module of this name can be imported, TensorBoard writes files without TensorFlow, whose
# import takes seconds and hundreds of MiB.
_WITHOUT_TENSORFLOW = "tensorboard.compat.notf"


class EventFile:
    """Scalars of a run as a TensorBoard event file.

    Args:
        folder: the log directory that TensorBoard reads.

    Raises:
        UserError: if the extra is not installed.
    """

    def __init__(self, folder: Path):
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise UserError(
                "logging.tensorboard=true needs the package tensorboard, which is not installed",
                remedy="Run: pip install tensorboard",
            ) from None
        sys.modules.setdefault(_WITHOUT_TENSORFLOW, ModuleType(_WITHOUT_TENSORFLOW))
        self._writer = EventFileWriter(str(folder))

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the scalars of a step."""
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._writer.add_event(
            Event(wall_time=time.time(), step=step, summary=Summary(value=scalars))
        )
        self._writer.flush()

    def restart(self, step: int) -> None:
        """Marks a restart at a step, so that TensorBoard drops earlier scalars after it."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore

        log = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=step + 1, session_log=log))

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()
