"""
The invoice as people and CI read it (extra ``report``). It needs no Pulumi.

`input` reads an invoice from what Pulumi or the API wrote, `report` makes the one result, and
`text`, `markdown`, `html` and `json_report` render it.
"""
