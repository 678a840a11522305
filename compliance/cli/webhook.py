"""`flask client webhook CLIENT URL`: where a client is told of final answers, ends of batches and watched permits."""

import click
from flask import Flask

from compliance.access.clients import Clients
from compliance.cli.access import clients
from compliance.delivery import outbox
from compliance.deployment import deployment
from compliance.errors import BadInput


@clients.command("webhook")
@click.argument("name")
@click.argument("url", default="")
def webhook(name: str, url: str) -> None:
    """Set the address of a client (its id or its name) and show the new secret, this once; without URL end it."""
    here = deployment()
    found = [client for client in Clients(here.log, here.clock).all() if name in (client.id, client.name)]
    if len(found) != 1:
        raise click.UsageError(f"{len(found)} clients are called {name}; take an id: flask client list")
    known = outbox.hook(here.log.engine, found[0].id)
    try:
        made = outbox.set_hook(here.log, known, found[0], url, by="operator", at=here.clock())
    except BadInput as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{found[0].id}  {made.url or 'no address'}")
    if made.url:
        click.echo(made.secret(here.settings.secret_key))


def register(app: Flask) -> None:
    """The command stands in the group of clients."""
