"""
What is coming: the invoice at the period's end, how certain that is, and how long credits last.

`forecast_invoice` takes what was read (invoice, usage history, credit balance) and the time, and
makes no requests: the same inputs give the same figures everywhere. The invoice is the money, and
the history shows how it is spread over days.
"""

from pulumi_cf_invoice.forecast.forecast import forecast_invoice
from pulumi_cf_invoice.forecast.last_period import LastPeriod
from pulumi_cf_invoice.forecast.outlook import Method
from pulumi_cf_invoice.forecast.priced import SpentDay
from pulumi_cf_invoice.forecast.record import TrackRecord
from pulumi_cf_invoice.forecast.result import ComingDay, Forecast
from pulumi_cf_invoice.forecast.runway import Runway

__all__ = [
    "ComingDay",
    "Forecast",
    "LastPeriod",
    "Method",
    "Runway",
    "SpentDay",
    "TrackRecord",
    "forecast_invoice",
]
