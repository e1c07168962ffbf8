"""The script that measures whole searches: every mode and number of workers is a run, and its figures are those of its records."""

import json
import sys

import pytest

from scripts.conftest import loaded

TINY = [
    *("data.tokenizer=bytes", "data.validation_tokens=1024", "space.depth=2", "space.width=64", "algorithm.population=3"),
    *("training.tokens=512", "training.sequence_length=32", "training.batch_tokens=64", "training.unigram_deadline_tokens=null"),
]
SETS = [part for change in TINY for part in ("--set", change)]


@pytest.fixture
def main(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with loaded("measure_search") as module:

        def call(*arguments):
            monkeypatch.setattr(sys, "argv", ["measure_search.py", "--device", "cpu", *map(str, arguments)])
            module.main()

        yield call


def test_every_mode_and_number_of_workers_is_a_row(main, tmp_path, capsys):
    main("--gpus", "1,2", "--generations", 1, *SETS, "--out", "found.json")
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [(row["mode"], row["gpus"], row["workers"]) for row in rows] == [
        *(("generations", 1, 1), ("generations", 2, 2)),
        *(("async", 1, 1), ("async", 2, 2)),
    ]
    for row in rows:
        assert (row["candidates"], row["ok"]) == (6, 0)  # Too little training for any to be better than a unigram.
        assert row["an_hour"] == pytest.approx(3600 * 6 / row["seconds"])
        assert 0 < row["working"] <= 1
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-4] for line in shown][::2] == ["1.00", "1.00"]


def test_a_mode_that_is_not_there_is_refused(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main("--modes", "generation")
    assert ended.value.code == 2
    assert "unknown mode 'generation'; allowed: generations, async" in capsys.readouterr().err
