"""`flask work`: do what is due, once or for ever."""

import logging
import signal
import threading

import click
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from compliance import work
from compliance.deployment import deployment
from compliance.errors import GateError

log = logging.getLogger(__name__)
PAUSE = 5.0  # seconds between two looks at what is due


@click.command("work")
@click.option("--loop", is_flag=True, help="Go on until stopped (SIGTERM, Ctrl-C).")
def work_command(loop: bool) -> None:
    """Ask again for checks that wait for the agency, ask the sentinels, and whatever else is due."""
    here, stop, done = deployment(), threading.Event(), 0
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    here.log.check_start()
    while not stop.is_set():
        try:
            work.standing(here)
            while (batch := work.do_due(here)) and not stop.is_set():
                done += batch
        except (GateError, SQLAlchemyError) as error:
            if not loop:
                raise
            log.error("the database is away (%s); what is due waits", type(error).__name__)
        if not loop:
            break
        stop.wait(PAUSE)
    click.echo(f"{done} dikerjakan / done")


def register(app: Flask) -> None:
    app.cli.add_command(work_command)
