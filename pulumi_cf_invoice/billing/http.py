"""
httpx, imported without its own command line.

Where click, rich and pygments are installed, httpx imports them for a command that is not called
here, which takes longer than all the rest of it. Where they are missing it does without.
"""

import sys

_COMMAND_LINE = "httpx._main"

# None in place of a module makes its import fail, for which httpx is prepared.
sys.modules.setdefault(_COMMAND_LINE, None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules[_COMMAND_LINE] is None:
    del sys.modules[_COMMAND_LINE]

__all__ = ["httpx"]
