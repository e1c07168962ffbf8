"""The live view of a search: what it shows, that it fits every terminal, that it does not move, and that it obeys no text."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from evolution.small_search import StandIn, make_run, search_in, stand_in_config
from star_search.cli import live
from star_search.cli.live import LiveReporter, build_reporter
from star_search.cli.live_view import Flight, Shown, draw
from star_search.cli.progress import PlainReporter, QuietReporter
from star_search.objectives.assignment import Assignment, Sign
from star_search.runs.records import Outcome
from star_search.training.progress import Progress
from stored_run import HOSTILE, Recorded, fate

SIZES = [(80, 24), (140, 40), (40, 24), (80, 10), (300, 100)]
COLOUR, OBEYED = re.compile(r"\x1b\[[\d;]*(?:3[0-8]|4[0-8])[;m]"), re.compile(r"[\x00-\x09\x0b-\x1f\x7f\u202e]")


def terminal(width=80, height=24, **options):
    return Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        height=height,
        color_system="truecolor",
        highlight=False,
        _environ={},
        **options,
    )


@pytest.fixture
def config():
    return stand_in_config(workers={"count": 2}, algorithm={"seed": 5})


@pytest.fixture
def reporter(config, tmp_path):
    """A reporter of a search of thirty, twelve of which have their outcome, one of them an error that holds control characters."""
    run = make_run(tmp_path / "run", config)
    found = LiveReporter(config, run, terminal=terminal())
    search = search_in(run, config, Recorded(config, fate, limit=12), reporter=found)
    with pytest.raises(KeyboardInterrupt):
        search.run()
    return found


def sign(number, worker, progress=None):
    genome = "11111-71111-51111-91111"
    return Sign(Assignment(number, 2, genome, genome, ""), worker, progress)


def lines_of(reporter, width=80, height=24):
    reporter.terminal = terminal(width, height)
    return reporter.draw().plain.split("\n")


class TestContent:
    def test_workers_show_their_candidates(self, reporter):
        reporter.candidate_progressed(sign(12, "0"))
        reporter.candidate_progressed(sign(13, "1"))
        for step in range(1, 6):
            reporter.candidate_progressed(sign(13, "1", Progress(step, 10, 4.0 - step / 2, 12345.6)))
        lines = lines_of(reporter)
        assert [line.split()[:3] for line in lines[4:6]] == [["0", "12", "ACRM"], ["1", "13", "ACRM"]]
        assert "at work for 0 s" in lines[4]
        assert re.search(r" 50%     12,346   1\.500  █+▆+▅+▃+▁+·+$", lines[5]), lines[5]
        blocks, dots = len(re.findall("[▁-█]", lines[5])), lines[5].count("·")
        assert abs(blocks - dots) <= 1

    def test_a_candidate_that_begins_again_elsewhere_leaves_its_worker(self, reporter):
        reporter.candidate_progressed(sign(12, "0", Progress(5, 10, 2.0, 1.0)))
        reporter.candidate_progressed(sign(12, "1"))
        assert [line.split()[1] for line in lines_of(reporter)[4:6]] == ["waits", "12"]

    def test_the_head_counts_and_predicts(self, reporter, monkeypatch):
        now = reporter.start + 100.0
        monkeypatch.setattr(live.time, "monotonic", lambda: now)
        reporter._origin = (now - 80.0, 0.0)
        reporter.candidate_progressed(sign(12, "0", Progress(8, 10, 2.0, 1.0)))
        head, account = lines_of(reporter)[:2]
        assert head.endswith(" 12 of 30 candidates · generation 2 of 4")
        # Twelve and eight tenths in 80 seconds: seventeen and two tenths take 107.5.
        assert account.startswith("1 m 40 s elapsed, about 1 m 48 s left · ")
        counts = {outcome.value: count for outcome, count in reporter.outcomes.items()}
        assert counts["crashed"] >= 1
        assert sum(counts.values()) == 12
        assert all(f"{count} {name}" in account for name, count in counts.items())

    def test_the_start_of_the_workers_is_no_part_of_the_prediction(self, config, tmp_path, monkeypatch):
        reporter = LiveReporter(config, make_run(tmp_path / "run", config), terminal=terminal())
        for now, step, expected in ((0.0, 0, None), (60.0, 1, None), (62.0, 3, "4 m 57 s")):
            monkeypatch.setattr(live.time, "monotonic", lambda now=now: reporter.start + now)
            reporter.candidate_progressed(sign(0, "0", Progress(step, 10, 2.0, 1.0) if step else None))
            found = re.search("about (.*) left", lines_of(reporter)[1])
            # Two tenths of a candidate in two seconds: 29.7 candidates are left.
            assert (found and found[1]) == expected

    def test_the_front_moves_with_every_candidate(self, reporter):
        names = reporter.config.objectives
        best = reporter.front[0]
        assert [each.objectives[names[0]] for each in reporter.front] == sorted(each.objectives[names[0]] for each in reporter.front)
        better = replace(best, id=12, objectives={name: value / 2 for name, value in best.objectives.items()})
        reporter.candidate_finished(better)
        shown = [line.split()[0] for line in lines_of(reporter)[8:] if line.strip()]
        assert shown[0] == "12"
        assert str(best.id) not in shown
        reporter.candidate_finished(replace(better, id=13, outcome=Outcome.unstable, objectives=dict.fromkeys(better.objectives, 0.0)))
        assert reporter.front[0].id == 12

    def test_a_candidate_that_breaks_a_constraint_is_not_in_the_front(self, tmp_path):
        config = stand_in_config(constraints=["perplexity <= 1.5"])
        reporter = QuietReporter(config, make_run(tmp_path / "run", config))
        record = sign(0, "0").assignment.record(0, Outcome.ok, "", {"perplexity": 2.0, "cache_bytes": 1.0, "parameters": 1.0})
        reporter.candidate_finished(record)
        assert reporter.front == []
        reporter.candidate_finished(replace(record, objectives=record.objectives | {"perplexity": 1.4}))
        assert len(reporter.front) == 1

    def test_a_resumed_search_shows_what_is_on_record(self, config, reporter):
        again = LiveReporter(config, reporter.run, terminal=terminal())
        assert [each.id for each in again.front] == [each.id for each in reporter.front]
        assert (again.seen, again.trained, again.outcomes) == (12, 0, reporter.outcomes)


class TestShape:
    @pytest.mark.parametrize(("width", "height"), SIZES)
    def test_it_fits_and_does_not_move(self, reporter, width, height):
        empty = LiveReporter(reporter.config, make_run(reporter.run.path.parent / "new", reporter.config), terminal=terminal())
        before, counts = lines_of(empty, width, height), set()
        for step in range(11):
            reporter.candidate_progressed(sign(12, "0", Progress(step, 10, 40.0 - step, 1e6)))
            lines = lines_of(reporter, width, height)
            assert max(map(len, lines)) < width
            counts.add((len(lines), *(place for place, line in enumerate(lines) if line.startswith(("Workers", "Front")))))
        places = tuple(place for place, line in enumerate(before) if line.startswith(("Workers", "Front")))
        assert counts == {(len(before), *places)}
        assert len(before) < height
        # Ctrl-C is typed where the cursor rests: on a line of its own.
        assert before[-1] == lines[-1] == ""

    @pytest.mark.parametrize("height", range(1, 60))
    def test_sixty_workers_of_deep_genomes_fit_every_height(self, height):
        flight = Flight(1000, Text("A" * 48), 0.0)
        flight.take(Progress(1, 3, 2.5, 1e7))
        names = [f"tcp://10.0.0.{number}:40001" for number in range(60)]
        workers = [(name, flight if number >= 50 else None) for number, name in enumerate(names)]
        outcomes = dict.fromkeys(Outcome, 1000)
        lines = draw(Shown(1e6, 1e6, 1e6, 9, 1000, 9.0, 1, 2, outcomes, workers, ["x" * 100], [], {}), 80, height).plain.split("\n")
        assert len(lines) <= max(1, height - 1)
        assert max(map(len, lines)) < 80
        if 11 < height < 60:
            assert any(line.startswith("Workers (") and line.endswith(" of 60 shown)") for line in lines)
            assert " 33%" in lines[4]

    def test_colours_are_left_out_where_they_are_not_wanted(self, reporter):
        texts = []
        for no_color in (False, True):
            output = terminal(no_color=no_color)
            output.print(reporter.draw())
            texts.append(output.file.getvalue())
        assert COLOUR.search(texts[0])
        assert not COLOUR.search(texts[1])


class TestText:
    def test_errors_and_names_are_shown_as_text(self, reporter, config):
        written = reporter.terminal.file.getvalue()
        (line,) = {line for line in written.split("\n") if "ValueError" in line}
        assert len(Text.from_ansi(line)) <= 80
        wide = terminal(200)
        reporter.terminal = wide
        crashed = next(each for each in reporter.run.read_candidates()[0] if each.reason == HOSTILE)
        reporter.candidate_finished(crashed)
        assert r"alert(1)</script> [red]x[/] \x1b[2J\u202egnp" in wide.file.getvalue()
        reporter.candidate_progressed(sign(12, "tcp://\x1b[2J\u202ehost"))
        assert not OBEYED.search(reporter.draw().plain)


class TestReporter:
    def test_it_is_taken_away_at_the_end(self, config, tmp_path):
        output = terminal()
        run = make_run(tmp_path / "run", config)
        with build_reporter(config, run, quiet=False, terminal=output) as reporter:
            assert search_in(run, config, StandIn(config), reporter=reporter).run()
            reporter._live.refresh()
        written = output.file.getvalue()
        assert "30 of 30 candidates" in written
        # The cursor comes back, and as many lines are erased as the view has.
        tail = written[written.rindex("30 of 30 candidates") :]
        assert "\x1b[?25h" in tail
        assert tail.count("\x1b[1A\x1b[2K") == len(reporter.draw().plain.split("\n"))
        assert [f"generation {number}: front of" in written for number in range(5)] == [True] * 5

    def test_pipes_and_terminals_that_cannot_move_get_plain_lines(self, config, tmp_path):
        run = make_run(tmp_path / "run", config)
        pipe = Console(file=io.StringIO(), _environ={})
        dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
        assert [type(build_reporter(config, run, False, terminal=each)) for each in (pipe, dumb)] == [PlainReporter, PlainReporter]
        assert type(build_reporter(config, run, True, terminal=terminal())) is QuietReporter
        assert isinstance(build_reporter(config, run, False, terminal=terminal()), LiveReporter)

    def test_as_many_workers_as_will_come_have_a_line(self, tmp_path):
        for workers, expected in (({"count": 3}, 3), ({"count": 0}, 1), ({"scheduler": "tcp://nowhere:1"}, 0)):
            config = stand_in_config(workers=workers)
            assert len(LiveReporter(config, make_run(tmp_path / str(expected), config))._workers) == expected
