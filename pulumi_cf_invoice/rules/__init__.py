"""
Spend rules: their limits and settings, the file that declares them, the kinds, and their gates.

A rule is pure: it is evaluated against what was read (an `InvoiceState` or `AccountState`, or the
resources of a stack) at a time that the caller gives. `gates` applies rules as they are declared;
policy packs and reports are adapters around that.
"""
