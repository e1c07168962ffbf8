"""`data.store`: a store in a folder of the user's choice."""

from pathlib import Path

import pytest

from data.conftest import count_builds, truncate, write_lines
from star_search.data.split import SPLITS
from star_search.data.store import prepare
from star_search.errors import InputError


class TestChosenFolder:
    """`data.store`: a store that is carried about, and opened where its source is not."""

    @pytest.fixture
    def chosen(self, config, tmp_path):
        return config.model_copy(update={"store": str(tmp_path / "store")})

    def test_it_is_built_there_and_opened_without_its_source(self, config, chosen, corpus, cache_folder):
        store = prepare(chosen)
        assert (store.folder, store.fingerprint) == (Path(chosen.store), prepare(config).fingerprint)
        corpus.rename(corpus.with_name("gone"))
        assert prepare(chosen).fingerprint == store.fingerprint
        with pytest.raises(InputError, match="does not exist"):
            prepare(config)

    def test_it_is_refused_when_the_configuration_or_the_source_is_another(self, chosen, corpus):
        store = prepare(chosen)
        shown = rf"has the fingerprint {store.fingerprint[:16]}, and this configuration and its source come to \w{{16}}; what differs: "
        with pytest.raises(InputError, match=shown + "tokenizer$"):
            prepare(chosen.model_copy(update={"tokenizer": "embedded-bpe-4096"}))
        with (corpus / "z.jsonl").open("a") as stream:
            stream.write('{"text": "new"}\n')
        with pytest.raises(InputError, match=shown + "files$"):
            prepare(chosen)

    def test_what_is_put_there_meanwhile_is_left_alone_and_nothing_is_done_twice(self, chosen, monkeypatch):
        folder = Path(chosen.store)

        def fill(done: float, tokens: int) -> None:
            folder.mkdir(exist_ok=True)
            (folder / "mine").write_text("mine")

        with pytest.raises(InputError) as caught:
            prepare(chosen, report=fill)
        expected = f"data.store {folder} was filled while the text was prepared; once it is empty, the same command goes on"
        assert str(caught.value) == expected and (folder / "mine").read_text() == "mine"
        (folder / "mine").unlink()
        builds = count_builds(monkeypatch)
        assert len(prepare(chosen).train) and builds == []

    def test_a_folder_of_something_else_is_left_alone(self, chosen):
        folder = Path(chosen.store)
        folder.mkdir()
        (folder / "mine").write_text("mine")
        with pytest.raises(InputError) as caught:
            prepare(chosen)
        assert str(caught.value) == f"data.store {folder} exists and is no token store"
        assert [path.name for path in folder.iterdir()] == ["mine"]

    @pytest.mark.parametrize("changed", ["tokenizer", "source", "test_fraction"])
    def test_what_an_interrupted_build_of_another_text_left_is_not_used(self, chosen, tmp_path, monkeypatch, changed):
        def interrupt(self):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("star_search.data.building.Layout.write", interrupt)
            prepare(chosen)
        building = tmp_path / ".store.building"
        assert list(building.glob("parts/*/*.tokens"))
        (building / "train-00007.npy").write_text("left over")
        write_lines(tmp_path / "other.jsonl", [{"text": f"other {number}"} for number in range(40)])
        other = {"tokenizer": "embedded-bpe-4096", "source": str(tmp_path / "other.jsonl"), "test_fraction": 0.3}[changed]
        config = chosen.model_copy(update={changed: other})
        store, undisturbed = prepare(config), prepare(config.model_copy(update={"store": None}))
        assert store.fingerprint == undisturbed.fingerprint
        for split in SPLITS:
            assert store.split(split)[:].tobytes() == undisturbed.split(split)[:].tobytes()
        names = {path.name for path in store.folder.iterdir()}
        assert names == {path.name for path in undisturbed.folder.iterdir()} and not building.exists()

    def test_a_damaged_test_split_is_one_sentence(self, chosen):
        store = prepare(chosen)
        (store.folder / "test-00000.npy").unlink()
        with pytest.raises(InputError, match=r"store is damaged \(.*test-00000.npy.*\); once it is deleted, it is made again"):
            prepare(chosen).split("test")

    def test_a_damaged_one_is_refused(self, chosen):
        prepare(chosen)
        truncate(Path(chosen.store) / "train-00000.npy")
        with pytest.raises(InputError, match=r"store is damaged \(.*\); once it is deleted, it is made again"):
            prepare(chosen)
