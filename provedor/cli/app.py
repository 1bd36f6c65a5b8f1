"""All commands, put together; heavy modules are imported by the command that needs them."""

from __future__ import annotations

import typer

from provedor.cli import (
    billing,
    connection_log,
    enforcement,
    explain,
    exports,
    gateways,
    imports,
    node,
    nodes,
    provision,
    radius,
    simulate,
    takeover,
    top,
    users,
)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Network provisioning and RADIUS."
)
app.command()(node.up)
app.command()(node.demo)
app.command()(top.top)
app.command()(node.settings)
app.command()(node.doctor)
app.command()(explain.explain)
app.add_typer(users.user_app, name="user")
app.add_typer(users.token_app, name="token")
app.add_typer(imports.import_app, name="import")
app.add_typer(exports.export_app, name="export")
app.add_typer(takeover.takeover_app, name="takeover")
app.add_typer(enforcement.enforcement_app, name="enforcement")
app.add_typer(enforcement.nas_app, name="nas")
app.add_typer(nodes.node_app, name="node")
app.add_typer(provision.provision_app, name="provision")
app.add_typer(billing.billing_app, name="billing")
app.add_typer(gateways.account_app, name="gateway")
app.add_typer(radius.radius_app, name="radius")
app.add_typer(simulate.simulate_app, name="simulate")
app.add_typer(connection_log.log_app, name="connection-log")
