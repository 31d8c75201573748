import inspect

import pytest

from ganspect import errors


def _classes() -> list[type]:
    return [member for _, member in inspect.getmembers(errors, inspect.isclass)]


@pytest.mark.parametrize("error", _classes())
def test_every_error_is_caught_by_the_base(error):
    assert issubclass(error, errors.GanspectError)


@pytest.mark.parametrize("error", _classes())
def test_the_tree_in_the_docstring_shows_every_error(error):
    assert error.__name__ in errors.__doc__


def test_an_image_error_is_a_data_error_and_a_calibration_error_a_bundle_error():
    assert issubclass(errors.ImageError, errors.DataError)
    assert issubclass(errors.CalibrationError, errors.BundleError)
