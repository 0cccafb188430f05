from decimal import Decimal
from typing import Any

import pytest

from pulumi_cf_invoice.billing.pages import (
    MOST_PAGES,
    RESULT,
    Collected,
    PageError,
    collect,
    is_complete,
)


def page(*lines: str, more: bool = False, total: Any = None, number: Any = 1, due: int = 1) -> Any:
    info = {"has_more": more, "page": number, "total_count": total}
    return {"result": {"due": due, "lines": list(lines)}, "result_info": info}


def asked(*pages: Any) -> Any:
    """Return a function that serves *pages* by number, and a list of the numbers requested."""
    numbers: list[int] = []

    def next_page(number: int) -> Any:
        numbers.append(number)
        if not 0 < number <= len(pages) or pages[number - 1] is None:
            raise PageError
        return pages[number - 1]

    return next_page, numbers


def lines(collected: Collected) -> list[str]:
    found: list[str] = collected.result["lines"]
    return found


@pytest.mark.parametrize(
    "envelope",
    [
        {"result": {"lines": ["a"]}},
        {"result": {"lines": ["a"]}, "result_info": None},
        {"result": {"lines": ["a"]}, "result_info": {"has_more": "false"}},
        page("a", total=1),
        page("a", "b", total=1),
        {"result": {"lines": None}, "result_info": {"total_count": 0, "total_pages": 0}},
        {"result": {"lines": ["a"], "total_count": 1, "next_cursor": None}, "next": ""},
    ],
)
def test_an_answer_that_does_not_say_there_is_more_is_complete(envelope: Any) -> None:
    next_page, numbers = asked()
    assert collect(envelope, "lines", next_page) == Collected(envelope["result"], True)
    assert numbers == []


@pytest.mark.parametrize(
    "info",
    [
        {"has_more": False, "total_count": 9},
        {"total_count": "9"},
        {"totalCount": 9},
        {"total_count": "many"},
        {"total_pages": 2},
        {"total_pages": 2, "total_count": 1},
        {"has_more": "true"},
        {"has_more": 1},
        {"hasMore": True},
        {"has_more": "yes"},
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_less_than_there_is_said_to_be_is_incomplete_however_it_is_said(
    info: Any, inside: bool
) -> None:
    """An inner pagination that is content does not hide an outer one that is not."""
    content, other = {"has_more": False, "total_count": 1}, info
    pagination, beside = (other, content) if inside else (content, other)
    envelope = {"result": {"lines": ["a"], "pagination": pagination}, "result_info": beside}
    next_page, numbers = asked(None, envelope)
    collected = collect(envelope, "lines", next_page)
    assert (lines(collected), collected.complete, numbers) == (["a"], False, [2])
    assert not is_complete(envelope, "lines")


@pytest.mark.parametrize(
    "paging",
    [
        {"result_info": {"cursor": "eyJhIjoxfQ"}},
        {"result_info": {"cursors": {"after": "eyJhIjoxfQ", "before": ""}}},
        {"result_info": {"links": {"next": "/accounts?page=2"}}},
        {"result_info": {"next_page": 2}},
        {"resultInfo": {"hasMore": True}},
        {"result_info": [{"has_more": True}]},
        {"result_info": "has more"},
        {"result_info": {"count": 2}},
        {"result_info": {"page": 2}},
        {"result_info": {"page": "2"}},
        {"result_info": {"Page": 2}},
        {"result_info": {"page": "last"}},
        {"result_info": {"page": True}},
        {"pagination": {"has_more": True}},
        {"has_more": True},
        {"total_count": 2},
        {"totalPages": 2},
        {"next_cursor": "eyJhIjoxfQ"},
        {"cursor": "eyJhIjoxfQ"},
        {"next": "/accounts?page=2"},
        {"links": {"next": "/accounts?page=2"}},
        {"page_info": {"hasNextPage": True}},
        {"pagination": {"has_next_page": True}},
        {"pagination": {"has-next": True}},
        {"pagination": {"is_truncated": True}},
        {"pagination": {"next_page_token": "eyJhIjoxfQ"}},
        {"pagination": {"next_url": "/accounts?page=2"}},
        {"pagination": {"total": 2}},
        {"pagination": {"pages": 2}},
        {"pagination": {"last_page": 2}},
        {"pagination": {"remaining": 1}},
        {"pagination": {"is_last": False}},
        {"result_info": {"has more": True}},
        {"result_info": {"pagination": {"total_count": 2}}},
        {"meta": {"total_count": 2}},
        {"meta": {"paging": {"cursors": {"next": "eyJhIjoxfQ"}}}},
        {"page": {"totalElements": 2, "number": 0}},
        {"paging_info": {"total_pages": 2}},
        {"pagination_info": {"more": True}},
        {"continuation_token": "eyJhIjoxfQ"},
        {"pagination": {"continuation": "eyJhIjoxfQ"}},
        {"pagination": {"starting_after": "in_1"}},
        {"pagination": {"next_page_url": "/accounts?page=2"}},
        {"pagination": {"total_results": 2}},
        {"pagination": {"total_items": 2}},
        {"pagination": {"item_count": 2}},
        {"pagination": {"num_pages": 2}},
        {"pagination": {"page_count": 2}},
        {"pagination": {"complete": False}},
        {"pagination": {"is_partial": True}},
        {"pagination": {"offset": 1, "limit": 50}},
        {"pagination": {"offset": 0, "limit": 1}},
        {"has_more_items": True},
        {"metadata": {"has_more": True}},
        {"metadata": {"pagination": {"total_count": 2}}},
        {"info": {"page": 1, "total": 2}},
        {"response_metadata": {"next_cursor": "eyJhIjoxfQ"}},
        {"summary": {"list": {"total_count": 2}}},
        {"pagination": {"total_lines": 2}},
        {"pagination": {"has_more_invoices": True}},
        {"pagination": {"has_more_results_available": True}},
        {"result_info": {"hasMoreRows": True}},
        {"pagination": {"invoices_total": 2}},
        {"pagination": {"invoice_count": 2}},
        {"pagination": {"number_of_lines": 2}},
        {"pagination": {"total_invoices": 2}},
        {"pagination": {"totalItemCount": 2}},
        {"pagination": {"total_invoice_count": 2}},
        {"pagination": {"totalDocs": 2}},
        {"pagination": {"total_number_of_items": 2}},
        {"pagination": {"page": 1, "totalPageCount": 2}},
        {"pagination": {"@odata.nextLink": "/accounts?page=2"}},
        {"pagination": {"invoices_per_page": 1}},
        {"has_more_invoice_lines": True},
        {"meta": {"has_more_data": True}},
        {"pagination": {"after": "eyJhIjoxfQ"}},
        {"links": {"rel": "next", "href": "/accounts?page=2"}},
        {"_links": {"next": {"href": "/accounts?page=2"}}},
        {"links": [{"rel": "self", "href": "/"}, {"rel": "next", "href": "/accounts?page=2"}]},
    ],
)
@pytest.mark.parametrize("inside", [False, True])
def test_an_answer_is_a_part_whatever_says_so(paging: Any, inside: bool) -> None:
    result = {"lines": ["a"], **(paging if inside else {})}
    envelope = {"result": result, **({} if inside else paging)}
    next_page, _ = asked(None, envelope)
    assert not collect(envelope, "lines", next_page).complete
    assert not is_complete(envelope, "lines")


@pytest.mark.parametrize(
    "info",
    [
        {"cursor": "", "count": 1},
        {"page": "1"},
        {"Page": 1.0},
        {"page": None},
        {"cursors": {"after": None}},
        {"links": {"next": ""}},
        {"next_page": None},
        {"per_page": 50, "count": 1},
        {"page": 1, "size": 1},
        {"hasNextPage": False, "is_last": True, "remaining": 0, "total": 1, "pages": 1},
        {"next_page_token": "", "next_url": None, "is_last": None},
        {"offset": 0, "limit": 50, "total": 1},
        {"page_count": 1, "page_size": 50, "item_count": 1, "number": 1},
        {"complete": True, "more": False, "continuation_token": None, "endCursor": "eyJhIjoxfQ"},
        {"links": [{"rel": "self", "href": "/"}, {"rel": "prev", "href": None}]},
        {"first": "/accounts?page=1", "last": "/accounts?page=1", "next": None},
    ],
)
def test_an_answer_that_points_nowhere_is_complete(info: Any) -> None:
    next_page, numbers = asked()
    envelope = {"result": {"lines": ["a"]}, "result_info": info}
    assert collect(envelope, "lines", next_page).complete
    assert numbers == []


def test_what_may_be_an_amount_beside_the_entries_is_not_about_pages() -> None:
    amounts: dict[str, Any] = {"total": 5, "remaining": "4.20", "pages": 2}
    amounts |= {"next_payment_attempt": 1_790_000_000}
    named = {
        "metadata": {"total": 5, "limit": 1, "next": "x"},
        "message": {"more": True},
        "page": 2,
    }
    assert is_complete({"result": {"lines": ["a"], **amounts, **named}}, "lines")


@pytest.mark.parametrize(
    ("second", "complete"),
    [
        ({"result": []}, True),
        ({"result": ["c"]}, True),
        # The page is ignored, or cannot be had.
        ({"result": ["a", "b"]}, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("stated", [False, True])
def test_a_full_page_without_a_count_may_have_others_after_it(
    second: Any, complete: bool, stated: bool
) -> None:
    info = {"result_info": {"page": 1, "per_page": 2}} if stated else {}
    first = {"result": ["a", "b"], **info}
    next_page, numbers = asked(first, second)
    assert collect(first, RESULT, next_page, None if stated else 2).complete is complete
    assert numbers == [2]


@pytest.mark.parametrize(("first", "second"), [(1, 3), (1, 1), (0, 2), (3, 4)])
def test_pages_without_a_count_are_complete_only_in_sequence(first: int, second: int) -> None:
    answers = {first: "a", first + 1: "b"}

    def next_page(number: int) -> Any:
        return page(answers[number], number=second)

    collected = collect(page("a", more=True, number=first), "lines", next_page)
    assert (lines(collected), collected.complete) == (["a", "b"], False)


def test_pages_can_be_counted_from_zero() -> None:
    next_page, numbers = asked(page("b", number=1))
    collected = collect(page("a", more=True, number=0), "lines", next_page)
    assert (lines(collected), collected.complete, numbers) == (["a", "b"], True, [1])


def test_null_for_the_entries_is_none_of_them() -> None:
    envelope = {"result": {"lines": None}, "result_info": {"total_count": 2}}
    next_page, _ = asked(None, envelope)
    assert not collect(envelope, "lines", next_page).complete
    assert is_complete({"result": {"lines": None}}, "lines")


def test_a_result_can_be_the_list_itself() -> None:
    first, second = (
        {"result": [name], "result_info": {"page": number, "total_count": 2}}
        for number, name in ((1, "a"), (2, "b"))
    )
    next_page, numbers = asked(first, second)
    assert collect(first, RESULT, next_page) == Collected(["a", "b"], True)
    assert numbers == [2]


@pytest.mark.parametrize("beside", [None, {}, {"has_more": False}, "none"])
def test_what_the_result_says_of_its_pages_counts_more_than_what_is_beside_it(beside: Any) -> None:
    def inside(line: str, more: bool) -> Any:
        pagination = {"has_more": more, "page": 1, "total_count": 2}
        return {"result": {"lines": [line], "pagination": pagination}, "result_info": beside}

    next_page, numbers = asked(inside("a", True), inside("b", False))
    collected = collect(inside("a", True), "lines", next_page)
    assert (lines(collected), collected.complete, numbers) == (["a", "b"], True, [2])


def test_equal_entries_are_kept_and_equal_pages_end_it() -> None:
    pages = [
        page("a", "a", more=True, total=4),
        page("a", "b", number=2, more=True, total=4),
        page("a", "b", number=3, more=True, total=4),
    ]
    next_page, numbers = asked(*pages)
    collected = collect(pages[0], "lines", next_page)
    assert (lines(collected), collected.complete) == (["a", "a", "a", "b"], True)
    # An entry that moves meanwhile is on two pages, too, so they are read again.
    assert numbers == [2, 3, 1, 2, 3]


@pytest.mark.parametrize(
    ("again", "found", "complete"),
    [
        (["ab", "bd"], "abbd", True),
        (["ab", "cd"], "abcd", True),
        (["ac", "cb"], "accb", False),
        ([None, None], "abbd", False),
    ],
)
def test_entries_that_move_to_another_page_meanwhile_do_not_hide_others(
    again: list[str | None], found: str, complete: bool
) -> None:
    """The moved entry comes twice, the hidden one never, and their number is right."""
    served: list[list[str | None]] = [["ab", "bd"], again]

    def next_page(number: int) -> Any:
        if number == 1:
            del served[0]
        letters = served[0][number - 1]
        if letters is None:
            raise PageError
        return page(*letters, number=number, total=4)

    first = page(*"ab", more=True, total=4)
    collected = collect(first, "lines", next_page)
    assert ("".join(lines(collected)), collected.complete) == (found, complete)


@pytest.mark.parametrize("none", [None, ""])
def test_an_entry_with_an_id_is_never_on_two_pages_of_a_complete_list(none: str | None) -> None:
    usage: list[dict[str, Any]] = [{"id": "u", "start_time": day} for day in (1, 2, 2, 4)]
    pages = [
        {"result": usage[start : start + 2], "result_info": {"page": page, "total_count": 4}}
        for page, start in ((1, 0), (2, 2))
    ]
    next_page, numbers = asked(*pages)
    assert not collect(pages[0], RESULT, next_page).complete
    assert numbers == [2, 1, 2]
    for day in usage:
        day["id"] = none
    assert collect(pages[0], RESULT, next_page).complete


@pytest.mark.parametrize(
    ("second", "complete"),
    [
        # The page is ignored, or cannot be had.
        (page("a", "b", more=True, total=2), False),
        (None, False),
        (page(more=True, number=2, total=2), False),
        (page(number=2, total=2), True),
    ],
)
def test_a_first_page_that_is_followed_by_more_is_a_part_even_if_it_counts_no_more(
    second: Any, complete: bool
) -> None:
    first = page("a", "b", more=True, total=2)
    next_page, numbers = asked(first, second)
    collected = collect(first, "lines", next_page)
    assert (lines(collected), collected.complete, numbers) == (["a", "b"], complete, [2])
    assert not is_complete(first, "lines")


def test_without_a_count_the_last_page_says_that_it_is_complete() -> None:
    pages = [page("a", more=True), page("b", number=2, more=True), page("c", number=3)]
    next_page, _ = asked(*pages)
    collected = collect(pages[0], "lines", next_page)
    assert (lines(collected), collected.complete) == (["a", "b", "c"], True)


@pytest.mark.parametrize(
    ("number", "asked_for"), [(Decimal("3.0"), 4), (10**25, 2), ("3", 4), (True, 2), (0, 1)]
)
def test_a_page_has_a_number_in_any_form_or_is_the_first(number: Any, asked_for: int) -> None:
    next_page, numbers = asked()
    collect(page("a", more=True, number=number), "lines", next_page)
    assert list(map(repr, numbers)) == [repr(asked_for)]


@pytest.mark.parametrize("total", [3, 5, "5"])
def test_only_as_many_entries_as_are_said_to_be_are_complete(total: Any) -> None:
    pages = [page("a", "b", more=True, total=total), page("c", "d", number=2, total=total)]
    next_page, _ = asked(*pages)
    collected = collect(pages[0], "lines", next_page)
    assert (len(lines(collected)), collected.complete) == (4, False)


def test_pages_are_counted_from_the_answers_own_number() -> None:
    next_page, numbers = asked(None, None, None, page("b", number=4, total=2))
    collected = collect(page("a", more=True, number=3, total=2), "lines", next_page)
    assert (numbers, collected.complete) == ([4], True)


def test_a_page_that_fails_ends_it() -> None:
    next_page, _ = asked(None, None)
    collected = collect(page("a", more=True, total=2), "lines", next_page)
    assert (lines(collected), collected.complete) == (["a"], False)


def test_fields_that_move_are_one_fresh_start() -> None:
    first, moved = page("a", more=True, total=2), page("b", number=2, total=2, due=2)
    second = [page("x", more=True, total=2, due=2), moved]
    next_page, numbers = asked(*second)
    collected = collect(first, "lines", next_page)
    assert (lines(collected), collected.complete) == (["x", "b"], True)
    assert numbers == [2, 1, 2]


def test_a_fresh_start_that_does_not_count_is_held_to_the_count_before() -> None:
    first, moved = page("a", more=True, total=2), page("b", number=2, total=2, due=2)
    next_page, _ = asked({"result": {"lines": ["x"]}}, moved)
    assert not collect(first, "lines", next_page).complete


def test_fields_that_keep_moving_leave_a_part() -> None:
    due = iter(range(100))

    def next_page(number: int) -> Any:
        return page(str(number), number=number, more=True, total=9, due=next(due))

    collected = collect(page("1", more=True, total=9, due=-1), "lines", next_page)
    assert (lines(collected), collected.complete) == (["1"], False)


def test_there_are_no_more_than_a_hundred_pages() -> None:
    numbers = []

    def next_page(number: int) -> Any:
        numbers.append(number)
        return page(str(number), number=number, more=True, total=1000)

    collected = collect(page("1", more=True, total=1000), "lines", next_page)
    assert len(lines(collected)) == MOST_PAGES == numbers[-1]
    assert not collected.complete


@pytest.mark.parametrize("further", [{"result": None}, {"result": []}, {"result": {"lines": None}}])
def test_a_page_of_another_form_ends_it(further: Any) -> None:
    collected = collect(page("a", more=True, total=2), "lines", lambda _: further)
    assert (lines(collected), collected.complete) == (["a"], False)
