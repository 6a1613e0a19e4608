from __future__ import annotations

from torch.utils.data import DataLoader

from ibistrain.batches.numbers import Numbers, number_of


def test_every_batch_of_a_run_has_its_number_once() -> None:
    loader = DataLoader(Numbers(5), batch_size=1, collate_fn=number_of)
    assert [batch["number"] for batch in loader] == [0, 1, 2, 3, 4]
