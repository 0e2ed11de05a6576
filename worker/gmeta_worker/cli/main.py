"""The `gmeta` command."""

import importlib
import sys

import click

from gmeta_api.errors import GMetaError

# Imported when used: `gmeta validate` must not wait for torch.
COMMANDS = {
    "fetch": "gmeta_worker.cli.fetch:fetch",
    "prepare": "gmeta_worker.cli.prepare:prepare",
    "inspect": "gmeta_worker.cli.inspect:inspect",
    "validate": "gmeta_worker.cli.validate:validate",
    "plan": "gmeta_worker.cli.plan:plan",
    "run": "gmeta_worker.cli.run:run",
    "sweep": "gmeta_worker.cli.sweep:sweep",
    "evaluate": "gmeta_worker.cli.evaluate:evaluate",
    "compare": "gmeta_worker.cli.compare:compare_runs",
    "export": "gmeta_worker.cli.export:export",
    "adapt": "gmeta_worker.cli.adapt:adapt",
}


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the signature is click's
        """All names, in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the subcommand; None for an unknown name, which click reports."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, epilog="Example:  gmeta fetch movielens-100k --out volumes/data/ml-100k-raw")
@click.version_option(package_name="gmeta-worker", prog_name="gmeta")
def gmeta() -> None:
    """Train meta-learned recommendation models from a MetaTrainingJob manifest."""


def main() -> None:
    """Entry point; a user's mistake ends with its message and documented exit code, never with a traceback."""
    try:
        gmeta(prog_name="gmeta")
    except GMetaError as error:
        click.echo(f"gmeta: {error}", err=True)
        sys.exit(int(error.exit_code))
