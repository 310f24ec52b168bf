"""Shares of right answers, on scores whose ranking can be read off."""

from __future__ import annotations

import pytest
import torch

from safelight.training.clip.figures import ranking, retrieval, said


def test_hits_are_counted_among_the_first_and_the_first_five() -> None:
    places = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0])
    right = places[:, None] == torch.arange(8)
    assert ranking("x", torch.eye(8), right)["x_first"] == 6 / 8
    assert ranking("x", torch.eye(8).roll(1, dims=1), torch.eye(8).bool())["x_first"] == 0
    falling = torch.arange(8.0, 0, -1).expand(4, 8)
    found = ranking("x", falling, torch.tensor([0, 4, 5, 7])[:, None] == torch.arange(8))
    assert found == {"x_first": 1 / 4, "x_first5": 2 / 4, "x_chance": 1 / 8}
    assert ranking("x", torch.ones(1, 1), torch.ones(1, 1).bool()) == {"x_first": 1, "x_first5": 1, "x_chance": 1}


def test_chance_is_what_random_scores_reach() -> None:
    generator = torch.Generator().manual_seed(0)
    right = torch.rand(4000, 20, generator=generator) < 0.3
    right[:, 0] = True
    found = ranking("x", torch.rand(4000, 20, generator=generator), right)
    assert found["x_first"] == pytest.approx(found["x_chance"], abs=0.03)


def test_each_picture_that_shares_a_caption_is_a_right_answer_to_it() -> None:
    # Pictures 0 and 1 share caption 0. Caption 0 finds picture 1 first, picture 0 takes caption 1 for its own.
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    found = retrieval(scores, torch.tensor([0, 0, 1]))
    assert found["image_to_text_first"] == pytest.approx(2 / 3)
    assert found["image_to_text_chance"] == 1 / 2
    assert found["text_to_image_first"] == 1 / 2  # caption 1 finds picture 0, which is not its own
    assert found["text_to_image_chance"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    assert found["text_to_image_first5"] == found["image_to_text_first5"] == 1


def test_names_are_said_with_their_article() -> None:
    assert said("a {}", "owl") == "an owl"
    assert said("a picture of a {}, a {}", "Eye") == "a picture of an Eye, an Eye"
    assert said("a {}", "fox") == "a fox"
    assert said("{}", "owl") == "owl"
    assert said("in a {}", "") == "in a "
    assert said("a {}", r"\1o{}wl") == r"a \1o{}wl"
