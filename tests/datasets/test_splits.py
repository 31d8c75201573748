import pytest

from ganspect.datasets import split_calibration, split_held_out
from ganspect.errors import DataError


@pytest.mark.parametrize(("count", "share", "held_out"), [(31, 0.2, 6), (8, 0.001, 1), (8, 0.99, 7)])
def test_held_out(count: int, share: float, held_out: int) -> None:
    training, held = split_held_out(range(count), share, seed=0)
    assert len(held) == held_out
    assert sorted(training + held) == list(range(count))


def test_held_out_depends_on_the_seed_alone() -> None:
    assert split_held_out(range(50), 0.2, 1) == split_held_out(range(50), 0.2, 1) != split_held_out(range(50), 0.2, 2)


def test_too_few_images() -> None:
    with pytest.raises(DataError, match="7 usable normal images were found, at least 8"):
        split_held_out(range(7), 0.2, 0)


@pytest.mark.parametrize(("count", "statistics"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (6, 2), (40, 10), (94, 24)])
def test_a_quarter_goes_to_the_statistics(count: int, statistics: int) -> None:
    first, second = split_calibration(range(count))
    assert len(first) == statistics
    assert sorted(first + second) == list(range(count))
