"""
The reads of the billing API, each declared once.

The client's request, the cache's key, the sentence of an error, the sandbox's route, the plugin's
function and its schema follow from a declaration here.
"""

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pulumi_cf_invoice.billing.invoice import Invoice


class Model(Protocol):
    """What a read returns: figures that are parsed from the API's ``result``."""

    @classmethod
    def from_api(cls, result: Any, complete: bool = True) -> Any:
        """
        Parse the ``result`` of an answer, whose entries are all there if it is *complete*.

        Raises `InvalidDataError`.
        """

    def to_figures(self) -> dict[str, Any]:
        """Return all figures, by name, as plain data."""


ModelT = TypeVar("ModelT", bound=Model)
ModelT_co = TypeVar("ModelT_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class Read(Generic[ModelT_co]):
    """
    One read of the billing API.

    ``name`` is the last segment of its path, ``noun`` what error messages call its result, and
    ``model`` the class that parses the result. ``entries`` is the field of the result that can come
    in pages. ``query`` are the parameters of the request.
    """

    name: str
    noun: str
    model: type[ModelT_co]
    entries: str | None = None
    query: tuple[tuple[str, str], ...] = ()

    def path(self, account_id: str) -> str:
        """Return the path below the base URL."""
        return f"/accounts/{account_id}/ai-gateway/billing/{self.name}"


INVOICE_PREVIEW = Read("invoice-preview", "upcoming invoice", Invoice, entries="invoice_lines")

READS: tuple[Read[Model], ...] = (INVOICE_PREVIEW,)
"""Every read that there is."""
