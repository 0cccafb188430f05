"""The pace of requests, according to what answers say about their address's rate limits."""

import threading

import pytest

from pulumi_cf_invoice.billing.pacing import MOST_REFUSALS, Pacer, PacingError, Throughput


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacer(clock: Clock) -> Pacer:
    return Pacer(clock=clock)


def answered(pacer: Pacer, limit: str = "", policy: str = "") -> None:
    """Let a request through, and its answer come with these headers."""
    pacer.enter(0)
    headers = {"ratelimit": limit, "ratelimit-policy": policy}
    pacer.leave(200, headers)


def at_once(pacer: Pacer) -> int:
    """Return how many requests are let through before one has to wait for another."""
    count = 0
    while count < 20:
        entered = threading.Event()
        thread = threading.Thread(
            target=lambda done=entered: (pacer.enter(0), done.set()), daemon=True
        )
        thread.start()
        if not entered.wait(0.3):
            break
        count += 1
    return count


def test_what_is_left_is_shared_and_then_waited_for(pacer: Pacer, clock: Clock) -> None:
    answered(pacer, '"default";r=2;t=30', '"default";q=1200;w=300')
    for _ in range(2):
        pacer.enter(0)
    for left in (1, 0):
        pacer.leave(200, {"ratelimit": f'"default";r={left};t=30'})
    with pytest.raises(PacingError) as refused:
        pacer.enter(30)
    assert refused.value.problem == (
        "Cloudflare's rate limit of 1,200 requests in 5 minutes is used up"
    )
    assert refused.value.resets.startswith("at ")
    # A second that has begun may have been left out of `t`.
    clock.now += 31.5
    pacer.enter(0)


def test_every_policy_that_is_listed_counts(pacer: Pacer, clock: Clock) -> None:
    answered(
        pacer, '"default";r=900;t=200, "burst";r=0;t=2', '"default";q=1200;w=300, "burst";q=5;w=2'
    )
    with pytest.raises(PacingError, match="5 requests in 2 seconds is used up"):
        pacer.enter(1)
    clock.now += 3
    answered(pacer)


def test_an_address_cannot_make_up_limits_without_end(pacer: Pacer) -> None:
    """Each limit is looked at for each request."""
    for answer in range(20):
        names = [f"{answer}-{number}" for number in range(20)]
        limits = ",".join(f"{name};r=900;t=3600" for name in names)
        answered(pacer, limits, ",".join(f"{name};q=900;w=3600" for name in names))
    answered(pacer, "one-more;r=0;t=30", "one-more;q=1;w=30")
    pacer.enter(0)


def test_a_policy_of_which_nothing_is_left_to_read_is_kept_by_count(
    pacer: Pacer, clock: Clock
) -> None:
    answered(pacer, policy='"slow";q=3;w=60')
    answered(pacer)
    answered(pacer)
    with pytest.raises(PacingError, match="3 requests in 1 minute is used up"):
        pacer.enter(1)
    clock.now += 60.1
    answered(pacer)


def test_answers_that_overtake_each_other_do_not_raise_what_is_left(pacer: Pacer) -> None:
    policy = '"default";q=100;w=30'
    answered(pacer, '"default";r=1;t=30', policy)
    pacer.enter(0)
    pacer.leave(200, {"ratelimit": '"default";r=0;t=30'})
    with pytest.raises(PacingError):
        answered(pacer, '"default";r=9;t=30', policy)


def test_200_requests_a_second_go_to_an_address_whatever_the_credentials(clock: Clock) -> None:
    throughput = Throughput()
    first, second = (Pacer(throughput, clock) for _ in range(2))
    for _ in range(100):
        answered(first)
        answered(second)
    with pytest.raises(PacingError, match="200 requests in 1 second"):
        first.enter(0.5)
    clock.now += 1.1
    answered(first)


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        (None, MOST_REFUSALS),
        ("", MOST_REFUSALS),
        ('"default";r=900;t=200', 16),
        ("default;r=900;t=200", 16),
        ('"default";r=16;t=200', MOST_REFUSALS),
        ('"default";r=3;t=200', 3),
    ],
)
def test_no_more_is_sent_at_once_than_could_be_refused(
    pacer: Pacer, limit: str | None, count: int
) -> None:
    """Before the first answer, without headers, and when hardly anything is left."""
    if limit is not None:
        answered(pacer, limit)
    assert at_once(pacer) == count


def test_refusals_and_requests_under_way_are_never_more_than_a_run_may_meet(
    pacer: Pacer, clock: Clock
) -> None:
    for _ in range(2):
        pacer.enter(0)
        pacer.leave(429, {"retry-after": "1"})
        clock.now += 1.1
    answered(pacer)
    assert at_once(pacer) == MOST_REFUSALS - 2


def test_a_refusal_holds_back_all_and_lets_one_through_first(pacer: Pacer, clock: Clock) -> None:
    answered(pacer, '"default";r=900;t=200')
    pacer.enter(0)
    pacer.leave(429, {"retry-after": "20"})
    with pytest.raises(PacingError, match="rate limit is used up"):
        pacer.enter(19)
    clock.now += 20.1
    assert at_once(pacer) == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"retry-after": "999999"}),
        (200, {"ratelimit": '"default";r=0;t=3600', "ratelimit-policy": '"default";q=1200;w=300'}),
        (200, {"ratelimit": '"default";r=0;t=331'}),
    ],
)
def test_nobody_waits_longer_than_cloudflares_own_limit_can_take(
    pacer: Pacer, status: int, headers: dict[str, str]
) -> None:
    """However patient a command for many accounts is."""
    pacer.enter(0)
    pacer.leave(status, headers)
    with pytest.raises(PacingError, match=r"rate limit.* is used up"):
        pacer.enter(float("inf"))


def test_after_five_refusals_nothing_is_sent_however_long_one_would_wait(
    pacer: Pacer, clock: Clock
) -> None:
    for _ in range(MOST_REFUSALS):
        pacer.enter(0)
        pacer.leave(429, {"retry-after": "1"})
        clock.now += 1.1
    with pytest.raises(PacingError, match="Cloudflare refused this run 5 times") as refused:
        pacer.enter(float("inf"))
    assert refused.value.is_final
    clock.now += 601
    pacer.enter(0)


def test_refusals_of_requests_under_way_together_count_once(pacer: Pacer, clock: Clock) -> None:
    """A run's first requests are sent at once, before an answer says that nothing is left."""
    for under_way in (MOST_REFUSALS, *[1] * (MOST_REFUSALS - 1)):
        for _ in range(under_way):
            pacer.enter(0)
        for _ in range(under_way):
            pacer.leave(429, {"retry-after": "20"})
        clock.now += 20.1
    with pytest.raises(PacingError, match="Cloudflare refused this run 5 times"):
        pacer.enter(float("inf"))


def test_an_answer_that_was_under_way_ends_no_refusal(pacer: Pacer, clock: Clock) -> None:
    answers = (429, 200, 429, None, 200)
    for _ in answers:
        pacer.enter(0)
    for status in answers:
        pacer.leave(status, {"retry-after": "20"})
    clock.now += 20.1
    assert at_once(pacer) == 1


def test_one_answer_ends_a_refusal(pacer: Pacer, clock: Clock) -> None:
    for _ in range(2):
        pacer.enter(0)
    for _ in range(2):
        pacer.leave(429, {"retry-after": "20"})
    clock.now += 20.1
    answered(pacer)
    assert at_once(pacer) == MOST_REFUSALS - 1


@pytest.mark.parametrize(
    "header",
    ["", ",", '"";r=1', '"x"', '"x";r=;t=', '"x";r=-1;t=5', "r=1;t=5", '"x";r=nan', ";" * 9999],
)
def test_a_header_that_cannot_be_read_limits_nothing(pacer: Pacer, header: str) -> None:
    answered(pacer, header, header)
    answered(pacer)


def test_a_wait_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    pacer = Pacer()
    pacer.enter(0)
    pacer.leave(200, {"ratelimit": '"x";r=0;t=1', "ratelimit-policy": '"x";q=100;w=3'})
    waiting = [threading.Thread(target=pacer.enter, args=(9,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(10)
    assert caplog.messages == [
        "waiting 2 s for Cloudflare's rate limit of 100 requests in 3 seconds"
    ]
