"""The `kubectl gmeta` plugin: kubectl finds it on PATH as `kubectl-gmeta`."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from gmeta_api.errors import GMetaError
from gmeta_kubectl import logs, plan, scale, status, suspend, why
from gmeta_kubectl.kubectl import Kubectl


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        text: what it does.
        example: a command line.
        arguments: adds what it takes.
        run: what it does; the lines that it prints.
    """

    text: str
    example: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Kubectl], Iterable[str]]


COMMANDS = {
    "status": Command("Show all jobs, or all about one.", status.EXAMPLE, status.arguments, status.run),
    "why": Command("Explain a job's state and what to do about it.", why.EXAMPLE, why.arguments, why.run),
    "logs": Command("Print the log of a rank, worker or coordinator.", logs.EXAMPLE, logs.arguments, logs.run),
    "scale": Command("Change the number of workers.", scale.EXAMPLE, scale.arguments, scale.run),
    "suspend": Command("Commit, and give up all pods.", suspend.SUSPEND_EXAMPLE, suspend.arguments, suspend.suspend),
    "resume": Command("Go on from the last commit.", suspend.RESUME_EXAMPLE, suspend.arguments, suspend.resume),
    "plan": Command("Show what the operator would make of a manifest.", plan.EXAMPLE, plan.arguments, plan.run),
}

FLAGS = ("context", "kubeconfig", "cluster", "user", "as", "request-timeout")
"""Flags of kubectl that are handed on to it, beside the namespace."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    own = argparse.ArgumentParser(add_help=False)
    group = own.add_argument_group("as for kubectl")
    group.add_argument("-n", "--namespace", help="namespace of the job; else that of the context")
    for flag in FLAGS:
        group.add_argument(f"--{flag}", dest=f"kubectl_{flag}", metavar=flag.upper())
    text = "Look after MetaTrainingJobs. It runs your kubectl, with its contexts and rights."
    whole = argparse.ArgumentParser("kubectl gmeta", description=text, epilog=f"Example:  {status.EXAMPLE}")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        example = f"Example:  {command.example}"
        part = commands.add_parser(name, parents=[own], help=command.text, description=command.text, epilog=example)
        command.arguments(part)
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; what cannot be done ends with one line and exit code 1, a wrong command line with 2."""
    options = parser().parse_args(arguments)
    try:
        for line in COMMANDS[options.command].run(options, _kubectl(options)):
            print(line, flush=True)
    except GMetaError as error:
        sys.stderr.write(f"kubectl gmeta: {error}\n")
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        sys.exit(130)


def _kubectl(options: argparse.Namespace) -> Kubectl:
    given = ((flag, getattr(options, f"kubectl_{flag}")) for flag in FLAGS)
    return Kubectl(tuple(f"--{flag}={value}" for flag, value in given if value is not None), options.namespace)
