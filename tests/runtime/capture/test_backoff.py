import random

from ganspect.runtime.capture.backoff import Backoff


def test_waits_double_up_to_the_longest_and_are_shortened_by_chance():
    backoff = Backoff(first_s=0.5, most_s=30.0, _random=random.Random(0))
    waits = [backoff.next_s() for _ in range(40)]
    for number, wait in enumerate(waits):
        longest = min(30.0, 0.5 * 2**number)
        assert longest / 2 <= wait <= longest
    assert len(set(waits)) == 40


def test_it_begins_again_after_a_success_and_bears_months_of_failures():
    backoff = Backoff(tries=10**9)
    assert backoff.next_s() <= 30.0
    backoff.reset()
    assert backoff.next_s() <= 0.5
