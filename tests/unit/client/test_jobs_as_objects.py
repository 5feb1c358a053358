"""``Client.run``, ``Client.map`` and the objects that they return, against a stub daemon."""

from __future__ import annotations

import threading
import typing
from dataclasses import fields

import pytest

from launcher import Client, Job, errors
from launcher.client.handles.job_fields import JobFields
from launcher.wire import ArrayRequest, GpuRequest, JobSpec
from tests.support.wait import wait_until
from tests.unit.client.stub_daemon import Json, Stream, StubDaemon, end, ended, job_view, out
from tests.unit.client.stub_queue import StubQueue


@pytest.fixture
def queue(stub: StubDaemon) -> StubQueue:
    return StubQueue(stub)


@pytest.fixture
def client(stub: StubDaemon) -> Client:
    return Client(stub.path)


def views(queue: StubQueue) -> Json:
    return Json(list(queue.jobs.values()), 201)


def test_run_queues_one_job_with_the_fields_of_a_specification(
    stub: StubDaemon, client: Client
) -> None:
    stub.on("POST", "/v1/jobs", Json([job_view()], 201))
    job = client.run("nvidia/cuda:12", "train --n '1 2'", profile="1g.6gb", mem_limit=5, hold=True)
    assert (job.id, repr(job), isinstance(job, Job)) == (12, "Job(12)", True)
    (sent,) = stub.asked[0].body["jobs"]
    assert sent["command"] == ["train", "--n", "1 2"]
    assert (sent["name"], sent["image"]) == ("cuda", "nvidia/cuda:12")
    assert (sent["gpus"]["profile"], sent["mem_limit"], sent["hold"]) == ("1g.6gb", 5, True)


def test_a_profile_beside_gpus_is_refused(client: Client) -> None:
    with pytest.raises(errors.UserError, match="both say which slices"):
        client.run("busybox", profile="1g.6gb", gpus=GpuRequest())


def test_editors_know_every_field_of_a_specification() -> None:
    known = typing.get_type_hints(JobFields)
    of_spec = typing.get_type_hints(JobSpec)
    expected = {field.name for field in fields(JobSpec)} - {"image", "command", "foreground"}
    assert known.keys() == expected
    assert {key: kind for key, kind in known.items() if kind != of_spec[key]} == {}


def test_a_job_is_shown_as_it_is_now(queue: StubQueue, client: Client) -> None:
    queue.add([12])
    job = Job(client, 12)
    assert job.state == "RUNNING"
    queue.end(12, "FAILED", 3)
    assert (job.state, job.view().exit_code) == ("FAILED", 3)


def test_waiting_for_a_failed_job_raises_nothing(queue: StubQueue, client: Client) -> None:
    queue.add([12])
    assert Job(client, 12).wait(0.01).outcome is None
    queue.end(12, "FAILED", 3)
    assert Job(client, 12).wait().exit_code == 3


def test_the_result_of_a_failed_job_is_an_error_with_the_end_of_its_log(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([12])
    queue.end(12, "FAILED", 3)
    stub.on(
        "GET", "/v1/jobs/12/logs", Stream([out("no such"), out(" file\nbye\n"), end(job_view())])
    )
    with pytest.raises(errors.JobFailed) as caught:
        Job(client, 12).result()
    error = caught.value
    assert (error.job_id, error.outcome, error.job_exit_code) == (12, "FAILED", 3)
    assert error.exit_code == 3
    assert error.last_lines == ("no such file", "bye")
    assert (
        str(error)
        == "job 12 is FAILED with exit code 3; its output ends with:\n    no such file\n    bye"
    )
    assert stub.asked[-1].query == "follow=0&tail=10"


def test_a_failed_job_without_a_log_is_an_error_too(queue: StubQueue, client: Client) -> None:
    queue.add([12])
    queue.end(12, "CANCELLED", None)
    with pytest.raises(errors.JobFailed, match=r"^job 12 is CANCELLED$"):
        Job(client, 12).result()


def test_the_result_of_a_job_that_has_not_ended_in_time_is_a_timeout(
    queue: StubQueue, client: Client
) -> None:
    queue.add([12])
    with pytest.raises(TimeoutError, match="job 12 is still RUNNING"):
        Job(client, 12).result(timeout=0.01)
    queue.end(12)
    assert Job(client, 12).result().exit_code == 0


def test_lines_and_output_are_text(stub: StubDaemon, client: Client) -> None:
    stub.on("GET", "/v1/jobs/12/logs", Stream([out("a"), out("b\nc"), end(job_view())]))
    job = Job(client, 12)
    assert list(job.logs(follow=True)) == ["ab", "c"]
    assert job.output() == "ab\nc"
    assert job.output(most_bytes=2) == "ab"
    assert [frame.data for frame in job.frames()] == [b"a", b"b\nc"]
    assert stub.asked[0].query == "follow=1"


def test_a_job_is_cancelled_held_released_and_explained(stub: StubDaemon, client: Client) -> None:
    for verb in ("cancel", "hold", "release"):
        stub.on("POST", f"/v1/jobs/12/{verb}", Json([job_view()]))
    job = Job(client, 12)
    assert job.cancel(now=True) == job.hold() == job.release() == [job_view()]
    with pytest.raises(errors.LauncherError):
        job.why()
    assert stub.did() == [
        "POST /v1/jobs/12/cancel", "POST /v1/jobs/12/hold", "POST /v1/jobs/12/release",
        "GET /v1/jobs/12/why",
    ]  # fmt: skip


def test_a_with_block_waits_for_the_job(queue: StubQueue, stub: StubDaemon, client: Client) -> None:
    queue.add([12])
    with Job(client, 12) as job:
        threading.Timer(0.05, queue.end, [12]).start()
    assert job.state == "COMPLETED"
    assert "POST /v1/jobs/12/cancel" not in stub.did()


def test_an_exception_in_a_with_block_cancels_the_job(stub: StubDaemon, client: Client) -> None:
    stub.on("POST", "/v1/jobs/12/cancel", Json([job_view()]))
    with pytest.raises(ZeroDivisionError), Job(client, 12):
        _ = 1 / 0
    assert stub.did() == ["POST /v1/jobs/12/cancel"]


def test_an_array_ends_with_its_last_element_and_shows_the_one_that_failed(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([21, 22, 23], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    job = client.run("busybox", "true", array=ArrayRequest(indices=[0, 1, 2]))
    assert job.id == 20
    assert [element.id for element in job.elements()] == [21, 22, 23]
    queue.end(21)
    assert job.wait(0.01).id == 22
    queue.end(23)
    threading.Timer(0.05, queue.end, [22, "FAILED", 4]).start()
    assert (job.wait().id, job.state) == (22, "FAILED")
    with pytest.raises(errors.JobFailed, match=r"^job 20\[1\] is FAILED with exit code 4"):
        job.result()


def test_an_existing_job_or_array_is_found_by_its_reference(
    queue: StubQueue, client: Client
) -> None:
    queue.add([21, 22], array=20)
    queue.add([12])
    assert (client.job(12).id, len(client.job("12").elements())) == (12, 1)
    assert (client.job(20).id, len(client.job("20").elements())) == (20, 2)
    assert client.job(22).id == 22
    with pytest.raises(errors.UserError, match="means 2 jobs"):
        client.job("21-22")


def test_a_map_yields_results_in_the_order_of_its_values(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([21, 22, 23], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    results = client.map("busybox", "echo {}", iter("abc"), profile="1g.6gb", max_parallel=2)
    assert results.job is not None
    assert (results.job.id, len(results), [job.id for job in results.jobs]) == (
        20, 3, [21, 22, 23],
    )  # fmt: skip
    queue.end(23, "FAILED", 1)
    queue.end(22)
    threading.Timer(0.05, queue.end, [21]).start()
    found = [(one.value, one.id, one.outcome, one.exit_code, one.ok) for one in results]
    assert found == [
        ("a", 21, "COMPLETED", 0, True),
        ("b", 22, "COMPLETED", 0, True),
        ("c", 23, "FAILED", 1, False),
    ]
    asked = len(stub.asked)
    assert [one.value for one in results] == ["a", "b", "c"]
    assert len(stub.asked) == asked, "what has ended is not asked for again"


def test_a_map_yields_results_as_its_elements_end(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([21, 22, 23], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    results = client.map("busybox", "echo {}", [1, 2, 3])
    arriving = results.as_completed()
    queue.end(23)
    assert next(arriving).value == 3
    queue.end(21)
    assert next(arriving).value == 1
    with pytest.raises(TimeoutError, match="1 jobs have not ended"):
        list(results.as_completed(timeout=0.01))
    queue.end(22)
    assert [one.value for one in arriving] == [2]
    assert sorted(one.value for one in results.as_completed()) == [1, 2, 3]


def test_failures_of_a_map_raise_only_when_asked(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([21, 22], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    stub.on("GET", "/v1/jobs/22/logs", Stream([out("boom\n"), end(job_view())]))
    results = client.map("busybox", "echo {}", [1, 2])
    queue.end(21)
    queue.end(22, "FAILED", 7)
    first, second = results
    first.check()
    assert second.output() == "boom\n"
    with pytest.raises(errors.JobFailed, match="exit code 7"):
        second.check()


def test_a_map_of_no_values_queues_nothing(stub: StubDaemon, client: Client) -> None:
    results = client.map("busybox", "echo {}", [])
    assert (list(results), results.job, stub.did()) == ([], None, [])
    results.cancel()


def test_a_map_is_cancelled_as_one_array(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add([21, 22], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    stub.on("POST", "/v1/jobs/20/cancel", Json([ended("CANCELLED")]))
    client.map("busybox", "echo {}", [1, 2]).cancel()
    assert stub.did() == ["POST /v1/jobs", "POST /v1/jobs/20/cancel"]


def test_a_map_outlives_a_restart_of_the_daemon(queue: StubQueue, stub: StubDaemon) -> None:
    notices: list[str] = []
    client = Client(stub.path, notice=notices.append)
    queue.add([21, 22], array=20)
    stub.on("POST", "/v1/jobs", views(queue))
    results = client.map("busybox", "echo {}", [1, 2])
    stub.refuse = True
    waiter = threading.Thread(target=lambda: [*results])
    waiter.start()
    wait_until(lambda: len(notices) > 0, timeout=10, what="the daemon is missed")
    stub.refuse = False
    queue.end(21)
    queue.end(22)
    waiter.join(10)
    assert [one.ok for one in results] == [True, True]


def test_many_elements_are_asked_for_in_few_requests(
    queue: StubQueue, stub: StubDaemon, client: Client
) -> None:
    queue.add(range(101, 3101), array=100)
    stub.on("POST", "/v1/jobs", views(queue))
    results = client.map("busybox", "echo {}", range(3000))
    for job_id in range(101, 3101):
        queue.end(job_id)
    assert all(one.ok for one in results)
    assert len(stub.asked) == 1 + 3
