"""The series: one model asked in one way."""

from distill.cards import Marks
from distill.series import Asker
from distill.types import Sampling


def test_the_series_does_not_depend_on_max_tokens() -> None:
    short, long = (Asker(model="m", sampling=Sampling(max_tokens=n)) for n in (10, 20))
    assert short.series == long.series


def test_the_series_depends_on_everything_that_changes_what_would_be_written() -> None:
    asked = [
        Asker(model="m"),
        Asker(model="other"),
        Asker(model="m", revision="r"),
        Asker(model="m", template="t"),
        Asker(model="m", instruction={"math": "Box it."}),
        Asker(model="m", sampling=Sampling(temperature=0.5)),
        Asker(model="m", sampling=Sampling(top_p=0.5)),
        Asker(model="m", sampling=Sampling(top_k=5)),
        Asker(model="m", marks=Marks(close="</t>")),
        Asker(model="m", marks=Marks(opened=True)),
        Asker(model="m", step=1),
    ]
    assert len({asker.series for asker in asked}) == len(asked)
    assert all(len(asker.series) == 12 for asker in asked)
