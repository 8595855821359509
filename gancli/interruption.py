"""Requests to stop, which schedulers and people make by signals."""

import signal
from types import FrameType


class StopRequest:
    """Whether a signal has asked to stop; true in a condition once it has."""

    def __init__(self) -> None:
        self.made = False

    def __bool__(self) -> bool:
        return self.made


def listen() -> StopRequest:
    """Turns SIGINT, SIGTERM and SIGUSR1 into a request, from now to the end of the process.

    A second SIGINT stops at once, as Python does. To be called before slow imports, so that
    a signal during them is a request, too.

    Returns:
        The request, to be asked between steps.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        request.made = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, ask)
    return request
