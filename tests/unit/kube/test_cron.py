"""Schedules of CronJobs: what they mean, and the words in which wrong ones are refused."""

import contextlib

import pytest

from pinnace.kube.cron import CronError, Schedule, parse_schedule

EVERY_HOUR = frozenset(range(24))
EVERY_DAY = frozenset(range(1, 32))
EVERY_MONTH = frozenset(range(1, 13))
EVERY_WEEKDAY = frozenset(range(7))


def test_stars_lists_ranges_steps_and_names() -> None:
    assert parse_schedule("*/20 9-11,23 1 JAN,mar-apr mon-FRI/2") == Schedule(
        minutes=frozenset({0, 20, 40}),
        hours=frozenset({9, 10, 11, 23}),
        days=frozenset({1}),
        months=frozenset({1, 3, 4}),
        weekdays=frozenset({1, 3, 5}),
    )


def test_a_number_with_a_step_goes_on_to_the_end() -> None:
    # Source: robfig/cron v3, parser_test.go: "N/step" means "N-max/step".
    assert parse_schedule("50/4 * * * *").minutes == {50, 54, 58}


@pytest.mark.parametrize("star", ["*", "?", "*/1", "1-31,*"])
def test_a_star_is_remembered(star: str) -> None:
    schedule = parse_schedule(f"0 0 {star} * 5")
    assert (schedule.any_day, schedule.any_weekday, schedule.days) == (True, False, EVERY_DAY)


def test_a_star_with_a_step_is_none() -> None:
    assert not parse_schedule("0 0 */2 * *").any_day


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_words_stand_for_fields(word: str, fields: str) -> None:
    assert parse_schedule(word) == parse_schedule(fields)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("@every 1h30m", 5400), ("@every 1.5h", 5400), ("@every 90s", 90), ("@every 10ms", 1), ("@every 0", 1)],
)
def test_every_so_often(text: str, seconds: float) -> None:
    assert parse_schedule(text).every_s == seconds


def test_a_zone_in_the_text() -> None:
    assert parse_schedule("CRON_TZ=Europe/Berlin @hourly").zone == "Europe/Berlin"
    assert parse_schedule("TZ=UTC 5 * * * *").minutes == {5}


# The sentences: robfig/cron v3, parser.go and parser_test.go.
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty spec string"),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * 13 *", "end of range (13) above maximum (12): 13"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("30-10 * * * *", "beginning of range (30) beyond end of range (10): 30-10"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("*/x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("1- * * * *", 'failed to parse int from : strconv.Atoi: parsing "": invalid syntax'),
        (
            "99999999999999999999 * * * *",
            "failed to parse int from 99999999999999999999: "
            'strconv.Atoi: parsing "99999999999999999999": value out of range',
        ),
        ("@fortnightly", "unrecognized descriptor: @fortnightly"),
        ("@every never", 'failed to parse duration @every never: time: invalid duration "never"'),
        ("@every 5", 'failed to parse duration @every 5: time: missing unit in duration "5"'),
        ("@every 1d", 'failed to parse duration @every 1d: time: unknown unit "d" in duration "1d"'),
        ("TZ=Nowhere/Land 0 0 * * *", "provided bad location Nowhere/Land: unknown time zone Nowhere/Land"),
        ("TZ=UTC", "empty spec string"),
    ],
)
def test_wrong_schedules_are_named_in_kubernetes_words(text: str, sentence: str) -> None:
    with pytest.raises(CronError) as caught:
        parse_schedule(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["*" * 10_000, "1," * 10_000 + " * * * *", "@every " + "9" * 10_000 + "h"])
def test_long_texts_end_soon(text: str) -> None:
    with contextlib.suppress(CronError):
        parse_schedule(text)
