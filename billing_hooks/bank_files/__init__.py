"""Bank files in: return files of boletos (CNAB 240 and 400), statements (OFX) and spreadsheets (CSV by a mapping).

    base     what every reader gives, and the one error that all of them raise          pure
    layouts  where banks keep what, as data (layouts/*.toml)                             pure
    cnab     one engine for all layouts of fixed columns                                 pure
    ofx, spreadsheet   statements                                                        pure
    source   which reader a file is for                                                  pure
    matching which invoice a line pays, and which it might                               reads the database
    store    a file is imported once, a line once, and a line pays once; a person decides the rest

Readers take octets and no clock. A file that is cut, out of sequence or another company's is refused as a whole; a line
that cannot be read is named and does not hold up the others.
"""
