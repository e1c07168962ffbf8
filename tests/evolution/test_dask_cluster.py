"""Workers on Dask in this process's own cluster."""

import warnings

from evolution.small_search import small_config, write_text_source
from star_search.evolution.cluster import _start_cluster


def test_two_searches_at_once_do_not_fight_for_a_port(tmp_path):
    config = small_config(write_text_source(tmp_path), workers={"count": 1, "backend": "dask"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with _start_cluster(config) as first, _start_cluster(config) as second:
            ports = [cluster.scheduler.http_server.port for cluster in (first, second)]
    assert 8787 not in ports and len(set(ports)) == 2
