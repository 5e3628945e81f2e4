"""Reads what a path under [files] names: any format and encoding becomes columns of text.

    locate ─► kinds (what is it, by its content?) ─┬─ delimited (encodings, structure, text_rows)
                                                   ├─ spreadsheets
                                                   ├─ json_rows
                                                   ├─ archives (their member is read again)
                                                   └─ folders (each part is read again)

A file that the engine can read as it is stays where it is; any other is converted into a private
temporary folder (`temporary`), a part at a time.
"""
