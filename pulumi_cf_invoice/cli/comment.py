"""``cf-invoice comment``: a report as a comment on this job's pull or merge request."""

import argparse
import os

from pulumi_cf_invoice.cli import inputs
from pulumi_cf_invoice.cli.accounts import known_secrets
from pulumi_cf_invoice.comments.places import Place, find_place, find_request
from pulumi_cf_invoice.comments.posting import describe, post
from pulumi_cf_invoice.comments.reports import tagged


def run(options: argparse.Namespace) -> int:
    """Post the report, and return the exit code."""
    body = tagged(inputs.read_text(options.file), options.tag)
    secrets = known_secrets([])
    # The first line, by which the comment is known, stays. Others can have wrapped a line around
    # the report, and a line that hides one is dropped as a whole.
    marker, *lines = body.split("\n")
    text = secrets.redact("\n".join(map(secrets.redact, lines)))
    body = f"{marker}\n{text}"
    find = find_place if options.dry_run else find_request
    place = find(
        os.environ,
        forge=options.forge,
        api_url=options.api_url,
        repository=options.repository,
        number=options.request,
    )
    print(describe(place, body) if isinstance(place, Place) else post(place, body))
    return 0
