import pytest

from data.conftest import write_lines
from star_search.config import DataConfig
from star_search.data.mixture import KNOWN_SUBSETS, PRESETS, Mixture
from star_search.data.split import SPLITS
from star_search.data.store import prepare
from star_search.errors import InputError


def _mixture(subsets: object) -> Mixture:
    return Mixture.from_config(DataConfig.model_validate({"subsets": subsets}))


def test_presets_are_the_published_mixtures():
    """1,210 billion tokens of RedPajama; LLaMA's proportions, which sum to 1."""
    assert sum(PRESETS["redpajama"].values()) == 1210
    assert sum(PRESETS["llama"].values()) == pytest.approx(1)
    assert set(PRESETS["llama"]) == set(KNOWN_SUBSETS)
    shares = _mixture("redpajama").shares
    assert shares is not None and shares["common_crawl"] == pytest.approx(878 / 1210) and sum(shares.values()) == pytest.approx(1)


def test_weights_are_scaled_and_lists_choose_without_weights():
    assert _mixture({"b": 3.0, "a": 1.0}) == Mixture(("a", "b"), {"a": 0.25, "b": 0.75})
    assert _mixture(["b", "a", "b"]) == Mixture(("a", "b"), None)
    assert _mixture(None).takes("anything") and not _mixture(["a"]).takes("b")


@pytest.mark.parametrize("weights", [{"a": 1e308, "b": 1e308}, {"a": 1e-320, "b": 1e308}])
def test_weights_without_shares_are_refused(weights):
    with pytest.raises(InputError, match=r"^data\.subsets has weights that are too large or too far apart to make shares of$"):
        _mixture(weights)


def test_more_subsets_than_a_table_counts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("star_search.data.mixture.MOST_SUBSETS", 5)
    write_lines(tmp_path / "x.jsonl", [{"text": f"text {k}", "red_pajama_subset": f"subset {k}"} for k in range(6)])
    refused = f"data.source {tmp_path}/x.jsonl names more than 5 subsets; data.subsets chooses some of them"
    config = DataConfig(source=str(tmp_path / "x.jsonl"))
    for chunk_bytes in (1 << 20, 1):  # In one chunk, in many.
        monkeypatch.setattr("star_search.data.reading.CHUNK_BYTES", chunk_bytes)
        with pytest.raises(InputError) as caught:
            prepare(config)
        assert str(caught.value) == refused
    assert prepare(config.model_copy(update={"subsets": ["subset 1"]})).subsets == ["subset 1"]


def test_an_unknown_preset_is_refused():
    with pytest.raises(InputError) as caught:
        _mixture("lama")
    assert str(caught.value) == "data.subsets lama is no preset; did you mean 'llama'?"


@pytest.mark.parametrize(
    ("subsets", "most", "expected"),
    [
        ({"a": 3.0, "b": 1.0}, 10**9, {"a": 300, "b": 100}),
        ({"a": 1.0, "b": 9.0}, 10**9, {"a": 56, "b": 500}),
        ({"a": 1.0, "b": 1.0}, 100, {"a": 50, "b": 50}),
        (None, 10**9, {"a": 300, "b": 500}),
        (None, 80, {"a": 30, "b": 50}),
        ({"a": 1.0, "b": 1.0, "c": 8.0}, 10**9, {"a": 300, "b": 300}),
    ],
)
def test_quotas_are_the_largest_mixture_that_repeats_nothing(subsets, most, expected):
    assert _mixture(subsets).quotas({"a": 300, "b": 500}, most) == expected


def test_a_store_has_the_shares_to_one_document_a_subset():
    config = DataConfig(subsets="llama", validation_fraction=0.2, test_fraction=0.2)
    whole = prepare(config.model_copy(update={"subsets": list(Mixture.from_config(config).names or ())}))
    store = prepare(config)
    shares = Mixture.from_config(config).shares
    assert shares is not None and store.index["left_out"] > 0
    for split in SPLITS:
        counts = store.index["splits"][split]["subsets"]
        exhausted = 0
        available = whole.index["splits"][split]["subsets"]
        total = min(available[name]["tokens"] / share for name, share in shares.items())
        longest = int(max(tokens for tokens in _lengths(whole, split)))
        for name, share in shares.items():
            assert 0 <= counts[name]["tokens"] - round(total * share) < longest
            exhausted += counts[name] == available[name]
        assert exhausted >= 1


def _lengths(store, split):
    ends = store.split(split).documents()["end"].astype(int).tolist()
    return [end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)]
