"""`decode`: a genome explained as a tree, as JSON, as a graph, and gene by gene."""

import json
import re

import pytest

# LIVs 1 and 3 share featurizer weights, LIVs 2 and 4 feature groups (DESIGN section 2).
GENOME = "21211-31112-21221-32112"
TRANSFORMER = "-".join(["11111-91111"] * 12)


def decoded(command, *arguments):
    ended = command("decode", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    return json.loads(ended.out)


class TestJson:
    def test_the_golden_genome(self, command):
        values = decoded(command, TRANSFORMER, "--width", 768, "--length", 4096)
        assert values["operator_parameters"] == 84_934_656
        assert values["parameters"] == 84_953_856
        assert values["cache_bytes"] == 150_994_944
        assert (values["depth"], values["width"], values["length"]) == (24, 768, 4096)

    def test_at_48_x_2048(self, command):
        assert decoded(command, "-".join(["11111-91111"] * 24), "--width", 2048)["cache_bytes"] == 805_306_368

    def test_the_schema(self, command):
        values = decoded(command, GENOME, "--width", 64, "--length", 100)
        assert {"genome", "canonical", "depth", "width", "parameters", "cache_bytes", "livs", "sharing"} <= set(values)
        assert values["genome"] == GENOME
        assert [liv["position"] for liv in values["livs"]] == [1, 2, 3, 4]
        assert [liv["name"] for liv in values["livs"]] == ["SA-2", "SA-3", "SA-2", "SA-3"]
        assert sum(liv["cache_bytes"] for liv in values["livs"]) == values["cache_bytes"]
        assert values["sharing"] == [
            {"kind": "featurizer", "members": [1, 3], "groups": ["k", "v", "q"]},
            {"kind": "features", "members": [2, 4], "groups": ["k", "v"]},
        ]
        assert values["livs"][3]["features_from"] == {"k": 2, "v": 2}
        assert values["livs"][2]["weights_from"] == {"k": 1, "v": 1, "q": 1}
        # LIV 4 holds no keys and values of its own: d T / 2 elements of 2 bytes are LIV 2's alone.
        assert [liv["cache_bytes"] for liv in values["livs"][1::2]] == [64 * 100, 0]

    def test_the_canonical_form_is_a_fixed_point(self, command):
        canonical = decoded(command, GENOME)["canonical"]
        again = decoded(command, canonical)
        assert again["canonical"] == canonical
        assert (again["parameters"], again["cache_bytes"]) == (
            decoded(command, GENOME)["parameters"],
            decoded(command, GENOME)["cache_bytes"],
        )


class TestTree:
    def test_shows_sizes_and_who_shares_what(self, command):
        ended = command("decode", GENOME, "--width", "64", "--length", "100")
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.splitlines()
        assert lines[0] == f"LALA  {GENOME}"
        assert lines[2].startswith("4 LIVs of width 64: ")
        assert re.search(r"weights k, v, q from LIV 1", ended.out)
        assert re.search(r"features k, v from LIV 2", ended.out)
        assert re.findall(r"(\d) (SA-\d) ", ended.out) == [("1", "SA-2"), ("2", "SA-3"), ("3", "SA-2"), ("4", "SA-3")]

    def test_the_golden_genome(self, command):
        out = command("decode", TRANSFORMER).out
        assert "24 LIVs of width 768: 84,953,856 parameters (84,934,656 in operators), cache 150,994,944 bytes (151.0 MB)" in out

    def test_plain_output_has_no_control_characters(self, command):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", command("decode", GENOME).out)


class TestGraph:
    def test_dot_has_every_LIV_the_residual_order_and_what_is_shared(self, command):
        out = command("decode", GENOME, "--graph", "dot").out
        assert out.startswith("digraph genome {")
        assert out.rstrip().endswith("}")
        assert re.findall(r'liv\d \[label="(.*)"\];', out) == ["1 SA-2", "2 SA-3", "3 SA-2", "4 SA-3"]
        assert re.findall(r"(liv\d -> liv\d);", out) == ["liv1 -> liv2", "liv2 -> liv3", "liv3 -> liv4"]
        shared = re.findall(r'(liv\d -> liv\d) \[style=(\w+), constraint=false, label="(.*)"\];', out)
        assert shared == [("liv1 -> liv3", "dashed", "weights k, v, q"), ("liv2 -> liv4", "bold", "features k, v")]

    def test_another_format_is_refused(self, command):
        assert command("decode", GENOME, "--graph", "svg").sentence() == "--graph must be dot, got svg"


class TestExplain:
    def test_a_legal_genome(self, command):
        ended = command("decode", GENOME, "--explain")
        assert (ended.code, ended.out) == (0, f"{GENOME} is legal; repair leaves it as it is\n")

    def test_an_illegal_digit_and_a_conflict_are_named_and_mended(self, command):
        ended = command("decode", "11311-11112-11113-91111", "--explain")
        assert ended.code == 0
        assert "LIV 1: featurizer strategy 3 is not legal; legal: 1, 2" in ended.out
        assert "LIV 3: feature strategy 3 differs from 2, the strategy of LIV 2 in the same group 1 of SA-1" in ended.out
        assert re.search(r"LIV 1: featurizer strategy 3 becomes [12]\n", ended.out)
        repaired = re.search(r"repaired \(seed 0\): (\S+)", ended.out)[1]
        assert command("decode", repaired, "--explain").out.endswith("is legal; repair leaves it as it is\n")

    def test_json(self, command):
        values = json.loads(command("decode", "11311-91111", "--explain", "--json").out)
        assert values["genome"] == "11311-91111"
        assert values["legal"] is False
        assert values["problems"] == ["LIV 1: featurizer strategy 3 is not legal; legal: 1, 2"]
        assert values["changed"][0] == {"liv": 1, "gene": "featurizer strategy", "from": 3, "to": int(values["repaired"][2])}
        assert json.loads(command("decode", GENOME, "--explain", "--json").out)["legal"] is True


class TestMatrices:
    @pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
    def test_draws_them_into_a_new_file(self, command, here, suffix, magic):
        ended = command("decode", "11111-91111", "--matrices", f"out.{suffix}", "--matrix-length", "8", "--json")
        assert (ended.code, ended.err) == (0, f"wrote out.{suffix}\n")
        assert json.loads(ended.out)["depth"] == 2
        assert (here / f"out.{suffix}").read_bytes().startswith(magic)

    def test_nothing_is_overwritten(self, command, here):
        (here / "out.png").write_text("mine")
        sentence = command("decode", "11111", "--matrices", "out.png").sentence()
        assert sentence == "out.png exists already; nothing is overwritten: give a new file with --matrices"
        assert (here / "out.png").read_text() == "mine"

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--matrices", "out.pgf"], "--matrices out.pgf must end in one of: .pdf, .svg, .png"),
            (["--matrix-length", "0"], "--matrix-width and --matrix-length say how --matrices draws, which is not given"),
            (["--matrices", "out.png", "--matrix-length", "1"], "--matrix-length must be from 2 to 1024, got 1"),
            (
                ["--matrices", "out.png", "--matrix-width", "20"],
                "--matrix-width 20, for an untrained model to draw, does not fit: width 20 must be a multiple of 8",
            ),
            (["--matrices", "out.png", "--matrix-width", "9999999"], "--matrix-width must be a whole number from 1 to 4096, got 9999999"),
            (["--matrices", "out.png", "--explain"], "--explain and --matrices cannot be combined"),
        ],
    )
    def test_what_cannot_be_drawn_is_one_sentence(self, command, here, arguments, sentence):
        assert command("decode", "11111", *arguments).sentence().startswith(sentence)
        assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["11111-9111!"], "LIV 2 of the genome, '9111!', holds '!', which is no base-36 digit"),
        (["11111-9111"], "LIV 2 of the genome, '9111', has 4 genes; five are needed: "),
        (["11311-91111"], "genome 11311-91111 is illegal: LIV 1: featurizer strategy 3 is not legal; legal: 1, 2"),
        (["z1111"], "genome z1111 is illegal: LIV 1: class 35 is not in catalogue star, which has 1 to "),
        (["91112-11111"], "genome 91112-11111 is illegal: LIV 1: feature strategy 2 is not legal for GMemless; legal: 1"),
        (["11111-91111", "--depth", "3"], "the genome has 2 LIVs and --depth is 3; --scale stack or --scale stretch makes it deeper"),
        (["11111-91111", "--width", "18"], "width 18 must be a multiple of 8, 2 times its 4 heads, for SA-1"),
        (["11111", "--length", "0"], "--length must be at least 1, got 0"),
        ([""], "the genome is empty; "),
        (["11111", "--catalogue", "stars"], "unknown catalogue 'stars'; did you mean 'star'?"),
    ],
)
def test_what_cannot_be_decoded_is_one_sentence(command, arguments, sentence):
    assert command("decode", *arguments).sentence().startswith(sentence)


@pytest.mark.parametrize("width", ["0", "-64"])
def test_a_width_that_is_none_is_one_sentence(command, width):
    assert width in command("decode", "11111", "--width", width).sentence()


def test_the_depth_that_the_genome_has_is_accepted(command):
    assert command("decode", GENOME, "--depth", "4").code == 0


class TestBaselinesAndScaling:
    def decoded(self, command, *arguments):
        ended = command("decode", *arguments, "--json")
        assert ended.code == 0, ended
        return json.loads(ended.out)

    def test_a_baseline_is_built_at_the_depth_asked_for(self, command):
        golden = self.decoded(command, "transformer++")
        assert (golden["operator_parameters"], golden["cache_bytes"]) == (84_934_656, 150_994_944)
        assert self.decoded(command, "lfm2-like", "--depth", "6")["genome"] == "71111-91111-71111-91111-31111-91111"

    def test_a_genome_is_made_deeper(self, command):
        values = self.decoded(command, "21211-21211", "--depth", "4", "--scale", "stack", "--width", "64")
        assert (values["genome"], values["width"]) == ("21211-21211-22211-22211", 64)

    def test_a_width_is_matched(self, command):
        like = ("--like", "11111-91111-11111-91111", "--width", "256")
        values = self.decoded(command, "striped-mamba", "--depth", "4", *like)
        target = self.decoded(command, "transformer++", "--depth", "4", "--width", "256")
        assert values["width"] != 64 and abs(values["parameters"] / target["parameters"] - 1) < 0.1
