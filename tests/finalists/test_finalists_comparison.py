"""What finalists are held against."""

import pytest

from star_search.config import SearchConfig
from star_search.finalists.comparison import beside
from star_search.finalists.source import Source
from star_search.genome.encoding import Genome


@pytest.fixture
def finalist():
    config = SearchConfig.model_validate({"space": {"depth": 4, "width": 64, "catalogue": "paper"}})
    return Source("0", Genome.parse("11111-91111-71111-91111"), config)


def test_a_genome_of_ones_own_is_a_baseline_at_the_finalists_depth_and_size(finalist):
    named, own = beside(finalist, ["transformer++", "mine=21112-91111"], None, 257)
    assert (named.label, named.genome.format()) == ("transformer++", "11111-91111-11111-91111")
    assert (own.label, own.genome.format()) == ("mine", "21111-91111-21111-91111")
    assert own.config == finalist.config
    assert beside(finalist, ["mine=21111"], "parameters", 257)[0].account.width != 64
