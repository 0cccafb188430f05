"""What is private in text written by others: links, addresses, secrets, and account numbers."""

import re

# Without a scheme, `x.ai/grok` is a model. JSON may write a slash as `\/`, and a URL within another
# has its signs as numbers.
_LINK = re.compile(
    r"""(?ix)
    (?<![\w+.-])
    (?: [\w+.-]*+(?::(?:\\*+/){2}|%3A(?:%2F){2}) | www\. | [\w.-]*?\bstripe\.com(?::\d+)?/ ) \S++"""
)
# A search from each quotation mark in `o'neil` anew would take the square of a text's length.
_ADDRESS = re.compile(
    r"(?<![\w.+-])(?<![\w.+-]['\u2019])[\w.+-]++(?:['\u2019][\w.+-]++)*+"
    r"(?:[@\uff20]|%40|\\++u0040|&\#(?:64|x40);)([\w.-]++)",
    re.IGNORECASE,
)
_SECRET = re.compile(
    r"""(?x)
    \b(?: (?:pi|seti|src|cs|vs|accs|cuss|fcsess)_\w+_secret_[\w%]++
        | (?:sk|rk)_(?:live|test)_\w++
        | whsec_[\w+/=]++ )"""
)
# Mostly in groups of four. An account at Cloudflare has 32 hexadecimal digits.
_IBAN = re.compile(
    r"""(?x)
    \b(?![\da-fA-F]{32}\b)
    (?: [a-z]{2}\d{13,32}
      | [A-Z]{2}\d\d([\s-]?)[A-Z\d]{4}\1[A-Z\d]{2}\d\d\1[A-Z\d]{3}[A-Z\d]?+
        (?:\1[A-Z\d]{4}){0,4}+(?:\1[A-Z\d]{1,3})? )\b"""
)
_ACCOUNT = re.compile(
    r"""(?ix)
    ( \b(?: (?:account|acct\.?|a/c|routing(?:[ ]transit)?|transit|aba)[ _-]?(?:number|num|no|\#)
          | (?:bank|checking|savings)[ _]account(?:[ _](?:number|no))?
          | sort[ _-]?code | bsb | aba )
      \.?["']?[ ]?(?:[:=#]|is|was)?[ ]?["']? )
    \d(?:[ -]?\d){3,}+\b"""
)
# Other numbers are years, models, amounts and times: a decimal, the end of a UUID, milliseconds
# since 1970, or a date and time without marks between them.
_NUMBER = re.compile(
    r"""(?x)
    \b(?<!\d\.)(?<![\da-fA-F]{4}-)(?!1[4-9]\d{11}\b|20\d\d[01]\d[0-3]\d(?:\d\d){2,3}\b)
    (?: \d{12,19}
      | (?!19|20)\d{4}([\s-])\d{4}\1\d{4}(?:\1\d{1,4}){0,2}
      | 3\d{3}([\s-])\d{6}\2\d{4,5} )\b(?!\.\d)"""
)
_DIGITS = re.compile(
    r"""(?ix)
    (?:\b\d{4,6}(?=[*\u2022x]))?+  # a card begins with its issuer's
    ( ending[ ](?:in|with):?[ ]
    | \b(?:card|visa|mastercard|amex|express|discover|diners|jcb)
      (?:[ ]ending|(?:,?[ ][\w'\u2019-]++){0,4},?[ ]ends?[ ](?:in|with)):?[ ]
    | \baccount[ ]ending:?[ ]
    | \blast[ _]?(?:4|four)(?:[ ]digits)?\\*+["']?[ ]?[:=][ ]?\\*+["']?
    | (?<![*\u2022])[*\u2022]{2,}+[ -]?
    | (?<![a-z_])x{4,}+[ -]?
    ) \d{4}\b"""
)

_LEFT_OUT = re.compile(r"\[(?:link|e-mail address|secret|IBAN|digits)\]")


def without_private(text: str) -> str:
    """
    Return *text* without what is private, in one pass for each form of it.

    A link has a scheme, begins with ``www.`` or is Stripe's. A secret is Stripe's: a client secret
    (``pi_…_secret_…``), a key (``sk_live_…``) or a webhook's (``whsec_…``). An account is an IBAN,
    or the digits behind words such as "account number" and "routing number". A card is 12 to 19
    digits, also in groups of four, or as on one of 15 digits; or four digits behind stars, bullets
    or ``xxxx``, or behind what says that a card ends in them.
    """
    text = _ADDRESS.sub(_without_address, _LINK.sub("[link]", text))
    text = _ACCOUNT.sub(r"\1[digits]", _IBAN.sub("[IBAN]", _SECRET.sub("[secret]", text)))
    return _DIGITS.sub(r"\1[digits]", _NUMBER.sub("[digits]", text))


def may_lack_private(text: str) -> bool:
    """Return whether `without_private` may have left something out of *text*."""
    return _LEFT_OUT.search(text) is not None


def _without_address(found: re.Match[str]) -> str:
    # `claude@20250929` is a version, and a sentence may end behind an address.
    host = found[1].rstrip(".-")
    last = host.rpartition(".")[2]
    is_name = last.isalpha() or last.lower().startswith("xn--")
    if last == host or len(last) < 2 or not is_name:
        return found[0]
    return f"[e-mail address]{found[1][len(host) :]}"
