"""The Typer application, its errors, and what several commands share."""

import os
import sys
import textwrap
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console
from typer.core import TyperCommand, TyperGroup, TyperOption

from gancli import __version__
from gancli.errors import GanError, UserError, shown
from gancli.system.interruption import StopNow, left_working
from gancli.system.streams import refused_output

if os.environ.get("COLUMNS") == "0":  # Said by terminals of no known size; nothing would fit.
    del os.environ["COLUMNS"]


class Lines(Console):
    """A console that breaks no word: a terminal's lines end between words, all others nowhere.

    Without markup, so that names and paths in brackets are printed unchanged.
    """

    def __init__(self, **options: Any):
        super().__init__(soft_wrap=True, highlight=False, markup=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints texts and tables; a word that is wider than the terminal stays whole.

        With `soft_wrap=True` lines stay whole, too, for what is no prose.
        """
        if self.is_terminal and not options.get("soft_wrap"):
            objects = tuple(
                "\n".join(map(self._broken, one.split("\n"))) if isinstance(one, str) else one
                for one in objects
            )
        super().print(*objects, **options)

    def _broken(self, line: str) -> str:
        if len(line) <= self.width:
            return line
        return textwrap.fill(line, self.width, break_long_words=False, break_on_hyphens=False)


out, err = Lines(), Lines(stderr=True)

_AT_ONCE = 130

RunToUse = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN", help="Run directory, or one of its checkpoints/STEP.", show_default=False
    ),
]
Checkpoint = Annotated[
    Path | None, typer.Option(help="The same as RUN, as an option.", show_default=False)
]
Raw = Annotated[bool, typer.Option("--raw", help="Use the raw weights instead of their EMA.")]
Keep = Annotated[
    Literal["alpha", "16bit"] | None,
    typer.Option(
        "--keep", help="Keep opacity, or 16 bits, of images.", show_default="8 bits, on white"
    ),
]


class Command(TyperCommand):
    """A command that refuses an option of one value which is given more than once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments; of several values, Typer would silently take the last."""
        parser = self.make_parser(ctx)
        for option in self.get_params(ctx):
            if isinstance(option, TyperOption) and not (option.multiple or option.is_flag):
                parser.add_option(option, option.opts, option.name, "append", option.nargs)
        values, _, _ = parser.parse_args([*args])
        for option in self.get_params(ctx):
            given = values.get(option.name)
            if isinstance(given, list) and len(given) > 1 and not option.multiple:
                raise UserError(
                    f"{option.opts[0]} was given {len(given)} times: "
                    f"{' and '.join(map(shown, given))}",
                    "one value",
                    "Leave out the others",
                )
        return super().parse_args(ctx, args)


class Application(typer.Typer):
    """An application whose commands are of the class `Command`."""

    def command(self, name: str | None = None, **settings: Any) -> Any:
        """Registers a command."""
        settings.setdefault("cls", Command)
        return super().command(name, **settings)


class Commands(TyperGroup):
    """Commands in the order they were added; errors end with their exit status."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands' names."""
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; a known error becomes one message and its exit status."""
        try:
            with _explained():
                return super().invoke(ctx)
        except GanError as error:
            label = "" if error.exit_status == 75 else "error: "
            err.print(f"{label}{error}", style="red" if label else None)
            raise typer.Exit(error.exit_status) from None
        except StopNow:
            err.print("Stopped; nothing is left half-written. Run the same command to start again.")
            raise typer.Exit(75) from None
        except KeyboardInterrupt:
            err.print("Stopped at once; everything saved before is intact.")
            raise typer.Exit(_AT_ONCE) from None


app = Application(
    cls=Commands,
    name="gan",
    help="Train, sample, resume and compare generative adversarial networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Train, sample, resume and compare generative adversarial networks."""
    if version:
        print(__version__)
        raise typer.Exit


def main() -> None:
    """Runs the command line."""
    try:
        app(prog_name="gan")
    except SystemExit as ended:
        sys.stdout.flush()
        if not ended.code and (reason := refused_output()):
            err.print(f"error: the output could not be written: {reason}", style="red")
            ended.code = 2
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if status == _AT_ONCE or _leaves_others(status) or left_working():
            # Without waiting for threads that compile or write; what they leave has no name.
            _end_at_once(status)
        raise
    except Exception:
        if _leaves_others(1):
            traceback.print_exc()
            _end_at_once(1)
        raise


def _leaves_others(status: int) -> bool:
    """Whether this process ends in the middle of a job of several; see `processes.leave`."""
    processes = sys.modules.get("gancli.system.processes")
    return processes is not None and processes.leave(status)


def _end_at_once(status: int) -> NoReturn:
    sys.stderr.flush()
    os._exit(status)


@contextmanager
def _explained() -> Iterator[None]:
    """Says why no relative path can be used where the working directory was removed."""
    try:
        yield
    except FileNotFoundError:
        try:
            os.getcwd()
        except FileNotFoundError:
            raise UserError(
                "the working directory was removed", "one that is there", "Go to another directory"
            ) from None
        raise


def warn(messages: Iterable[str]) -> None:
    """Prints warnings, one a line."""
    for message in messages:
        err.print(f"warning: {message}")


def refuse_with(what: str, allowed: str, options: Mapping[str, object]) -> None:
    """Refuses options that mean nothing beside another one.

    Args:
        what: the other one, as it was given.
        allowed: what is allowed instead.
        options: values by option; None and False are those that were not given.

    Raises:
        UserError: naming those that were given.
    """
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        raise UserError(
            f"{what} with {', '.join(given)}", allowed, f"Leave out {' and '.join(given)}"
        )


def one_of(run: Path | None, ckpt: Path | None) -> Path:
    """The run that a command is to use, as it was given: by its place or by --ckpt.

    Raises:
        UserError: if it was given in neither way or in both.
    """
    if run is None and ckpt is None:
        raise UserError("no run was given", "RUN, a run directory or one of its checkpoints/STEP")
    if run is not None and ckpt is not None:
        raise UserError(f"both RUN {shown(str(run))} and --ckpt {shown(str(ckpt))}", "one of them")
    return run or ckpt or Path()


def compute(together: bool = False) -> None:
    """Prepares JAX for a command that computes, and keeps compiled programs on disk.

    Args:
        together: whether to join the other processes of the job, if there are any.
    """
    from gancli.system import processes
    from gancli.system.compilation_cache import keep_compiled

    if together:
        processes.join()
    processes.start_devices()
    keep_compiled()
