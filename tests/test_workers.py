import math
import operator
import os
import signal
import time

from cadl.workers import WorkerPool

import numpy as np
import pytest


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_come_back_as_if_called_here():
    with WorkerPool(2) as pool:
        futures = [pool.submit(operator.mul, 7, number) for number in range(40)]
        assert [future.result() for future in futures] == [7 * number for number in range(40)]
        array = np.random.default_rng(0).random((300, 200, 3))
        doubled = pool.submit(operator.add, array, array).result()
        np.testing.assert_array_equal(doubled, 2 * array)


def test_work_is_done_in_other_processes_and_in_several_at_once():
    with WorkerPool(2) as pool:
        assert pool.count == 2
        started = time.monotonic()
        waiting = [pool.submit(time.sleep, 0.5) for _ in range(2)]
        for future in waiting:
            future.result()
        assert time.monotonic() - started < 0.95 + 5 * (os.cpu_count() == 1)
        assert pool.submit(os.getpid).result() != os.getpid()


def test_exceptions_come_back_and_the_process_works_on():
    with WorkerPool(1) as pool:
        own = pool.submit(os.getpid).result()
        with pytest.raises(ValueError, match="math domain error"):
            pool.submit(math.sqrt, -1).result()
        with pytest.raises(FileNotFoundError, match="no/such"):
            pool.submit(os.listdir, "no/such").result()
        assert pool.submit(os.getpid).result() == own


def test_what_is_printed_does_not_come_between_results(capfd):
    with WorkerPool(1) as pool:
        assert pool.submit(print, "hello").result() is None
        assert pool.submit(operator.neg, 4).result() == -4
    assert capfd.readouterr().out == ""


def test_neither_tensorflow_nor_this_script_is_imported():
    with WorkerPool(1) as pool:
        names = pool.submit(eval, "sorted(__import__('sys').modules)").result()
    assert "cadl" in names and not {"tensorflow", "keras", "pytest"} & set(names)


def test_a_process_killed_at_work_is_one_runtime_error():
    match = "was killed: run the same command again"
    with pytest.raises(RuntimeError, match=match), WorkerPool(1) as pool:
        process = pool.submit(os.getpid).result()
        waiting = pool.submit(time.sleep, 60)
        time.sleep(0.2)
        os.kill(process, signal.SIGKILL)
        waiting.result()


@pytest.mark.parametrize("size", [10, 10**6])
def test_a_process_killed_between_two_calls_is_one_runtime_error(size):
    match = "was killed: run the same command again"
    with pytest.raises(RuntimeError, match=match), WorkerPool(1) as pool:
        (process,) = pool._processes
        process.kill()
        process.wait()
        pool.submit(operator.add, np.zeros(size), 1).result()


def test_processes_end_with_the_pool_even_if_its_block_fails():
    processes = []
    with pytest.raises(KeyError), WorkerPool(2) as pool:
        processes += [own.pid for own in pool._processes]
        assert all(map(is_running, processes))
        raise KeyError
    assert len(processes) == 2 and not any(map(is_running, processes))
