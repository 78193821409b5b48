"""`headstart config`."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.pipelines.cli.options import takes_settings
from headstart.pipelines.cluster.settings import SETTINGS, Settings


@takes_settings
def config(*, settings: Settings) -> None:
    """Shows the settings in force and where each comes from.

    The later wins: the defaults, headstart.yaml in the working folder (or --config), the environment, flags. A token
    is never shown, nor a password in an address.
    """
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "from", "variable"):
        table.add_column(title, overflow="fold")
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        if is_remote(value):
            value = without_secrets(value)
        shown = "(set, not shown)" if setting.secret and value else value or "-"
        table.add_row(*map(escape, (name, shown, settings.sources[name], setting.variable)))
    Console().print(table)
