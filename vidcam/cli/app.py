"""``vidcam app``: the app in the browser."""

from __future__ import annotations

from typing import Annotated

from vidcam.cli import options
from vidcam.io.extras import require_extra

__all__ = ["EXAMPLES", "serve_app"]

EXAMPLES = """
[bold]Examples[/bold]

  vidcam app --open                                         open the app in your browser, for this machine only

  vidcam app --host 0.0.0.0 --auth anna:secret              also serve other machines in the network
"""


def serve_app(
    model: Annotated[
        str,
        options.model_option(help="Model that is selected at first, and that the live tab uses: a name from `vidcam models`."),
    ] = "auto",
    plugin: options.Plugin = None,
    host: options.Host = "127.0.0.1",
    port: Annotated[int, options.server_option(min=0, max=65535, help=options.PORT_HELP)] = 7860,
    name: options.Name = None,
    auth: Annotated[str | None, options.server_option(metavar="USER:PASSWORD", help="Require HTTP basic auth.")] = None,
    share: Annotated[
        bool,
        options.server_option("--share", help="Also serve the app at a public address, through Gradio's servers."),
    ] = False,
    open_browser: Annotated[bool, options.server_option("--open", help="Open the page in your browser.")] = False,
    max_size: Annotated[int, options.server_option(metavar="MB", min=1, help="Maximum upload size (MB).")] = 200,
    max_minutes: Annotated[
        float,
        options.server_option(metavar="MIN", min=0.1, help="Maximum length of an uploaded video (minutes)."),
    ] = 5.0,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Serve the app: upload a video, see what the model says, where, and when; compare methods; explain your camera live.

    --name and --share need --auth. With --auth, other machines need no token.
    """
    require_extra("app", "vidcam app")
    from vidcam.cli.progress import ProgressBar
    from vidcam.web.studio.app import Limits, Options, run

    with ProgressBar(quiet=quiet) as bar:
        run(
            Options(
                host=host, port=port, model=model, device=device, name=name, auth=auth, share=share, open=open_browser,
                limits=Limits(size=max_size * 1_000_000, seconds=60 * max_minutes), say=bar.print_message,
            )
        )  # fmt: skip
