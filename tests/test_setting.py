"""Settings as values and as texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.errors import TrimError
from trim.setting import Setting, first_seed

PARAMETERS = st.from_regex(r"[a-z_][a-z_0-9]*", fullmatch=True)
SEEDS = st.none() | st.integers(0, 10**6)
SETTINGS = st.builds(Setting, seed=SEEDS) | st.builds(
    Setting, PARAMETERS, st.floats(allow_nan=False) | st.integers(-(10**9), 10**9), SEEDS
)


@given(SETTINGS)
def test_a_setting_is_read_as_it_was_written(setting):
    assert Setting.parse(str(setting)) == setting
    assert hash(Setting.parse(str(setting))) == hash(setting)


@given(SETTINGS, PARAMETERS)
def test_a_client_may_leave_out_the_parameter(setting, other):
    assert Setting.read(setting.brief(setting.parameter), setting.parameter) == setting
    if setting.parameter != other:
        assert setting.brief(other) == str(setting)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (Setting(), "-"),
        (Setting("tau", 0.35), "tau=0.35"),
        (Setting("tau", 1), "tau=1"),
        (Setting("budget", 1 / 3, 0), "budget=0.333333 seed=0"),
        (Setting("cost", 0.00001), "cost=1e-05"),
        (Setting("odds", -4), "odds=-4"),
    ],
)
def test_the_text_of_a_setting(setting, text):
    assert str(setting) == text
    assert Setting.parse(text) == setting


@pytest.mark.parametrize("text", ["", "tau", "tau=", "tau=x", "=1", "tau=1 seed=", "tau=1 seed=-1", "tau=1 more"])
def test_any_other_text_is_refused(text):
    assert Setting.read(text) is None
    with pytest.raises(TrimError, match="is no setting, such as budget="):
        Setting.parse(text)


def test_the_first_seed_is_the_least():
    assert first_seed([Setting("cost", 1, seed) for seed in (2, 0, 1)]) == 0
    assert first_seed([Setting("cost", 1)]) is None
