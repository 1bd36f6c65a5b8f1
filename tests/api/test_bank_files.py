"""Bank files over REST: stored and then worked, mapped, previewed, decided by people, and missed."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from api_rows import make_contract
from bank_files import Detail, itau_return, work_to_end
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.edge import BODY_OCTETS_MAX, FILE_OCTETS_MAX, FILES_MAX, Edge
from core.clock import utc_now
from core.database import Database

API = "/api/v1"
STATEMENT = (Path(__file__).parent.parent / "vectors" / "bank_files" / "statement-sgml.ofx").read_bytes()
DAY = date(2026, 11, 20)
MAPPING: dict[str, Any] = {
    "name": "Nubank", "bank": "260", "account": "1234-5", "decimal_comma": False, "delimiter": ",",
    "columns": {"date": "Data", "amount": "Valor", "entry_id": "Identificador", "memo": "Descrição"},
}  # fmt: skip
CSV = (
    "Data,Valor,Identificador,Descrição\n20/11/2026,99.90,a-1,Pix recebido provedor-{id}\n"
    "20/11/2026,12.50,a-2,Pix recebido\n20/11/2026,1.2.3,a-3,Pix\n31/11/2026,5.00,a-4,Pix\n"
)


def work(database: Database) -> None:
    with database.transaction() as session:
        work_to_end(session, utc_now())


def invoice_of(client: TestClient, **values: Any) -> str:
    body = {"contract_id": make_contract(client)["id"], "due_date": "2026-11-10", "amount_cents": 9990} | values
    return str(client.post(f"{API}/invoices", json=body).json()["id"])


def test_a_statement_is_stored_at_once_and_worked_later_and_its_lines_wait_for_a_person(
    client: TestClient, database: Database
) -> None:
    first = client.post(f"{API}/bank-files?name=nov.ofx", content=STATEMENT)
    assert (first.status_code, first.json()["status"], first.json()["lines"]) == (201, "received", {})
    path = f"{API}/bank-files/{first.json()['id']}"
    work(database)
    done = client.get(path).json()
    assert (done["status"], done["bank"], done["lines"]) == ("done", "001", {"told": 1, "waiting": 2})
    assert (done["period_from"], done["period_until"], done["lines_new"]) == ("2026-11-01", "2026-11-30", 3)
    assert client.post(f"{API}/bank-files?name=again.ofx", content=STATEMENT).json() == done
    assert client.get(f"{API}/bank-files?status=done").json()["items"] == [done]
    waiting = client.get(f"{API}/bank-lines?status=waiting").json()["items"]
    assert {line["reason_pt"] for line in waiting} == {
        "nenhuma fatura tem este número ou referência", "nada diz qual pagamento isto devolve",
    }  # fmt: skip
    one = f"{API}/bank-lines/{waiting[0]['id']}"
    assert client.get(one).json() == waiting[0]
    assert client.post(f"{one}/dismiss", json={"reason": "transfer of our own"}).json()["status"] == "dismissed"
    assert client.post(f"{one}/match", json={"invoice_id": "1"}).status_code == 409


def test_what_no_bank_made_is_refused_at_once_and_a_broken_file_when_it_is_read(
    client: TestClient, database: Database
) -> None:
    refused = client.post(f"{API}/bank-files?name=x", content=b"no bank made this")
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    packed = client.post(f"{API}/bank-files?name=x.zip", content=b"PK\x03\x04rest")
    assert (packed.status_code, "unpack it" in packed.json()["detail"]) == (422, True)
    cut = client.post(f"{API}/bank-files?name=x", content=itau_return(Detail("06", 1, DAY, 9990))[:900]).json()
    work(database)
    known = client.get(f"{API}/bank-files/{cut['id']}").json()
    assert (known["status"], [one["line"] for one in known["problems"]]) == ("refused", [3])


def test_a_file_of_twenty_thousand_lines_may_come_and_no_larger_body(client: TestClient) -> None:
    octets = itau_return(*(Detail("06", number, DAY, 9990) for number in range(1, 20_001)))
    assert len(octets) > 7 * BODY_OCTETS_MAX
    assert client.post(f"{API}/bank-files?name=large.ret", content=octets).json()["status"] == "received"
    assert client.post(f"{API}/bank-files?name=x", content=b" " * (FILE_OCTETS_MAX + 1)).status_code == 413
    assert client.post(f"{API}/plans", content=b" " * (BODY_OCTETS_MAX + 1)).status_code == 413


def test_so_many_files_are_on_their_way_at_a_time_and_the_next_is_asked_to_come_again() -> None:
    """Each is held in memory until its last octet; other requests are not in their way."""
    statuses: list[int] = []
    arrived = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 201, "headers": []})

    async def receive() -> Message:
        await arrived.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        statuses.extend([message["status"]] if message["type"] == "http.response.start" else [])

    async def request(edge: Edge, octets: int) -> None:
        headers = [(b"content-length", str(octets).encode())]
        await edge({"type": "http", "path": f"{API}/bank-files", "method": "POST", "headers": headers}, receive, send)

    async def flood() -> None:
        edge = Edge(app, body_seconds_max=20)
        tasks = [asyncio.create_task(request(edge, 2 * BODY_OCTETS_MAX)) for _ in range(FILES_MAX)]
        await asyncio.sleep(0)
        await request(edge, 2 * BODY_OCTETS_MAX)
        small = asyncio.create_task(request(edge, 100))
        arrived.set()
        await asyncio.gather(small, *tasks)
        await request(edge, 2 * BODY_OCTETS_MAX)

    asyncio.run(flood())
    assert statuses == [503, *[201] * (FILES_MAX + 2)]


def test_a_csv_is_mapped_previewed_and_imported(client: TestClient, database: Database) -> None:
    invoice_id = invoice_of(client)
    octets = CSV.format(id=invoice_id).encode("latin-1")
    made = client.post(f"{API}/bank-mappings", json=MAPPING)
    assert made.status_code == 201, made.text
    mapping_id = made.json()["id"]
    shown = client.post(f"{API}/bank-mappings/{mapping_id}/preview", content=octets)
    assert shown.status_code == 200, shown.text
    assert [(one["number"], one["paid_cents"], one["invoice_id"]) for one in shown.json()["lines"]] == [
        (2, 9990, invoice_id), (3, 1250, None),
    ]  # fmt: skip
    assert [(one["line"], one["field"]) for one in shown.json()["problems"]] == [(4, "Valor"), (5, "Data")]
    assert client.get(f"{API}/bank-files").json()["items"] == []
    file = client.post(f"{API}/bank-files?name=nov.csv&mapping_id={mapping_id}", content=octets).json()
    work(database)
    assert client.get(f"{API}/invoices/{invoice_id}").json()["status"] == "paid"
    done = client.get(f"{API}/bank-files/{file['id']}").json()
    assert (done["lines"], done["account"], len(done["problems"])) == ({"recorded": 1, "waiting": 1}, "1234-5", 2)


def test_a_mapping_is_mended_and_a_file_read_by_it_again_gains_what_it_names(
    client: TestClient, database: Database
) -> None:
    invoice_id = invoice_of(client)
    octets = f"Data,Valor,Identificador,Descrição,Fatura\n20/11/2026,99.90,a-1,TED,{invoice_id}\n".encode()
    made = client.post(f"{API}/bank-mappings", json=MAPPING)
    path, upload = f"{API}/bank-mappings/{made.json()['id']}", f"{API}/bank-files?name=n&mapping_id={made.json()['id']}"
    first = client.post(upload, content=octets).json()
    work(database)
    assert client.get(f"{API}/bank-files/{first['id']}").json()["lines"] == {"waiting": 1}
    better = MAPPING | {"columns": MAPPING["columns"] | {"invoice": "Fatura"}}
    assert client.put(path, json=better, headers={"If-Match": '"9"'}).status_code == 412
    assert client.put(path, json=better, headers={"If-Match": made.headers["ETag"]}).status_code == 200
    client.post(upload, content=octets)
    work(database)
    assert client.get(f"{API}/bank-files/{first['id']}").json()["lines"] == {"recorded": 1}
    assert client.get(f"{API}/invoices/{invoice_id}").json()["status"] == "paid"
    assert client.delete(path).status_code == 204
    assert client.post(upload, content=octets).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"columns": {"date": "Data"}}, "columns.amount"),
        ({"named": False}, "columns.date"),
        ({"date_format": "day"}, "date_format"),
        ({"delimiter": '"'}, "delimiter"),
        ({"encoding": "klingon"}, "encoding"),
        ({"bank": "Itaú"}, "bank"),
        ({"columns": {"date": 0, "amount": 2}}, "columns.date.constrained-int"),
    ],
)
def test_a_mapping_that_reads_nothing_says_which_field(client: TestClient, change: dict[str, Any], field: str) -> None:
    refused = client.post(f"{API}/bank-mappings", json=MAPPING | change)
    assert (refused.status_code, refused.json()["field"].split(".")[:2]) == (422, field.split(".")[:2])


def test_a_file_without_the_mapped_column_is_told_which_and_what_there_is(client: TestClient) -> None:
    mapping_id = client.post(f"{API}/bank-mappings", json=MAPPING).json()["id"]
    refused = client.post(f"{API}/bank-mappings/{mapping_id}/preview", content=b"Data,Total\n20/11/2026,1.00\n")
    assert (refused.status_code, refused.json()["field"]) == (422, "Valor")
    assert refused.json()["detail"] == "line 1, Valor: there is no column 'Valor'; there are Data, Total"


def test_a_waiting_line_is_offered_invoices_and_retried(client: TestClient, database: Database) -> None:
    octets = itau_return(Detail("06", 77, DAY, 9990))
    file = client.post(f"{API}/bank-files?name=a.ret", content=octets).json()
    work(database)
    invoice_id = invoice_of(client)
    (line,) = client.get(f"{API}/bank-lines?file_id={file['id']}").json()["items"]
    (offered,) = line["suggestions"]
    assert (offered["invoice_id"], offered["customer"]) == (invoice_id, "Ana")
    assert offered["reasons_pt"] == ["o mesmo valor", "vence neste dia"]
    external = {"external": {"gateway": "bank:341", "id": "77"}}
    assert client.patch(f"{API}/invoices/{invoice_id}", json=external).status_code == 200
    assert client.post(f"{API}/bank-lines/retry?file_id={file['id']}").json() == {"lines": 1}
    work(database)
    assert client.get(f"{API}/bank-lines/{line['id']}").json()["status"] == "recorded"
    assert client.post(f"{API}/bank-lines/retry").json() == {"lines": 0}


def test_a_line_is_said_to_be_a_payment_that_was_entered_by_hand(client: TestClient, database: Database) -> None:
    invoice_id = invoice_of(client, external={"gateway": "bank:341", "id": "77"})
    entered = {"invoice_id": invoice_id, "amount_cents": 9990, "paid_at": "2026-11-20T12:00:00Z", "method": "cash"}
    payment = client.post(f"{API}/payments", json=entered).json()
    client.post(f"{API}/bank-files?name=a.ret", content=itau_return(Detail("06", 77, DAY, 9990)))
    work(database)
    (line,) = client.get(f"{API}/bank-lines?status=waiting").json()["items"]
    assert f"payment {payment['id']}" in line["reason"]
    path = f"{API}/bank-lines/{line['id']}/same-payment"
    assert client.post(path, json={"payment_id": payment["id"]}).json()["payment_id"] == payment["id"]
    (one,) = client.get(f"{API}/payments?invoice_id={invoice_id}").json()["items"]
    assert one["also"]["gateway"] == "bank:341"
    assert client.get(f"{API}/payments?external_id={one['also']['id'].replace('%', '%25')}").json()["items"] == [one]
    assert client.post(path, json={"payment_id": payment["id"]}).status_code == 409


def test_a_file_that_is_expected_is_missed_in_words(client: TestClient) -> None:
    made = client.post(
        f"{API}/expected-bank-files",
        json={"bank": "341", "account": "0730/35110-4", "hour": 0, "since": "2026-11-02"},
    )
    assert made.status_code == 201, made.text
    assert made.json()["missing"].startswith("bank 341, account 0730/35110-4: no file tells of ")
    assert made.json()["missing_pt"].startswith("banco 341, conta 0730/35110-4: nenhum arquivo fala de ")
    path = f"{API}/expected-bank-files/{made.json()['id']}"
    later = {"bank": "341", "account": "0730/35110-4", "weekdays": [0], "since": "2100-01-01"}
    assert client.put(path, json=later).json()["missing"] is None
    again = client.post(f"{API}/expected-bank-files", json=later)
    assert (again.status_code, again.json()["field"]) == (409, "account")
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    today = client.post(f"{API}/expected-bank-files", json={"bank": "237", "account": "1"}).json()
    assert (today["since"], today["weekdays"]) == (datetime.now(UTC).date().isoformat(), [0, 1, 2, 3, 4])
