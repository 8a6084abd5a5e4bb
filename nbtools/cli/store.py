import click


@click.group("store", short_help="Check, back up and repair the store.")
def group() -> None: ...
