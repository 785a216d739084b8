"""Customer sentences with their sentiment, made here and always the same."""

from __future__ import annotations

import random
from dataclasses import dataclass

LABELS = ("negative", "neutral", "positive")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


THINGS = _words(
    "food service delivery price room staff app screen battery sound support packaging checkout refund website "
    "driver kitchen menu bed shower view seat crew wifi breakfast coffee pizza soup camera keyboard"
)
GOOD = _words("good great fast friendly clean fresh helpful reliable lovely excellent tasty comfortable quiet fair")
BAD = _words("bad slow rude dirty stale broken awful terrible noisy expensive cold late confusing bland")
PLAIN = _words("ordinary average usual plain standard acceptable")
TIMES = ("today", "this time", "last week", "again", "on monday", "as far as i can tell", "in the end", "")
# a negation turns the polarity round: the word alone says nothing, the pair says it all
NEGATIONS = ("not", "never", "hardly", "far from")
INTENSIFIERS = ("very", "really", "so", "quite", "")
OPENINGS = ("", "honestly", "well", "to be fair", "we found that", "my view", "second visit")


@dataclass(frozen=True)
class Sentence:
    """A text and what it says: an index into LABELS."""

    text: str
    label: int


def make_sentences(count: int, seed: int) -> tuple[Sentence, ...]:
    """Make sentences without repeats; the same seed gives the same sentences."""
    chance = random.Random(seed)  # noqa: S311 chance for training data, not for secrets
    made: dict[str, Sentence] = {}
    while len(made) < count:
        sentence = _sentence(chance)
        made[sentence.text] = sentence
    return tuple(made.values())


def _sentence(chance: random.Random) -> Sentence:
    clauses = [_clause(chance) for _ in range(chance.choice((1, 1, 2)))]
    joined = chance.choice((" and ", ", but ", "; ")).join(text for text, _ in clauses)
    polarity = sum(value for _, value in clauses)
    opening, time = chance.choice(OPENINGS), chance.choice(TIMES)
    text = " ".join(part for part in (opening, joined, time) if part)
    ending = chance.choice((".", "!", "", "..."))
    return Sentence(text[0].upper() + text[1:] + ending, (polarity > 0) - (polarity < 0) + 1)


def _clause(chance: random.Random) -> tuple[str, int]:
    """Return one statement and its polarity: 1, 0 or -1."""
    thing = chance.choice(THINGS)
    if chance.random() < 0.1:
        return f"the {thing} was {chance.choice(PLAIN)}", 0
    polarity = chance.choice((1, -1))
    word = chance.choice(GOOD if polarity > 0 else BAD)
    if chance.random() < 0.2:
        return f"the {thing} was {chance.choice(NEGATIONS)} {word}", -polarity
    intensifier = chance.choice(INTENSIFIERS)
    return " ".join(part for part in ("the", thing, "was", intensifier, word) if part), polarity
