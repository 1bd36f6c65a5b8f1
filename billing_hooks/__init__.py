"""What billing says becomes holds: webhooks in, standing from invoices, suspension and return.

In: a webhook of one of the `accounts` -> `inbox.receive` authenticates and stores -> the task `interpret` lets the
gateway's adapter read it -> core.invoices. Out: an invoice's change -> `suspension.apply_standing` for its contract ->
holds of reason billing. A run (`suspension.run`) looks at every contract that owes; only a run places holds, a payment
only lifts.
"""
