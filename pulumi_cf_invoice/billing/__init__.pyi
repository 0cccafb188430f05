from pulumi_cf_invoice.billing.accounts import (
    Account as Account,
    Accounts as Accounts,
)
from pulumi_cf_invoice.billing.client import (
    BillingClient as BillingClient,
)
from pulumi_cf_invoice.billing.credentials import (
    Credentials as Credentials,
)
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

__all__: list[str]
