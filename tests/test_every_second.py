from cadl.conversion.every_second import choose, fill_in

import numpy as np
import pytest


def test_every_second_frame_and_the_first_of_each_shot_are_chosen():
    assert choose([0] * 7).tolist() == [0, 2, 4, 6]
    assert choose([0, 0, 0, 1, 1, 1, 2, 2]).tolist() == [0, 2, 3, 4, 6]
    assert choose([5]).tolist() == [0]


@pytest.mark.parametrize("shots", [[0] * 9, [0, 0, 0, 1, 1, 1, 2, 3, 3, 3], [4], [4, 4]])
def test_what_changes_evenly_is_filled_in_exactly_and_never_across_a_cut(shots):
    shots = np.array(shots)
    values = (np.arange(len(shots)) + 100.0 * shots)[:, None].astype(np.float32)
    chosen = choose(shots)
    filled = fill_in(chosen, values[chosen], shots)
    assert filled.dtype == np.float32 and filled.shape == values.shape
    np.testing.assert_array_equal(filled[chosen], values[chosen])
    assert np.abs(filled - values).max() <= 1  # at the end of a shot the last one chosen stays
    assert (filled // 100 == values // 100).all()
    inner = [i for i in range(1, len(shots) - 1) if len(set(shots[i - 1 : i + 2])) == 1]
    np.testing.assert_array_equal(filled[inner], values[inner])
