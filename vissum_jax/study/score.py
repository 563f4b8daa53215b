"""How far participants agree on what a summary shows (VS 4.2, table 1)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vissum_jax.study.answers import Answers
from vissum_jax.study.nouns import normalise_all


@dataclass(frozen=True, kw_only=True)
class SummaryScore:
    """What participants said of one summary.

    Attributes:
        class_index: Its class.
        summary: Its number, from 0.
        participants: How many answered.
        no_idea: How many of them had no idea.
        mu_u: Mean Jaccard distance between the nouns of two participants; those without an idea count as having given
            none. None with fewer than two.
        mu_u_named: The same among those who gave nouns.
        tag: The noun that most gave, the first by alphabet of several; empty where nobody gave any.
        tag_share: Share of those who answered that gave it.
        ties: Other nouns that as many gave.
        nouns: How many gave each noun, most first.
    """

    class_index: int
    summary: int
    participants: int
    no_idea: int
    mu_u: float | None
    mu_u_named: float | None
    tag: str
    tag_share: float
    ties: tuple[str, ...]
    nouns: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """What participants said of one class: means over its summaries.

    Attributes:
        class_index: The class.
        summaries: How many of its summaries were answered by anybody.
        mu_u: Mean of the summaries' that have one.
        mu_u_named: Likewise.
        no_idea: Share of all answers that are "no idea".
        tag_share: Mean share of the most used nouns.
    """

    class_index: int
    summaries: int
    mu_u: float | None
    mu_u_named: float | None
    no_idea: float
    tag_share: float


@dataclass(frozen=True, kw_only=True)
class StudyScore:
    """What a study found.

    Attributes:
        summaries: By class and number.
        classes: By index.
        mu_u: Mean over all summaries.
        mu_u_named: Likewise.
        no_idea: Share of all answers that are "no idea".
        chance: Mean distance between answers of two participants to two different summaries: what `mu_u` would be
            if nouns had nothing to do with what is shown. None where there are no such pairs.
        participants: Their names.
        answered: How many summaries each answered.
        agreement: 1 - distance between two participants, mean over the summaries that both answered; NaN where there
            are none, and of a participant with themself.
    """

    summaries: tuple[SummaryScore, ...]
    classes: tuple[ClassScore, ...]
    mu_u: float | None
    mu_u_named: float | None
    no_idea: float
    chance: float | None
    participants: tuple[str, ...]
    answered: tuple[int, ...]
    agreement: Float[np.ndarray, "p p"]


def jaccard_distance(one: Set[str], other: Set[str]) -> float:
    """1 - |A and B| / |A or B|; 0 between two empty sets (VS 4.2)."""
    union = len(one | other)
    return 1.0 - len(one & other) / union if union else 0.0


def score(answers: Sequence[Answers], *, chance_pairs: int, seed: int) -> StudyScore:
    """Score the answers of at least one participant.

    muU of a summary is the mean pairwise Jaccard distance between its participants' sets of nouns; of a class, the
    mean over its summaries (VS table 1).

    Args:
        answers: One entry a participant.
        chance_pairs: Pairs that are drawn for `chance`.
        seed: Of these draws.
    """
    given = [{key: normalise_all(nouns) for key, nouns in entry.nouns.items()} for entry in answers]
    keys = sorted({key for entry in given for key in entry})
    summaries = tuple(_score_summary(key, [entry[key] for entry in given if key in entry]) for key in keys)
    by_class = {index: list(group) for index, group in itertools.groupby(summaries, key=lambda each: each.class_index)}
    return StudyScore(
        summaries=summaries,
        classes=tuple(_score_class(index, group) for index, group in by_class.items()),
        mu_u=_mean([each.mu_u for each in summaries]),
        mu_u_named=_mean([each.mu_u_named for each in summaries]),
        no_idea=_no_idea(summaries),
        chance=_chance(given, chance_pairs, seed),
        participants=tuple(entry.participant for entry in answers),
        answered=tuple(len(entry) for entry in given),
        agreement=_agreement(given),
    )


def _score_summary(key: tuple[int, int], sets: list[frozenset[str]]) -> SummaryScore:
    counts = Counter(noun for nouns in sets for noun in nouns)
    ranked = sorted(counts, key=lambda noun: (-counts[noun], noun))
    most = [noun for noun in ranked if counts[noun] == counts[ranked[0]]]
    return SummaryScore(
        class_index=key[0],
        summary=key[1],
        participants=len(sets),
        no_idea=sum(not nouns for nouns in sets),
        mu_u=_pairwise(sets),
        mu_u_named=_pairwise([nouns for nouns in sets if nouns]),
        tag=most[0] if most else "",
        tag_share=counts[most[0]] / len(sets) if most else 0.0,
        ties=tuple(most[1:]),
        nouns={noun: counts[noun] for noun in ranked},
    )


def _score_class(class_index: int, summaries: list[SummaryScore]) -> ClassScore:
    return ClassScore(
        class_index=class_index,
        summaries=len(summaries),
        mu_u=_mean([each.mu_u for each in summaries]),
        mu_u_named=_mean([each.mu_u_named for each in summaries]),
        no_idea=_no_idea(summaries),
        tag_share=float(np.mean([each.tag_share for each in summaries])),
    )


def _pairwise(sets: Sequence[frozenset[str]]) -> float | None:
    return _mean([jaccard_distance(one, other) for one, other in itertools.combinations(sets, 2)])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _no_idea(summaries: Sequence[SummaryScore]) -> float:
    asked = sum(each.participants for each in summaries)
    return sum(each.no_idea for each in summaries) / asked if asked else 0.0


def _chance(given: Sequence[dict[tuple[int, int], frozenset[str]]], pairs: int, seed: int) -> float | None:
    participants = [row for row, entry in enumerate(given) if entry]
    if len(participants) < 2 or len({key for entry in given for key in entry}) < 2:
        return None
    random = np.random.default_rng(seed)
    keys = [sorted(entry) for entry in given]
    distances = []
    for _ in range(pairs):
        one, other = random.choice(participants, 2, replace=False)
        shown, also = keys[one][random.integers(len(keys[one]))], keys[other][random.integers(len(keys[other]))]
        if shown != also:
            distances.append(jaccard_distance(given[one][shown], given[other][also]))
    return _mean(distances)


def _agreement(given: Sequence[dict[tuple[int, int], frozenset[str]]]) -> Float[np.ndarray, "p p"]:
    agreement = np.full((len(given), len(given)), np.nan)
    for one, other in itertools.combinations(range(len(given)), 2):
        both = sorted(given[one].keys() & given[other].keys())
        if both:
            distance = np.mean([jaccard_distance(given[one][key], given[other][key]) for key in both])
            agreement[one, other] = agreement[other, one] = 1.0 - distance
    return agreement
