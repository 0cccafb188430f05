"""What is private in text written by others: links, addresses, secrets, and account numbers."""

import re
from collections.abc import Callable
from string import ascii_uppercase

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
# Mostly in groups of four.
_IBAN = re.compile(
    r"""(?x)
    (?:\b|(?<=%[\dA-F]{2})|(?<=\\[nrt]))
    (?: [a-z]{2}\d{13,32}
      | [A-Z]{2}\d\d([\s-]?)[A-Z\d]{4}\1[A-Z\d]{2}\d\d\1[A-Z\d]{3}[A-Z\d]?+
        (?:\1[A-Z\d]{4}){0,4}+(?:\1[A-Z\d]{1,3})? )\b"""
)
_ACCOUNT = re.compile(
    r"""(?ix)
    ( \b(?: (?:account|acct\.?|a/c|routing(?:[ ]transit)?|transit|aba)
             (?:[ _-]|%20)?(?:number|num|no|\#)
          | (?:bank|checking|savings)(?:[ _]|%20)account(?:(?:[ _]|%20)(?:number|no))?
          | sort(?:[ _-]|%20)?code | bsb | aba )
      \.?\\*+["']?(?:[ ]|%20)?(?:[:=#]|%3[AD]|is|was)?(?:[ ]|%20)?\\*+["']? )
    \d(?:[ -]?\d){5,}+\b"""
)
# Behind a slash, a colon and the like it is a part of a name, such as that of a model's endpoint,
# unless a word or JSON says that it is a number.
_CARD = re.compile(
    r"""(?ix)
    (?: (?<![\w/:.-])
      | (?<=card[:-]) | (?<=number[:-]) | (?<=\bno[.:]) | (?<=_no[.:]) | (?<=\bpan[:-])
      | (?<=visa[:-]) | (?<=amex[:-]) | (?<=["']:) | (?<=%[\dA-F]{2}) | (?<=\\[nrt]) )
    (?: \d{13,19}
      | \d{4}([\s-])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?
      | 3\d{3}([\s-])\d{6}\2\d{4,5} )\b(?!\.\d)"""
)
_DIGITS = re.compile(
    r"""(?ix)
    (?P<issuer>\b\d{4,6}(?=[*\u2022x]))?+
    (?P<before> ending[ ](?:in|with):?[ ]
    | \b(?:card|visa|mastercard|amex|express|discover|diners|jcb)
      (?:[ ]ending|(?:,?[ ][\w'\u2019-]++){0,4},?[ ]ends?[ ](?:in|with)):?[ ]
    | \baccount[ ]ending:?[ ]
    | \blast[ _]?(?:4|four)(?:[ ]digits)?\\*+["']?[ ]?[:=][ ]?\\*+["']?
    | (?<![*\u2022])[*\u2022]{2,}+[ -]?
    | (?<![a-z_])x{4,}+[ -]?
    ) \d{4}\b"""
)
_SHORTEST_IBAN = 15
_SHORTEST_CARD = 13
# ISO 13616: a letter counts as two digits, A as 10.
_LETTERS = str.maketrans({letter: str(10 + n) for n, letter in enumerate(ascii_uppercase)})
# ISO/IEC 7812: from the right, every second digit is doubled, and the digits of that are added up.
_DOUBLED = str.maketrans("0123456789", "0246813579")
_GAP = re.compile(r"[\s-]")


def without_private(text: str) -> str:
    """
    Return *text* without what is private, in one pass for each form of it.

    A link has a scheme, begins with ``www.`` or is Stripe's. A secret is Stripe's: a client secret
    (``pi_…_secret_…``), a key (``sk_live_…``) or a webhook's (``whsec_…``). An account is an IBAN,
    or the digits behind words such as "account number" and "routing number". A card is 13 to 19
    digits, also in groups as on one; or four digits behind stars, bullets or ``xxxx``, or behind
    what says that a card ends in them. The check digits of both have to be right.
    """
    text = _ADDRESS.sub(_without_address, _LINK.sub("[link]", text))
    text = _replaced(_IBAN, _is_iban, "[IBAN]", _SECRET.sub("[secret]", text))
    text = _replaced(_CARD, _is_card, "[digits]", _ACCOUNT.sub(r"\1[digits]", text))
    return _DIGITS.sub(_without_last_digits, text)


def _without_address(found: re.Match[str]) -> str:
    # `claude@20250929` is a version, and a sentence may end behind an address.
    host = found[1].rstrip(".-")
    last = host.rpartition(".")[2]
    is_name = last.isalpha() or last.lower().startswith("xn--")
    if last == host or len(last) < 2 or not is_name:
        return found[0]
    return f"[e-mail address]{found[1][len(host) :]}"


def _replaced(
    pattern: re.Pattern[str], is_valid: Callable[[str], bool], instead: str, text: str
) -> str:
    """
    Return *text* with *instead* in place of each number that *pattern* finds and that *is_valid*.

    A match can begin or end with a group that only looks like one of the number's.
    """
    pieces, kept, start = [], 0, 0
    while (found := pattern.search(text, start)) is not None:
        start = found.start()
        groups = [*(start + gap.start() for gap in _GAP.finditer(found[0])), found.end()]
        end = next((end for end in reversed(groups) if is_valid(text[start:end])), None)
        if end is None:
            start += 1
            continue
        pieces += [text[kept:start], instead]
        kept = start = end
    return "".join([*pieces, text[kept:]])


def _is_iban(text: str) -> bool:
    written = _GAP.sub("", text).upper()
    if len(written) < _SHORTEST_IBAN:
        return False
    return int((written[4:] + written[:4]).translate(_LETTERS)) % 97 == 1


def _is_card(text: str) -> bool:
    digits = _GAP.sub("", text)
    if len(digits) < _SHORTEST_CARD or digits[0] not in "23456":
        return False
    return sum(map(int, digits[-2::-2].translate(_DOUBLED) + digits[::-2])) % 10 == 0


def _without_last_digits(found: re.Match[str]) -> str:
    # A card begins with its issuer's digits.
    return "[digits]" if found["issuer"] else f"{found['before']}[digits]"
