"""The command line: `milepost COMMAND …`; one file for each group of commands, loaded when it is asked for.

What scripts may rely on: exit code 0 done, 1 the answer is no (differences, mistakes in a model, figures missed), 2 wrong use
(a flag, a setting, an argument), 3 the system could not do it. `--json` prints one object on stdout and nothing else; progress
and logs go to stderr. An error is one sentence on stderr; `MILEPOST_LOG_LEVEL=debug` shows where it came from.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from milepost.cli._commands import program

__all__ = ["main", "run"]

OK, NO, WRONG_USE, FAILED = 0, 1, 2, 3
INTERRUPTED = 128 + signal.SIGINT  # as a shell reports a command that Ctrl-C ended


def main() -> None:
    """Runs the words after the program's name, and exits."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Runs one command line. → the exit code. What is wrong has been said on stderr."""
    try:
        answer = program.main(args=list(words), prog_name="milepost", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); what is still in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        return _say(error, words)
    return answer if isinstance(answer, int) else OK


def _say(error: Exception, words: Sequence[str]) -> int:
    """One sentence for an error. → its exit code."""
    from milepost.errors import InvalidInput, MilepostError, SettingsError, TooLarge
    from milepost.model import ModelError

    if os.environ.get("MILEPOST_LOG_LEVEL", "").lower() == "debug":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ModelError):
        from milepost.cli._output import problem_lines

        for line in problem_lines(error):
            click.echo(line, err=True)
        return NO
    match error:
        case InvalidInput() if error.errors and str(error) == InvalidInput.__doc__:
            from milepost.cli._as_written import as_written

            sentence = "; ".join(
                f"{as_written(field.pointer, program, words) or 'it'}: {field.detail}" for field in error.errors
            )
            code = WRONG_USE
        case SettingsError() | InvalidInput() | TooLarge():
            sentence, code = str(error), WRONG_USE
        case MilepostError():
            sentence, code = str(error), FAILED
        case OSError():
            named = f"{error.filename}: " if error.filename else ""
            sentence, code = f"{named}{error.strerror or error}.", FAILED
        case _:
            sentence = f"milepost made a mistake ({type(error).__name__}: {error}); MILEPOST_LOG_LEVEL=debug shows where."
            code = FAILED
    click.echo(f"Error: {' '.join(sentence.split())}", err=True)
    return code


def _end(number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as an error would: what it opened is closed, an embedded server stopped."""
    raise SystemExit(128 + number)
