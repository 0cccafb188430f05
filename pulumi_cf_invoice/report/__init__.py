"""
The invoice as people and CI read it (extra ``report``).

``source`` reads an invoice from what Pulumi or the API wrote, ``verdict`` judges it, and ``text``,
``markdown``, ``html`` and ``data`` render the one result.
"""
