"""What is recorded once and replayed, with a stand-in for the graph: the graph itself is for tests/test_gpu.py."""

import pytest
import torch

from star_search.model import cuda_graph


@pytest.fixture
def prepared(monkeypatch):
    """Have recording call what prepares, and a replay do again what was recorded, into the same memory; return the prepared shapes."""

    class Graph:
        def __init__(self, record):
            self.replay = record

    def captured(prepare, record, device):
        prepare()
        record()
        return Graph(record)

    monkeypatch.setattr(cuda_graph, "captured", captured)
    return []


def test_work_is_recorded_once_and_gets_each_batch_in_the_same_memory(prepared):
    result, seen = torch.zeros(3), []

    def work(x, y):
        seen.append((x.data_ptr(), y.data_ptr()))
        if x.shape != result.shape:
            return x + y
        return torch.add(x, y, out=result)

    replay = cuda_graph.replayed(work, lambda x, y: prepared.append((x.shape, y.shape)))
    batches = [(torch.full((3,), float(number)), torch.ones(3)) for number in range(4)]
    assert [replay(*batch).tolist() for batch in batches] == [[number + 1.0] * 3 for number in range(4)]
    assert prepared == [((3,), (3,))]
    assert len(set(seen)) == 1 and seen[0] != (batches[0][0].data_ptr(), batches[0][1].data_ptr())


def test_a_batch_of_another_shape_is_given_to_the_work_itself(prepared):
    replay = cuda_graph.replayed(lambda x: x * 2, lambda x: prepared.append(x))
    replay(torch.ones(4))
    assert replay(torch.full((2,), 3.0)).tolist() == [6.0, 6.0]
    assert len(prepared) == 1
