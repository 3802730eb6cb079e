"""`ddbuild keygen`: a key to sign results with."""

from __future__ import annotations

import os
import sys

import click

from ddbuild.cache.signing import KEY_VARIABLE, create_private_key, find_private_key, read_public_key
from ddbuild.errors import UsageError

__all__ = ["command"]


@click.command("keygen")
@click.option("--show", is_flag=True, help="Print the public key of the key that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Print the public key and nothing else.")
def command(show: bool, quiet: bool) -> None:
    """Make a key to sign results with, and print its public half.

    The private key goes into $XDG_CONFIG_HOME/ddbuild, or to the path in DDBUILD_SIGNING_KEY, and leaves this machine
    only if you copy it. The public key goes into `ddbuild.toml`, where all can read it.
    """
    path = find_private_key(os.environ)
    if path is None:
        raise UsageError("there is no home folder for a key", hint=f"name a file with {KEY_VARIABLE}")
    public = read_public_key(path) if show else create_private_key(path)
    print(public)
    if quiet or show:
        return
    lines = [
        f"wrote {path}",
        "",
        "whoever trusts it says so in ddbuild.toml:",
        "  [cache]",
        '  trust = "signed"',
        f'  trusted_keys = ["{public}"]',
    ]
    print("\n".join(lines), file=sys.stderr)
