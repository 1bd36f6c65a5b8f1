"""simulate bras, simulate gateway."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import httpx
import typer
from standardwebhooks import Webhook

from aaa.bras import Box, BoxOptions, Credential, Runner
from core.errors import ProvedorError
from provedor.settings import load_settings

simulate_app = typer.Typer(no_args_is_help=True, help="a BRAS, and a gateway's webhook, to try things with")


@simulate_app.command()
def bras(
    credentials: Annotated[Path | None, typer.Option(help="CSV with login,password and perhaps method")] = None,
    users: Annotated[int, typer.Option(help="or so many of user0000000/pass0000000, …")] = 0,
    server: Annotated[str, typer.Option()] = "127.0.0.1",
    address: Annotated[str, typer.Option(help="our own address, as the NAS entry has it")] = "127.0.0.1",
    secret: Annotated[str, typer.Option(envvar="BRAS_SECRET")] = "testing123",  # noqa: S107
    coa_port: Annotated[int, typer.Option()] = 3799,
    redial: Annotated[str, typer.Option(help="seconds until a CPE dials again, from-to")] = "5-90",
    ramp: Annotated[float, typer.Option(help="logins a second")] = 200.0,
    interim: Annotated[float, typer.Option(help="seconds between interims; 0: as the server says")] = 0.0,
    control: Annotated[Path | None, typer.Option(help="Unix socket for commands")] = None,
) -> None:
    """A MikroTik with subscribers: logs them in, accounts them, answers CoA and Disconnect."""
    settings = load_settings()
    low, _, high = redial.partition("-")
    options = BoxOptions(
        address=address, secret=secret.encode(), redial_s=(float(low), float(high or low)), ramp=ramp,
        interim_s=interim or None,
    )  # fmt: skip
    runner = Runner(
        options, _credentials(credentials, users), server=server, auth_port=settings.radius_auth_port,
        acct_port=settings.radius_acct_port, coa_port=coa_port, control=control,
    )  # fmt: skip
    run_until_signal(runner, _report)


def run_until_signal(runner: Runner, report: Callable[[Box], None]) -> None:
    """Run a simulated BRAS until SIGTERM or SIGINT; it then says goodbye to the server."""
    stopping: list[bool] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    runner.run(lambda: bool(stopping), report)


@simulate_app.command()
def gateway(
    invoice_id: str,
    amount_cents: int,
    secret: Annotated[str, typer.Option(envvar="WEBHOOK_SECRET", help="whsec_…")],
    url: Annotated[str, typer.Option()] = "http://127.0.0.1:8000/hooks/standard",
    payment_id: Annotated[str, typer.Option(help="the same id is the same payment")] = "",
) -> None:
    """Send a signed payment.received as Standard Webhooks has it."""
    now = datetime.now(UTC)
    payment = payment_id or f"pay-{invoice_id}-{int(now.timestamp())}"
    data = {"invoice_id": invoice_id, "payment_id": payment, "amount_cents": amount_cents,
            "paid_at": now.isoformat(), "method": "pix"}  # fmt: skip
    body = json.dumps({"type": "payment.received", "timestamp": now.isoformat(), "data": data})
    headers = {"webhook-id": f"msg_{payment}", "webhook-timestamp": str(int(now.timestamp())),
               "webhook-signature": Webhook(secret).sign(f"msg_{payment}", now, body)}  # fmt: skip
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=15)
    except httpx.HTTPError as error:
        raise ProvedorError(f"{url} does not answer: {error}") from None
    typer.echo(f"{answer.status_code} {answer.text}")
    if answer.status_code != 200:
        raise typer.Exit(1)


def _credentials(file: Path | None, users: int) -> list[Credential]:
    if file is None:
        return [Credential(f"user{number:07d}", f"pass{number:07d}") for number in range(users)]
    with file.open(newline="") as rows:
        return [Credential(row["login"], row["password"], row.get("method") or "pap") for row in csv.DictReader(rows)]


def _report(box: Box) -> None:
    rejects = sum(one.rejects for one in box.subscribers)
    typer.echo(f"online {box.online} of {len(box.subscribers)}, rejects {rejects}, unanswered {box.lost}")
