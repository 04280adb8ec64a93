"""What is claimed of processes is done with processes, on both databases."""

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def db_url(request):
    return request.getfixturevalue(f"{request.param}_url")
