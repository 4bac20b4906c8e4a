"""Which moments operators may name: none from beyond any calendar that the database and other zones share."""

import pytest
from pydantic import TypeAdapter, ValidationError

from services.inventory.api import Moment


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1999-12-31T23:59:59Z"])
def test_a_moment_far_off_is_refused_by_its_years(text):
    with pytest.raises(ValidationError, match="between the years 2000 and 2100"):
        TypeAdapter(Moment).validate_python(text)


def test_a_moment_of_these_years_is_taken():
    assert TypeAdapter(Moment).validate_python("2026-11-11T08:00:00+08:00").year == 2026
