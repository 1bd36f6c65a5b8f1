"""What billing says becomes holds: gateways in, standing from invoices, restriction and return.

In: a webhook of one of the `accounts` -> `inbox.receive` authenticates and stores -> `asking` lets the gateway's
adapter read it, and asks its API where that is needed -> `inbox.conclude` -> core.invoices. `charges` are ordered at
gateways; `reconciliation` finds what no webhook told; `errands` is how all of them wait for a gateway.

Out: an invoice's change -> `runs.Billing.apply_standing` for its contract, which only gives back. A run looks at every
contract that owes: `cases` (facts) -> `standing` by a `policy` (pure) -> `suspension.judge` with the calendar of `days`
-> holds, `messages` with their proof, proposals. `promises` are access for a while although something is owed. `guard`
(with its `alarms`) says whether a run may go on by itself; what runs decided is kept (`decisions`), read as
spreadsheets (`sheets`), put into words (`explaining`) and looked at by people (`reviews`).

`follow` is for who keeps another billing system in charge: its word stands instead of our policy's steps.

What a customer changes of his service himself: `plan_changes`, now or on a day, with a `plan_change_preview`; `pauses`.

`bank_files` reads what banks send (return files, statements) and matches it. `invoicing` is what an invoice of our own
says (periods, lines, late charges, Pix and boleto codes, the sheet), pure; `issuing` makes such invoices.
"""
