import pytest

from star_search.data.split import document_digest, is_validation, order_key

DIGESTS = [document_digest(f"document {k}") for k in range(10_000)]


def test_the_digest_is_the_sha256_of_the_text():
    assert document_digest("abc").hex().startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("fraction", [0.01, 0.05, 0.5])
def test_the_fraction_holds_within_four_standard_deviations(fraction):
    share = sum(is_validation(digest, fraction) for digest in DIGESTS) / len(DIGESTS)
    assert abs(share - fraction) < 4 * (fraction * (1 - fraction) / len(DIGESTS)) ** 0.5


def test_a_larger_fraction_keeps_every_validation_document():
    assert all(is_validation(digest, 0.1) for digest in DIGESTS if is_validation(digest, 0.05))


def test_the_order_depends_on_the_seed_alone():
    orders = [sorted(DIGESTS, key=lambda digest, seed=seed: order_key(digest, seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
