import pytest

from star_search.config import DataConfig
from star_search.data.split import document_digest, order_key, split_of


def _splits(validation: float, test: float, held_out: bool = False, **changes: object) -> list[str]:
    config = DataConfig.model_validate({"validation_fraction": validation, "test_fraction": test, **changes})
    return [split_of(digest, config, held_out) for digest in DIGESTS]


DIGESTS = [document_digest(f"document {k}") for k in range(10_000)]


def test_the_digest_is_the_sha256_of_the_text():
    assert document_digest("abc").hex().startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize(("validation", "test"), [(0.01, 0.02), (0.05, 0.0), (0.5, 0.25)])
def test_the_fractions_hold_within_four_standard_deviations(validation, test):
    splits = _splits(validation, test)
    for name, fraction in (("validation", validation), ("test", test), ("train", 1 - validation - test)):
        share = splits.count(name) / len(DIGESTS)
        assert abs(share - fraction) <= 4 * (fraction * (1 - fraction) / len(DIGESTS)) ** 0.5


def test_a_test_split_is_cut_from_validation_when_their_sum_stays():
    """So that train keeps every document."""
    before, after = _splits(0.05, 0.0), _splits(0.025, 0.025)
    assert [split == "train" for split in before] == [split == "train" for split in after]
    assert {old for old, new in zip(before, after, strict=True) if new == "test"} == {"validation"}


def test_what_is_held_out_validates_or_tests_in_proportion():
    splits = _splits(0.01, 0.03, held_out=True, held_out_source="x")
    assert "train" not in splits
    assert splits.count("validation") / len(DIGESTS) == pytest.approx(0.25, abs=0.02)
    assert set(_splits(0.5, 0.0, held_out=True, held_out_source="x")) == {"validation"}
    assert set(_splits(0.5, 0.2, held_out_source="x")) == {"train"}


def test_the_order_depends_on_the_seed_alone():
    orders = [sorted(DIGESTS, key=lambda digest, seed=seed: order_key(digest, seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
