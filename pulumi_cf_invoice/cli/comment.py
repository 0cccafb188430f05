"""``cf-invoice comment``: a report as a comment on this job's pull or merge request."""

import argparse
import os

from pulumi_cf_invoice import comments
from pulumi_cf_invoice.cli import inputs


def run(options: argparse.Namespace) -> int:
    """Post the report, and return the exit code."""
    report = inputs.read(options.file).decode("utf-8", "replace")
    body = comments.tagged(report, options.tag)
    request = comments.find_request(
        os.environ,
        forge=options.forge,
        api_url=options.api_url,
        repository=options.repository,
        number=options.request,
    )
    print(comments.post(request, body, dry_run=options.dry_run))
    return 0
