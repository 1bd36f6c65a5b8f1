"""What an invoice of our own says. Pure: facts in, days, lines, amounts, codes and a PDF out; no database, no network.

In the order of its life: `period` says which days an invoice covers, `lines` what it charges for them, `late` what is
due on a day after all, `br_code` and `boleto_line` are the codes by which it is paid, `pdf` is what the payer sees.
Money is whole centavos, rates are hundredths of a percent (basis points), spans run up to, and without, their end.
"""
