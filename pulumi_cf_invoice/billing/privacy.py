"""What is private in text written by others: links, e-mail addresses and the digits of a card."""

import re

# Without a scheme, `x.ai/grok` is a model.
_LINK = re.compile(r"(?i)(?<![\w+.-])(?:[\w+.-]*+://|www\.|[\w.-]*?\bstripe\.com(?::\d+)?/)\S++")
# A search from each quotation mark in `o'neil` anew would take the square of a text's length.
_ADDRESS = re.compile(
    r"(?<![\w.+-])(?<![\w.+-]['\u2019])[\w.+-]++(?:['\u2019][\w.+-]++)*+[@\uff20]([\w.-]++)"
)
# Other numbers are years, models, amounts and times.
_CARD = re.compile(r"\b[3-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}\b")
_DIGITS = re.compile(
    r"""(?ix)
    ( ending[ ](?:in|with):?[ ]
    | \b(?:card|visa|mastercard|amex|express|discover|diners|jcb)
      (?:[ ]ending|(?:,?[ ][\w'\u2019-]++){0,4},?[ ]ends?[ ](?:in|with)):?[ ]
    | \blast[ _]?(?:4|four)(?:[ ]digits)?["']?[ ]?[:=][ ]?["']?
    | (?<![*\u2022])[*\u2022]{2,}+[ -]?
    | (?<!\w)x{4,}+[ -]?
    ) \d{4}\b"""
)


def without_private(text: str) -> str:
    """
    Return *text* without links, e-mail addresses and a card's digits, in one pass of each.

    A link has a scheme, begins with ``www.`` or is Stripe's. A card's digits are four behind stars,
    bullets or ``xxxx``, or what says that a card ends in them, or four times four apart.
    """
    text = _ADDRESS.sub(_without_address, _LINK.sub("[link]", text))
    return _DIGITS.sub(r"\1[digits]", _CARD.sub("[digits]", text))


def _without_address(found: re.Match[str]) -> str:
    # `claude@20250929` is a version, and a sentence may end behind an address.
    host = found[1].rstrip(".-")
    last = host.rpartition(".")[2]
    is_name = last.isalpha() or last.lower().startswith("xn--")
    if last == host or len(last) < 2 or not is_name:
        return found[0]
    return f"[e-mail address]{found[1][len(host) :]}"
