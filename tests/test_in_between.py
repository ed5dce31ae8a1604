from cadl.conversion.in_between import choose, fill_in

import numpy as np
import pytest


def test_every_nth_frame_and_the_first_of_each_shot_are_chosen():
    assert choose([0] * 7, 2).tolist() == [0, 2, 4, 6]
    assert choose([0, 0, 0, 1, 1, 1, 2, 2], 2).tolist() == [0, 2, 3, 4, 6]
    assert choose([0, 0, 0, 1, 1, 1, 2, 2], 4).tolist() == [0, 3, 4, 6]
    assert choose([5], 4).tolist() == [0]


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("shots", [[0] * 9, [0, 0, 0, 1, 1, 1, 2, 3, 3, 3], [4], [4, 4]])
def test_what_changes_evenly_is_filled_in_exactly_and_never_across_a_cut(shots, every):
    shots = np.array(shots)
    values = (np.arange(len(shots)) + 100.0 * shots)[:, None].astype(np.float32)
    chosen = choose(shots, every)
    filled = fill_in(chosen, values[chosen], shots)
    assert filled.dtype == np.float32 and filled.shape == values.shape
    np.testing.assert_array_equal(filled[chosen], values[chosen])
    assert np.abs(filled - values).max() <= every - 1  # at a shot's end the last one chosen stays
    assert (filled // 100 == values // 100).all()
    last = {shot: max(i for i in chosen if shots[i] == shot) for shot in set(shots)}
    inner = [i for i, shot in enumerate(shots) if i <= last[shot]]
    np.testing.assert_array_equal(filled[inner], values[inner])
