"""`headstart config`."""

from headstart.components.core.storage.stores import is_remote, without_secrets
from headstart.pipelines.cli.options import takes_settings
from headstart.pipelines.cluster.settings import SETTINGS, ClusterSettings
from headstart.pipelines.progress.console import print_table


@takes_settings
def config(*, settings: ClusterSettings) -> None:
    """Shows the settings in force and the source of each.

    The later wins: defaults, headstart.yaml in the working folder (or --config), the environment, options. A token is
    never shown, nor a password in an address.
    """
    rows = []
    for name, setting in SETTINGS.items():
        value = getattr(settings, name)
        if is_remote(value):
            value = without_secrets(value)
        shown = "(set, not shown)" if setting.secret and value else value or "-"
        rows.append((name, shown, settings.sources[name], setting.variable))
    print_table(("setting", "value", "from", "variable"), rows)
