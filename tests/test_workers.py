import math
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cadl.workers import WorkerKilled, WorkerPool

import numpy as np
import pytest
from conftest import ROOT


def is_running(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # one that nobody waits for has ended, too


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
        long_one = pool.submit(time.sleep, 2)
        assert pool.submit(os.getpid).result() != os.getpid()
        assert not long_one.done()


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


def test_a_process_killed_at_work_is_one_error():
    match = "was killed: run the same command again"
    with pytest.raises(WorkerKilled, match=match), WorkerPool(1) as pool:
        process = pool.submit(os.getpid).result()
        waiting = pool.submit(time.sleep, 60)
        time.sleep(0.2)
        os.kill(process, signal.SIGKILL)
        waiting.result()


@pytest.mark.parametrize("size", [10, 10**6])
def test_a_process_killed_between_two_calls_is_one_error(size):
    match = "was killed: run the same command again"
    with pytest.raises(WorkerKilled, match=match), WorkerPool(1) as pool:
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


def test_processes_end_quietly_when_the_one_that_started_them_is_killed():
    program = """
import os, sys, time, numpy
from cadl.workers import WorkerPool
with WorkerPool(2) as pool:
    print(*(own.pid for own in pool._processes), flush=True)
    pool.submit(time.sleep, 0.3)
    time.sleep(60)
"""
    command = [sys.executable, "-c", program]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)  # fmt: skip
    processes = list(map(int, parent.stdout.readline().split()))
    assert len(processes) == 2 and all(map(is_running, processes))
    parent.kill()
    _, errors = parent.communicate(timeout=20)  # the processes hold its standard error, too
    assert errors == ""
    deadline = time.monotonic() + 20
    while any(map(is_running, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
