"""
The invoice as people and CI read it (extra ``report``). It needs no Pulumi.

`input` reads an invoice from the output of Pulumi or the API, `report` creates the one result, and
`text`, `markdown`, `html` and `json_report` render it.
"""
