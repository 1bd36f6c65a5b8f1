"""Bank files in: return files of boletos (CNAB 240 and 400), statements (OFX) and spreadsheets (CSV by a mapping).

    base     what every reader gives, and the one error that all of them raise          pure
    layouts  where banks keep what, as data (layouts/*.toml)                             pure
    cnab     one engine for all layouts of fixed columns                                 pure
    ofx, spreadsheet   statements                                                        pure
    source   which reader a file is for                                                  pure
    store    a file is stored once with its octets, and read by a worker; a line is stored once
    facts    what is known of some lines, read for all of them at once
    matching, judging   which invoice a line pays, and what is done with it              pure
    working  the lines, in chunks: payments, reversals, and who waits for a person
    deciding, suggesting   what a person says of a line that waits, and what he is offered
    mappings, expected   how CSVs are written; which files have to come, and which are missing

Readers take octets and no clock. A file that is cut, out of sequence or another company's is refused as a whole; a line
that cannot be read is named and does not hold up the others.
"""
