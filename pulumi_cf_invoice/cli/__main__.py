"""Starts ``cf-invoice``: ``python -m pulumi_cf_invoice.cli``."""

import sys

from pulumi_cf_invoice.cli import main

sys.exit(main())
