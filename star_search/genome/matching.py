"""The width at which one genome is as large, or as dear to train, as another."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, get_args

from star_search.errors import InputError, check_word
from star_search.genome.accounting import Accounting
from star_search.genome.flops import flops_per_token

Match = Literal["parameters", "flops"]
# Four heads at the least, and every class needs a multiple of twice their number.
WIDTH_STEP = 8
WIDEST = 4


def read_match(text: str) -> Match:
    """Return what `--match` says.

    Raises:
        InputError: for another word.
    """
    found: Match = check_word(text, get_args(Match), "--match")
    return found


def cost(account: Accounting, by: Match, vocabulary_size: int, length: int) -> float:
    """Return what is matched: the parameters but embedding and head, or the operations of training on one token."""
    return account.parameters if by == "parameters" else flops_per_token(account, vocabulary_size, length)


def matched(account: Accounting, target: Accounting, by: Match, vocabulary_size: int, length: int) -> Accounting:
    """Return the account at the width whose cost is nearest to the target's, in proportion; of two as near, the narrower.

    Widths are those that every class of the genome fits, up to four times the target's: where heads are shared by four they lie far apart.

    Raises:
        InputError: when no width fits.
    """
    wanted = math.log(cost(target, by, vocabulary_size, length))
    widths = range(WIDTH_STEP, WIDEST * target.width + 1, WIDTH_STEP)
    found = [each for each in (_at(account, width) for width in widths) if each is not None]
    if not found:
        raise InputError(f"genome {account.genome} fits no width up to {WIDEST * target.width}, so its {by} cannot be matched")
    return min(found, key=lambda each: abs(math.log(cost(each, by, vocabulary_size, length)) - wanted))


def _at(account: Accounting, width: int) -> Accounting | None:
    """Return the account at another width, nothing where a class does not fit it."""
    other = replace(account, width=width)
    try:
        _ = other.dimensions
    except InputError:
        return None
    return other
