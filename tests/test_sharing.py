"""cadl/conversion/sharing.py: runs at one conversion, each with locks of its own."""

import dataclasses
import threading

from cadl import files
from cadl.conversion import passes, segments
from cadl.conversion.output import Output
from cadl.conversion.rendering import DifferentFrames
from cadl.conversion.sharing import Sharing
from cadl.errors import UserError

import pytest


@pytest.fixture
def output(tmp_path):
    return Output(tmp_path / "film.mp4", tmp_path / "work", tmp_path / "passes", {"strength": 1})


def write_segment(output, number):
    files.write_json(segments.segment_path(output.segments, number).with_suffix(".json"), {})
    segments.segment_path(output.segments, number).write_bytes(b"frames")


def write_output(output, frames=9):
    output.target.write_bytes(b"film")
    output.record({"request": output.request, "frames": frames})


def test_a_run_with_the_same_settings_joins_and_one_with_others_is_refused(output, capsys):
    other = dataclasses.replace(output, request={"strength": 0.5})
    with Sharing(output) as first:
        with Sharing(output) as second:
            assert not first.joined and second.joined
        assert "another run is making" in capsys.readouterr().out
        with pytest.raises(UserError, match="another run is writing .*work"), Sharing(other):
            pass
        assert first.begin()
        write_segment(output, 0)
    with Sharing(other) as alone:  # what was begun with other settings is replaced
        assert not alone.joined and alone.begin()
        assert segments.missing(output.segments, 240) == [0]


def test_each_free_segment_is_given_to_one_run_until_that_is_done_or_ends(output):
    with Sharing(output) as first:
        assert first.begin()
        with Sharing(output) as second:
            assert second.begin()
            own, others = first.claims(range(5)), second.claims(range(5))
            assert [next(own), next(others), next(own)] == [0, 1, 2]
            write_segment(output, 1)
            second.done(1)
            assert [next(others), next(own)] == [3, 4]
            assert list(first.claims(range(4))) == []
        assert list(first.claims(range(5))) == [3]
    assert not list(output.segments.glob("*1.lock"))


def test_one_run_finishes_when_no_other_paints_and_the_others_see_it(output):
    ends = []

    def finish(run):
        with run:
            ends.append(run.begin() and run.finish())
            if ends[-1]:
                write_output(output)

    with Sharing(output) as painting:
        assert painting.begin()
        others = [threading.Thread(target=finish, args=[Sharing(output)]) for _ in range(2)]
        for other in others:
            other.start()
        others[0].join(0.2)
        assert not ends
    for other in others:
        other.join()
    assert sorted(ends) == [False, True] and not output.segments.exists()
    assert output.frames_made_before(replace=False) == 9
    with Sharing(output) as late:  # it was asked for before the record was there
        assert late.begin() is False


def test_a_run_takes_over_when_the_one_that_finishes_dies(output):
    with Sharing(output) as second:
        with Sharing(output) as first:
            assert first.begin() and second.begin()
            second.__exit__(None)
            assert first.finish()
            output.target.write_bytes(b"joined, but there is no record")
        with Sharing(output) as third:
            assert third.begin() and third.finish()


def test_what_another_run_needs_is_not_removed(output):
    for name in ("latents-1", "latents-2", "tracks-1"):
        (output.passes / name).mkdir(parents=True)
    with Sharing(output) as first:
        assert first.begin()
        with pytest.raises(DifferentFrames), Sharing(output) as second:
            assert second.begin() and list(second.claims([0])) == [0]
            for number in (0, 1):
                write_segment(output, number)
            second.done(0)
            raise DifferentFrames
        assert segments.missing(output.segments, 480) == [0]  # what it painted is not trusted
        passes.remove_unused(output.passes, 0)
        assert len(list(output.passes.glob("*-*"))) == 3
    passes.remove_unused(output.passes, 1)
    assert len(list(output.passes.glob("*-*"))) == 2
    with pytest.raises(DifferentFrames), Sharing(output):
        raise DifferentFrames
    assert not output.segments.exists() and not list(output.passes.glob("*-*"))
