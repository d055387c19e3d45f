"""What a supplied function is told apart by."""

from __future__ import annotations

import torch

from dosimeter.models.supplied.fingerprint import of_callable

ANSWERS = torch.eye(3)


class Client:
    """An endpoint that counts its calls."""

    def __init__(self):
        self.calls, self.seen = 0, {}

    def __call__(self, x):
        self.calls += 1
        self.seen[self.calls] = x
        return x


def test_a_model_that_counts_its_calls_stays_the_same_model():
    client = Client()

    def asked(x):
        return client(x)

    before = [of_callable(one, ANSWERS) for one in (client, asked)]
    asked(1)
    assert [of_callable(one, ANSWERS) for one in (client, asked)] == before


def test_code_numbers_and_answers_make_another_model():
    def scaled(factor, sign=1):
        return lambda x: factor * sign * x

    def of(function, answers=ANSWERS):
        return of_callable(function, answers)

    assert of(scaled(1)) == of(scaled(1))
    others = [of(scaled(1)), of(scaled(2)), of(scaled(1), 2 * ANSWERS), of(lambda x: x + 1), of(lambda x: x - 1)]
    assert len(set(others)) == 5
