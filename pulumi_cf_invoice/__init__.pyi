from pulumi_cf_invoice.billing.credit_balance import (
    CreditBalance as CreditBalance,
    TopupConfig as TopupConfig,
)
from pulumi_cf_invoice.billing.errors import (
    ApiError as ApiError,
    BillingError as BillingError,
    FetchError as FetchError,
    IncompleteLinesError as IncompleteLinesError,
    InvalidDataError as InvalidDataError,
    InvalidResponseError as InvalidResponseError,
    LimitError as LimitError,
    MissingCredentialsError as MissingCredentialsError,
    NotAvailableError as NotAvailableError,
    RateLimitError as RateLimitError,
    RuleError as RuleError,
    SettingsError as SettingsError,
    TransportError as TransportError,
)
from pulumi_cf_invoice.billing.gateways import (
    Gateway as Gateway,
    Gateways as Gateways,
    SpendLimitRule as SpendLimitRule,
)
from pulumi_cf_invoice.billing.invoice import (
    Invoice as Invoice,
    InvoiceLine as InvoiceLine,
    Period as Period,
    PretaxCreditAmount as PretaxCreditAmount,
    Pricing as Pricing,
)
from pulumi_cf_invoice.billing.invoice_history import (
    InvoiceHistory as InvoiceHistory,
    PastInvoice as PastInvoice,
)
from pulumi_cf_invoice.billing.usage_history import (
    UsageEntry as UsageEntry,
    UsageHistory as UsageHistory,
)
from pulumi_cf_invoice.forecast import (
    Forecast as Forecast,
    Runway as Runway,
)
from pulumi_cf_invoice.functions import (
    get_credit_balance as get_credit_balance,
    get_credit_balance_output as get_credit_balance_output,
    get_forecast as get_forecast,
    get_forecast_output as get_forecast_output,
    get_gateways as get_gateways,
    get_gateways_output as get_gateways_output,
    get_invoice_history as get_invoice_history,
    get_invoice_history_output as get_invoice_history_output,
    get_invoice_preview as get_invoice_preview,
    get_invoice_preview_output as get_invoice_preview_output,
    get_usage_history as get_usage_history,
    get_usage_history_output as get_usage_history_output,
)
from pulumi_cf_invoice.program.credentials import (
    Credentials as Credentials,
)
from pulumi_cf_invoice.resource import (
    InvoicePreview as InvoicePreview,
)
from pulumi_cf_invoice.stack_outputs import (
    export_invoice as export_invoice,
)

__all__: list[str]
