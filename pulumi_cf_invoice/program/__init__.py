"""A running Pulumi program: its settings, credentials, answers, errors and output types."""
