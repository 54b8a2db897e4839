"""The command line: turns words into calls of the package, and errors into exit codes.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Annotated, NoReturn

import typer

from vidcam.cli import annotate, benchmark, compare, evaluate, export, live, methods, models, train
from vidcam.cli import app as browser_app
from vidcam.cli.signals import handled_signals
from vidcam.errors import UsageError, VidcamError

__all__ = ["app", "main"]

app = typer.Typer(
    name="vidcam",
    help="Why did the action model say that, where, and when?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("annotate", epilog=annotate.EXAMPLES)(annotate.annotate)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("benchmark", epilog=benchmark.EXAMPLES)(benchmark.benchmark)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("live", epilog=live.EXAMPLES)(live.live)
app.command("app", epilog=browser_app.EXAMPLES)(browser_app.serve_app)
app.add_typer(models.app, name="models")
app.command("methods")(methods.methods)

OPENCV_LIBRARIES = re.compile(r"lib(GL|xcb|X11|gthread|glib)\b")
"""The system libraries that OpenCV needs and a system without a desktop may lack."""


def _print_versions(is_given: bool) -> None:
    if is_given:
        from vidcam.analysis import versions

        numbers = versions()
        others = ", ".join(f"{name} {number}" for name, number in numbers.items() if name != "vidcam")
        typer.echo(f"vidcam {numbers['vidcam']} ({others})")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print the versions and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line: the entry point of the ``vidcam`` command. Always ends with SystemExit."""
    # vidcam multiplies only small matrices with NumPy, and threads that wait for those take processors from the other stages.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with handled_signals():
        try:
            app()
        except VidcamError as error:
            _fail(str(error), 2 if isinstance(error, UsageError) else 1)
        except KeyboardInterrupt:  # outside of Typer, which turns it into 130 itself
            sys.exit(130)
        except ImportError as error:
            _fail(_missing_library(error), 1)
        except OSError as error:
            _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)


def _missing_library(error: ImportError) -> str:
    """Return what to install if ``error`` says that a system library is missing; raise ``error`` again if not."""
    library = re.search(r"(lib[^\s/:]+\.so[\d.]*): cannot open shared object file", str(error))
    if library is None:
        raise error
    is_opencv = OPENCV_LIBRARIES.match(library[1])
    fix = "apt-get install libgl1 libglib2.0-0 (Debian, Ubuntu)" if is_opencv else "install the package that it belongs to"
    return f"the system library {library[1]} is missing: {fix}"


def _fail(message: str, code: int) -> NoReturn:
    from vidcam.cli.progress import print_error

    print_error(message)
    sys.exit(code)
