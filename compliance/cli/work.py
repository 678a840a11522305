"""`flask work`: do what is due, once or for ever."""

import signal
import threading

import click
from flask import Flask

from compliance import work
from compliance.deployment import deployment


@click.command("work")
@click.option("--loop", is_flag=True, help="Go on until stopped (SIGTERM, Ctrl-C).")
def work_command(loop: bool) -> None:
    """Ask again for checks that wait for the agency, ask the sentinels, and whatever else is due."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    click.echo(f"{work.run(deployment(), stop, loop=loop)} dikerjakan / done")


def register(app: Flask) -> None:
    app.cli.add_command(work_command)
