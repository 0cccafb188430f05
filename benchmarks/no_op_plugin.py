"""The peer of the plugin: a Python provider that accepts every resource unchanged."""

import sys

from pulumi.provider.experimental import provider, server


class NoOp(provider.Provider):
    """A provider with only the behaviour of Pulumi's base class."""


if __name__ == "__main__":
    server.main(sys.argv[1:], "1.0.0", NoOp())
