import pytest

from dosimeter.results import words


@pytest.mark.parametrize("share", [1e-5, 3.2e-4, 0.0123, 0.5, 0.97, 0.9999])
def test_percent_keeps_two_digits_and_never_rounds_to_an_end(share):
    value = float(words.percent(share, bare=True))
    assert 0 < value < 100
    assert abs(value / 100 - share) <= 0.06 * min(share, 1 - share)


def test_both_ends_of_an_interval_have_the_same_digits():
    assert words.percent_range(0.0071, 0.0125) == "0.71 to 1.25\xa0%"
    assert words.percent_range(0.3, 0.3) == "30 to 30\xa0%"


@pytest.mark.parametrize(
    "character", ["\x00", "\n", "\x9b", "\u200f", "\u2067", "\ufeff", "\ud800", "\ue000", "\u2028"]
)
def test_hidden_characters_are_spelled_out(character):
    assert words.visible(f"a{character}b") == f"a[U+{ord(character):04X}]b"


def test_wrong_accusations_never_round_to_none_or_all():
    assert words.wrong_of(0.0) == "nearly all"
    assert words.wrong_of(0.0004) == "nearly all"
    assert words.wrong_of(1.0) == words.LESS


def test_access_is_read_in_every_spelling():
    assert words.access("Access.PROBS|WEIGHTS") == [words.ACCESS["probs"], words.ACCESS["weights"]]
    assert words.access("probabilities") == [words.ACCESS["probs"]]
