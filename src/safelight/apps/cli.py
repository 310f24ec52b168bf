"""The command line: `safelight COMMAND ...`.

Each command lives in a file of its own, which brings its arguments and a function that does the work. Nothing heavy is
imported before that function runs, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from safelight import __version__
from safelight.apps import convert, data, evaluate, fetch, generate, info, merge, models, replay, train
from safelight.errors import BadInput

DONE, OUR_FAULT, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
COMMANDS = (generate, replay, models, info, fetch, convert, merge, train, evaluate, data)


class Parser(argparse.ArgumentParser):
    """Arguments, with one line for an error instead of the whole usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print what is wrong and leave with the code for wrong use."""
        self.exit(WRONG_USE, f"safelight: {message} (see `{self.prog} --help`)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(prog="safelight", description="Stable Diffusion to read, run, train and watch develop.")
    top.add_argument("--version", action="version", version=f"safelight {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add_to(commands)
    return top


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 2 wrong use or bad input, 1 a fault of ours."""
    open_streams()
    logging.basicConfig(format="safelight: %(message)s", stream=sys.stderr, level=logging.WARNING)
    arguments = parser().parse_args(words)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BadInput as error:
        print(f"safelight: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        print("safelight: interrupted; nothing is half-written.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left; nor is there a complaint when Python flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUR_FAULT
    except OSError as error:
        print(f"safelight: {error}", file=sys.stderr)
        return OUR_FAULT
    return DONE


def open_streams() -> None:
    """Let what is said go nowhere where a stream is closed, as in a daemon; escape letters that it cannot say."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (open as long as the process)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
