import pytest

from pinnace.kubeapi.durations import render_duration

MINUTE, HOUR, DAY = 60, 3600, 86400


# Expected values: the table of Kubernetes' own TestHumanDuration, and hand calculation at the borders.
@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (1.9, "1s"),
        (70, "70s"),
        (119, "119s"),
        (120, "2m"),
        (190, "3m10s"),
        (10 * MINUTE, "10m"),
        (70 * MINUTE, "70m"),
        (3 * HOUR - 1, "179m"),
        (3 * HOUR, "3h"),
        (3 * HOUR + 10 * MINUTE, "3h10m"),
        (8 * HOUR - 1, "7h59m"),
        (8 * HOUR, "8h"),
        (47 * HOUR, "47h"),
        (48 * HOUR, "2d"),
        (49 * HOUR, "2d1h"),
        (8 * DAY, "8d"),
        (365 * DAY, "365d"),
        (2 * 365 * DAY, "2y"),
        (2 * 365 * DAY + 4 * DAY, "2y4d"),
        (10 * 365 * DAY, "10y"),
    ],
)
def test_duration_has_the_units_of_kubectl(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text
