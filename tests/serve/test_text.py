"""The text of an answer, cut where the client asked for it."""

from hypothesis import given
from hypothesis import strategies as st

from trim.serve.text import Text, _Stop

STEPS = st.lists(st.text("ab.\n", max_size=6), min_size=1, max_size=8)
STOPS = st.lists(st.text("ab.\n", min_size=1, max_size=5), max_size=4)


@given(STEPS, STOPS)
def test_what_is_given_out_is_the_text_before_the_first_stop(steps, stops):
    text, given_out = Text("\n\n", stops), []
    for step in steps:
        given_out.append(text.add(step, 1))
        if text.finish:
            break
    else:
        given_out.append(text.end("stop"))
    # The first step with which a stop is complete ends it, whatever could have come next.
    for count in range(1, len(steps) + 1):
        whole = "\n\n".join(steps[:count])
        cuts = [whole.index(stop) for stop in stops if stop in whole]
        if cuts:
            break
    assert "".join(given_out) == text.sent == whole[: min(cuts, default=len(whole))]


@given(STEPS, STOPS)
def test_nothing_is_given_out_that_may_belong_to_a_stop(steps, stops):
    text, whole = Text("\n\n", stops), ""
    for index, step in enumerate(steps):
        text.add(step, 1)
        whole += step if index == 0 else "\n\n" + step
        if text.finish:
            break
        # Whatever comes next, no stop begins within what was given out.
        assert not any(len(text.sent) > i and stop.startswith(whole[i:]) for stop in stops for i in range(len(whole)))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10), st.integers(1, 60))
def test_the_answer_ends_before_the_step_that_passes_the_limit(lengths, most):
    text = Text(" ", most_tokens=most)
    for length in lengths:
        text.add("x", length)
        if text.finish:
            break
    assert text.tokens <= most
    assert (text.finish == "length") == (sum(lengths) > most)


class Counted(str):
    """Counts how often one of its characters is looked at."""

    looked = 0

    def __getitem__(self, place):
        Counted.looked += 1
        return super().__getitem__(place)


@given(st.text("ab", min_size=1, max_size=60), st.lists(st.text("ab", max_size=60), max_size=8))
def test_looking_for_a_stop_takes_linear_time(stop, pieces):
    Counted.looked = 0
    looking = _Stop(Counted(stop))
    for piece in pieces:
        if looking.find(piece) is not None:
            break
    assert Counted.looked <= 4 * (len(stop) + sum(map(len, pieces)))
