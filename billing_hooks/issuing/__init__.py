"""Invoices of our own, from the database to the payer: what is pure of them is `billing_hooks.invoicing`.

`terms` is how a contract's invoices are made, `adjustments` its extras, discounts and credits. `gathering` reads the
facts of a contract, `issue` makes the invoices that are due (once a contract and period, whatever dies meanwhile) and
corrects earlier ones, `payable` is what an invoice costs on a day, with its codes, its second copies and its sheet.
"""
