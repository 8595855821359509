"""Training of a run by itself: a generator of events, which others draw and print."""

from collections.abc import Callable, Iterator
from contextlib import closing

from gancli.data.dataset import Dataset
from gancli.dynamics import TrainState
from gancli.events import Event
from gancli.execution import Compile, Drawn, Execution, Play, Progress, Request
from gancli.interruption import StopRequest, while_listening
from gancli.judge import Judge
from gancli.loop import Requests, requests_of
from gancli.runs.directory import Run


def train(
    run: Run, dataset: Dataset, stop: StopRequest | None = None, judge: Judge | None = None
) -> Iterator[Event]:
    """Trains a run from where it stands to its last step; the caller holds its lock.

    In a job of several processes all of them call it, and the first writes the run. Arguments,
    events and errors are those of `requests_of`, whose requests are answered here; a run without
    `stop` cannot be stopped.
    """
    # A request that was not made is false, so `or` would put another in its place.
    stop = StopRequest() if stop is None else stop
    player = Player()
    with closing(requests_of(run, dataset, stop, judge)) as requests:
        asked = next(requests, None)
        while asked is not None:
            if isinstance(asked, Compile | Play):
                asked = answered(requests, player, asked)
            else:
                yield asked
                asked = next(requests, None)


class Player:
    """Answers what one run asks for while it trains."""

    def __init__(self) -> None:
        self._execution: Execution | None = None
        self._play: Callable[[TrainState, Drawn], Progress] | None = None

    def answer(self, asked: Request) -> bool | Progress:
        """Whether the program was compiled before there was a request to stop; or the steps."""
        if isinstance(asked, Compile):
            self._execution = asked.execution
            self._play = while_listening(asked.execution.compile, asked.stop)
            return self._play is not None
        assert self._execution is not None
        assert self._play is not None
        drawn = self._execution.draw(asked.most)
        asked.drawn()
        return self._play(asked.here.state, drawn)


def answered(requests: Requests, player: Player, asked: Request) -> Event | Request | None:
    """Sends a run the answer to a request; an error in answering is raised where it was made.

    Returns:
        What comes next; None at the end.
    """
    try:
        answer = player.answer(asked)
    except BaseException as error:
        return requests.throw(error)
    return sent(requests, answer)


def sent(requests: Requests, answer: bool | Progress) -> Event | Request | None:
    """Sends a run an answer.

    Returns:
        What comes next; None at the end.
    """
    try:
        return requests.send(answer)
    except StopIteration:
        return None
