"""Suffixes and paraphrases: enough of them, held out as said, and harmless to the question."""

from collections import Counter

import numpy as np
import pytest

from pointsman.testing.attacks import attacked_in_part, attacks_of
from pointsman.testing.paraphrases import PARAPHRASES, split_question
from pointsman.testing.suffixes import HELD_OUT_KIND, SUFFIXES

QUESTION = "Which of the following is not an ancient continent?\nA. Gondwana\nB. Pangaea, later\nC. France\nD. Laurasia"
RULES = {rule.name: rule for rule in PARAPHRASES}


def test_there_are_enough_suffixes_and_a_fifth_is_held_out():
    assert len(SUFFIXES) == 65
    assert len({suffix.name for suffix in SUFFIXES}) == len({suffix.text for suffix in SUFFIXES}) == 65
    assert sum(suffix.held_out for suffix in SUFFIXES) == 13
    per_kind = Counter(suffix.kind for suffix in SUFFIXES if suffix.held_out)
    assert per_kind[HELD_OUT_KIND] == 5
    assert max(count for kind, count in per_kind.items() if kind != HELD_OUT_KIND) == 1


@pytest.mark.parametrize("suffix", SUFFIXES, ids=lambda suffix: suffix.name)
def test_a_suffix_leaves_the_question_in_front(suffix):
    attacked = suffix.attack(QUESTION)
    assert attacked.startswith(QUESTION + "\n")
    assert attacked.endswith(suffix.text)
    assert len(suffix.text.split()) + len(suffix.text) > 10


def test_there_are_enough_paraphrases_and_a_fifth_is_held_out():
    assert len(PARAPHRASES) == 16
    assert sum(rule.held_out for rule in PARAPHRASES) == 3


@pytest.mark.parametrize("rule", PARAPHRASES, ids=lambda rule: rule.name)
def test_a_paraphrase_is_pure_and_keeps_every_option(rule):
    written = rule.rewrite(QUESTION)
    assert written == rule.rewrite(QUESTION) != QUESTION
    squeezed = " ".join(written.lower().split())
    for option in ("gondwana", "pangaea, later", "france", "laurasia"):
        assert option in squeezed


@pytest.mark.parametrize("rule", PARAPHRASES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("text", ["", "Why?", "A. only one option", "B. second\nA. first", "🙂\n\n中文"])
def test_a_paraphrase_takes_any_text(rule, text):
    assert isinstance(rule.rewrite(text), str)
    assert rule.labels(text) == {}


@pytest.mark.parametrize("rule", PARAPHRASES, ids=lambda rule: rule.name)
def test_the_key_stays_with_its_option(rule):
    label = rule.labels(QUESTION)["C"]
    line = next(part for part in rule.rewrite(QUESTION).split("\n") if "france" in part.lower())
    before = line.lower().partition("france")[0].rstrip(" *.)(-")
    assert before.endswith(label.lower())


def test_rewritings():
    assert RULES["rotate_options"].rewrite("Q\nA. x\nB. y\nC. z") == "Q\nA. z\nB. x\nC. y"
    assert RULES["number_labels"].rewrite("Q\nA. x\nB. y") == "Q\n1. x\n2. y"
    assert RULES["one_line"].rewrite("Q\nA. x\nB. y") == "Q A) x B) y"
    assert RULES["contractions"].rewrite("This is not so; what is it?") == "This isn't so; what's it?"
    assert RULES["typos"].rewrite("ancient forests without animals") == "ancient forests wihtout animals"
    assert RULES["synonyms"].rewrite("Which of the following is true?") == "Which one of these is correct?"


def test_options_of_several_lines():
    assert split_question("Q\nmore\nA. x\nstill x\nB. y") == ("Q\nmore", ("x\nstill x", "y"))


def test_attacks_keep_the_question_and_training_never_sees_those_held_out():
    suffixes = attacks_of(["suffix"])
    assert [attack.rewrite(QUESTION) for attack in suffixes] == [f"{QUESTION}\n{s.text}" for s in SUFFIXES]
    assert {attack.way for attack in attacks_of(["inline", "paraphrase"])} == {"inline", "paraphrase"}
    texts = attacked_in_part([QUESTION] * 400, np.random.default_rng(1))
    assert all(QUESTION in text for text in texts)
    assert 150 < sum(text != QUESTION for text in texts) < 250
    assert not any(suffix.text in text for suffix in SUFFIXES if suffix.held_out for text in texts)
