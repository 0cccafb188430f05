"""The peer of the plugin: a provider in Python that takes every resource as it is."""

import sys

from pulumi.provider.experimental import provider, server


class NoOp(provider.Provider):
    """Does what Pulumi's base class does."""


if __name__ == "__main__":
    server.main(sys.argv[1:], "1.0.0", NoOp())
