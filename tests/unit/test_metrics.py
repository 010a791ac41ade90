"""`shmspace.metrics`: numbers that add up over all processes, whoever is killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

import shmspace
from shmspace import metrics
from tests.helpers.peer import Peer
from tests.helpers.peer_wait import until

ODD_LABELS = ("", "a,b", "a/b", "*", "=", "ä\n€", "\\", '"', " ", "-")


@pytest.fixture
def store(space: shmspace.Space) -> shmspace.Store:
    return space.store("metrics")


def samples(store: shmspace.Store, name: str) -> Any:
    (found,) = (family.samples for family in metrics.read(store) if family.name == name)
    return found


def exposed(store: shmspace.Store) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus would read, by name and labels."""
    registry = prometheus_client.CollectorRegistry()
    registry.register(metrics.Collector(store))
    text = prometheus_client.generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# One process


def test_a_counter_begins_at_zero_and_grows(store: shmspace.Store) -> None:
    counter = metrics.Counter("jobs", "Jobs done", store=store)
    assert samples(store, "jobs") == {(): 0.0}
    counter.inc()
    counter.inc(1.5)
    assert samples(store, "jobs") == {(): 2.5}


@pytest.mark.parametrize("amount", [-1, -0.1, math.nan])
def test_a_counter_does_not_shrink(store: shmspace.Store, amount: float) -> None:
    counter = metrics.Counter("jobs", "Jobs done", store=store)
    with pytest.raises(ValueError, match="only grow"):
        counter.inc(amount)
    assert samples(store, "jobs") == {(): 0.0}


def test_exceptions_are_counted(store: shmspace.Store) -> None:
    counter = metrics.Counter("failures", "Failed", store=store)

    @counter.count_exceptions((ValueError, OSError))
    def fail(error: type[Exception]) -> None:
        raise error

    for error in (ValueError, OSError, KeyError):
        with pytest.raises(error):
            fail(error)
    assert samples(store, "failures") == {(): 2.0}


def test_a_gauge_goes_up_and_down(store: shmspace.Store) -> None:
    gauge = metrics.Gauge("running", "Running", store=store)
    gauge.set(5)
    gauge.inc(2)
    gauge.dec()
    with gauge.track_inprogress():
        assert samples(store, "running") == {(): 7.0}
    assert samples(store, "running") == {(): 6.0}


def test_times_are_taken_of_blocks_and_functions(store: shmspace.Store) -> None:
    histogram = metrics.Histogram("latency", "Seconds", store=store, buckets=[1000.0])
    gauge = metrics.Gauge("last_run", "Seconds", store=store)

    @histogram.time()
    def work() -> str:
        return "done"

    assert work() == work() == "done"
    with histogram.time(), gauge.time():
        pass
    total, below, above = samples(store, "latency")[()]
    assert (below, above) == (3.0, 0.0)
    assert 0 < total < 100
    assert 0 < samples(store, "last_run")[()] < 100


def test_a_histogram_counts_by_buckets(store: shmspace.Store) -> None:
    histogram = metrics.Histogram("size", "Bytes", store=store, buckets=(1, 10))
    for value in (0.5, 1, 1.5, 10, 11, math.inf):
        histogram.observe(value)
    assert samples(store, "size") == {(): (math.inf, 2.0, 2.0, 2.0)}
    (family,) = metrics.read(store)
    assert family.buckets == (1.0, 10.0, math.inf)


@pytest.mark.parametrize("buckets", [(), (2, 1), (1, 1), (math.inf,)])
def test_buckets_must_rise(store: shmspace.Store, buckets: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="buckets"):
        metrics.Histogram("size", "Bytes", store=store, buckets=buckets)


def test_names_are_put_together(store: shmspace.Store) -> None:
    made = metrics.Counter("size_total", "", store=store, namespace="app", subsystem="web", unit="bytes")
    assert made.name == "app_web_size_bytes"
    assert metrics.Gauge("age_seconds", "", store=store, unit="seconds").name == "age_seconds"


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a/b", "a*", "ä"])
def test_a_bad_name_is_refused(store: shmspace.Store, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        metrics.Counter(name, "", store=store)


@pytest.mark.parametrize("labels", [["a-b"], ["__a"], ["1"], ["a", "a"], [""]])
def test_a_bad_label_is_refused(store: shmspace.Store, labels: list[str]) -> None:
    with pytest.raises(ValueError, match="label"):
        metrics.Counter("jobs", "", labels, store=store)
    with pytest.raises(ValueError, match="label"):
        metrics.Histogram("sizes", "", ["le"], store=store)


def test_labels_are_given_by_place_or_by_name(store: shmspace.Store) -> None:
    counter = metrics.Counter("hits", "", ["method", "code"], store=store)
    assert samples(store, "hits") == {}
    counter.labels("get", 200).inc()
    counter.labels(code="200", method="get").inc()
    assert counter.labels("get", 200) is counter.labels("get", "200")
    assert samples(store, "hits") == {("get", "200"): 2.0}


def test_labels_that_do_not_fit_are_refused(store: shmspace.Store) -> None:
    counter = metrics.Counter("hits", "", ["method", "code"], store=store)
    for given, named in [((), {}), (("a",), {}), (("a", "b", "c"), {}), ((), {"method": "a"}), (("a",), {"code": "b"})]:
        with pytest.raises(ValueError, match="label"):
            counter.labels(*given, **named)
    with pytest.raises(ValueError, match="labels already"):
        counter.labels("a", "b").labels("a", "b")
    with pytest.raises(ValueError, match="no labels"):
        metrics.Counter("jobs", "", store=store).labels("a")


def test_a_metric_with_labels_is_not_changed_without(store: shmspace.Store) -> None:
    counter = metrics.Counter("a", "", ["x"], store=store)
    gauge = metrics.Gauge("b", "", ["x"], store=store)
    last = metrics.Gauge("c", "", ["x"], store=store, mode="last")
    histogram = metrics.Histogram("d", "", ["x"], store=store)
    for call in (counter.inc, gauge.inc, gauge.dec, gauge.set_to_current_time, last.set_to_current_time):
        with pytest.raises(ValueError, match="labels"):
            call()
    with pytest.raises(ValueError, match="labels"):
        histogram.observe(1)


def test_any_text_may_be_a_label(store: shmspace.Store) -> None:
    counter = metrics.Counter("hits", "", ["a", "b"], store=store)
    for one in ODD_LABELS:
        for other in ODD_LABELS:
            counter.labels(one, other).inc()
    assert samples(store, "hits") == {(one, other): 1.0 for one in ODD_LABELS for other in ODD_LABELS}


def test_one_name_is_one_metric(store: shmspace.Store) -> None:
    metrics.Histogram("jobs", "help", ["a"], store=store, buckets=[1, 2])
    metrics.Histogram("jobs", "other help", ["a"], store=store, buckets=[1, 2])
    with pytest.raises(ValueError, match="type"):
        metrics.Counter("jobs", "help", ["a"], store=store)
    with pytest.raises(ValueError, match="labels"):
        metrics.Histogram("jobs", "help", ["b"], store=store, buckets=[1, 2])
    with pytest.raises(ValueError, match="buckets"):
        metrics.Histogram("jobs", "help", ["a"], store=store, buckets=[1, 3])


def test_a_metric_that_is_made_twice_counts_on(store: shmspace.Store, space: shmspace.Space) -> None:
    one, same = metrics.Counter("jobs", "", store=store), metrics.Counter("jobs", "", store=space.store("metrics"))
    with shmspace.open(space.name) as again:
        other = metrics.Counter("jobs", "", store=again.store("metrics"))
        for counter in (one, same, other) * 3:
            counter.inc()
        assert samples(store, "jobs") == {(): 9.0}


def test_stores_do_not_mix(space: shmspace.Space) -> None:
    for name in ("a", "b"):
        metrics.Counter("jobs", "", store=space.store(name)).inc()
    assert samples(space.store("a"), "jobs") == samples(space.store("b"), "jobs") == {(): 1.0}


def test_threads_count_exactly(store: shmspace.Store) -> None:
    counter = metrics.Counter("jobs", "", ["a"], store=store)

    def count() -> None:
        for _ in range(500):
            counter.labels("x").inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(store, "jobs") == {("x",): 2000.0}


def test_metrics_give_no_events(store: shmspace.Store) -> None:
    with store.watch() as events:
        metrics.Counter("jobs", "", store=store).inc()
        metrics.Gauge("level", "", store=store, mode="last").set(3)
        metrics.read(store)
        with pytest.raises(shmspace.Empty):
            events.next(timeout=0)


def test_a_metric_outlives_a_store_that_was_cleared(store: shmspace.Store) -> None:
    counter = metrics.Counter("jobs", "", store=store)
    counter.inc()
    store.clear()
    assert metrics.read(store) == []
    counter.inc()
    metrics.Counter("jobs", "", store=store)
    assert samples(store, "jobs") == {(): 2.0}


def test_who_may_only_read_reads(store: shmspace.Store) -> None:
    metrics.Gauge("level", "", store=store).set(3)
    with shmspace.open(store.space.name, readonly=True) as space:
        assert samples(space.store("metrics"), "level") == {(): 3.0}
        with pytest.raises(shmspace.ReadOnly):
            metrics.Counter("jobs", "", store=space.store("metrics"))


# Several processes


def worker(talk: Any, name: str) -> None:
    """Does what it is told with a metric of each kind."""
    with shmspace.open(name) as space:
        store = space.store("metrics")
        made: dict[str, Any] = {
            "jobs": metrics.Counter("jobs", "", ["who"], store=store).labels("all"),
            "size": metrics.Histogram("size", "", store=store, buckets=[10]),
        }
        for mode in ("sum", "max", "min", "last"):
            made[mode] = metrics.Gauge(f"level_{mode}", "", store=store, mode=mode)
        talk.send("ready")
        while True:
            metric, call, value = talk.recv()
            getattr(made[metric], call)(value)
            talk.send("done")


def started(store: shmspace.Store) -> Peer:
    peer = Peer(worker, store.space.name)
    assert peer.said() == "ready"
    return peer


def test_processes_add_up(store: shmspace.Store) -> None:
    with started(store) as one, started(store) as other:
        for peer, value in ((one, 3), (other, 7), (one, 2)):
            peer.ask(("jobs", "inc", value))
            peer.ask(("size", "observe", 5 * value))
            for mode in ("sum", "max", "min", "last"):
                peer.ask((mode, "set", value))
        assert samples(store, "jobs") == {("all",): 12.0}
        assert samples(store, "size") == {(): (60.0, 1.0, 2.0)}
        found = {mode: samples(store, f"level_{mode}")[()] for mode in ("sum", "max", "min", "last")}
        assert found == {"sum": 9.0, "max": 7.0, "min": 2.0, "last": 2.0}


def test_what_the_dead_have_counted_stays_and_their_gauges_go(store: shmspace.Store) -> None:
    with started(store) as one, started(store) as other:
        for peer in (one, other):
            peer.ask(("jobs", "inc", 4))
            peer.ask(("size", "observe", 5))
            for mode in ("sum", "max", "min", "last"):
                peer.ask((mode, "set", 8 if peer is one else 6))
        other.kill()
        assert samples(store, "jobs") == {("all",): 8.0}
        assert samples(store, "size") == {(): (10.0, 2.0, 0.0)}
        found = {mode: samples(store, f"level_{mode}").get(()) for mode in ("sum", "max", "min", "last")}
        assert found == {"sum": 8.0, "max": 8.0, "min": 8.0, "last": 6.0}
        one.kill()
        found = {mode: samples(store, f"level_{mode}").get(()) for mode in ("sum", "max", "min", "last")}
        assert found == {"sum": None, "max": None, "min": None, "last": 6.0}


def test_a_slot_goes_to_the_next_process(store: shmspace.Store) -> None:
    """However many processes come and are killed, there are as many keys as ever lived at once."""
    with started(store) as lasting:
        lasting.ask(("jobs", "inc", 1))
        for number in range(5):
            with started(store) as peer:
                peer.ask(("jobs", "inc", 1))
                peer.ask(("sum", "set", 100))
                assert samples(store, "level_sum") == {(): 100.0}
                if number % 2:
                    peer.kill()
        assert samples(store, "jobs") == {("all",): 6.0}
        assert len(store.keys("metrics/counter/jobs/*/*")) == 2
        assert samples(store, "level_sum") == {(): 0.0}


def test_who_dies_between_a_reading_and_its_successor_leaves_no_gauge(store: shmspace.Store) -> None:
    with started(store) as one:
        one.ask(("max", "set", 100))
        one.kill()
    with started(store):
        assert samples(store, "level_max") == {}


def test_killed_at_any_time_nothing_is_lost_or_counted_twice(store: shmspace.Store) -> None:
    """Property: the counter is at least what was told, and at most one more for each that was killed."""
    told = 0
    for round_number in range(8):
        with Peer(count_for_ever, store.space.name) as peer:
            for _ in range(20 * (round_number + 1)):
                last = peer.said()
            peer.kill()
        told += last
        (found,) = samples(store, "jobs").values()
        # What it did after the last word that was read cannot be told; it is taken over as it is.
        assert found >= told
        told = found


def count_for_ever(talk: Any, name: str) -> None:
    counter = metrics.Counter("jobs", "", store=shmspace.open(name).store("metrics"))
    count = 0
    while True:
        counter.inc()
        count += 1
        talk.send(count)


def test_a_child_of_a_fork_counts_for_itself(store: shmspace.Store) -> None:
    counter = metrics.Counter("jobs", "", store=store)
    gauge = metrics.Gauge("level", "", store=store)
    counter.inc()
    gauge.set(5)
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                counter.inc(10)
                gauge.inc(1)
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    counter.inc()
    assert samples(store, "jobs") == {(): 32.0}
    assert samples(store, "level") == {(): 5.0}


def test_metrics_can_be_sent_to_another_process(store: shmspace.Store) -> None:
    counter = metrics.Counter("jobs", "", ["a"], store=store)
    child = multiprocessing.get_context("spawn").Process(target=_inc, args=(counter.labels("x"),))
    child.start()
    child.join()
    assert child.exitcode == 0
    counter.labels("x").inc()
    assert samples(store, "jobs") == {("x",): 3.0}
    assert pickle.loads(pickle.dumps(counter)).labelnames == ("a",)


def _inc(counter: metrics.Counter) -> None:
    counter.inc(2)


def test_readers_see_counters_only_grow(store: shmspace.Store) -> None:
    """Property: whatever processes come and go, the sum never falls."""
    metrics.Counter("jobs", "", store=store)
    seen = [0.0]

    def look(least: float) -> bool:
        (found,) = samples(store, "jobs").values()
        assert found >= seen[-1]
        seen.append(found)
        return bool(found >= least)

    for _ in range(4):
        with Peer(count_silently, store.space.name) as peer:
            until(lambda: look(seen[-1] + 100))
            peer.kill()


def count_silently(talk: Any, name: str) -> None:
    counter = metrics.Counter("jobs", "", store=shmspace.open(name).store("metrics"))
    while True:
        counter.inc()


# Prometheus


def test_prometheus_reads_what_it_would_read_of_its_own(store: shmspace.Store) -> None:
    registry = prometheus_client.CollectorRegistry()
    theirs: list[Any] = [
        prometheus_client.Counter("jobs", "Jobs", ["kind"], registry=registry),
        prometheus_client.Gauge("level", "Level", registry=registry, unit="meters"),
        prometheus_client.Histogram("size", "Size", ["a", "b"], registry=registry, buckets=(1, 2.5, 1e7)),
    ]
    ours: list[Any] = [
        metrics.Counter("jobs", "Jobs", ["kind"], store=store),
        metrics.Gauge("level", "Level", store=store, unit="meters"),
        metrics.Histogram("size", "Size", ["a", "b"], store=store, buckets=(1, 2.5, 1e7)),
    ]
    for counter, gauge, histogram in (theirs, ours):
        counter.labels("quick").inc(2)
        counter.labels('slow "\n').inc()
        gauge.set(-1.5)
        for value in (0.5, 2, 3, 1e9):
            histogram.labels("x", "y").observe(value)
    mine = prometheus_client.CollectorRegistry()
    mine.register(metrics.Collector(store))
    texts = [prometheus_client.generate_latest(one).decode() for one in (registry, mine)]
    there, here = (
        sorted(line for line in text.splitlines() if "_created" not in line) for text in texts
    )
    assert here == there


def test_a_collector_reads_metrics_of_other_processes(store: shmspace.Store) -> None:
    with started(store) as peer:
        peer.ask(("jobs", "inc", 3))
        peer.ask(("size", "observe", 30))
        found = exposed(store)
    assert found["jobs_total", (("who", "all"),)] == 3.0
    assert found["size_bucket", (("le", "10.0"),)] == 0.0
    assert found["size_bucket", (("le", "+Inf"),)] == found["size_count", ()] == 1.0
    assert found["size_sum", ()] == 30.0


def test_a_collector_can_be_with_others_in_the_registry_of_the_process(store: shmspace.Store) -> None:
    metrics.Counter("shmspace_test_jobs", "", store=store).inc()
    collector = metrics.Collector(store)
    prometheus_client.REGISTRY.register(collector)
    try:
        assert prometheus_client.REGISTRY.get_sample_value("shmspace_test_jobs_total") == 1.0
    finally:
        prometheus_client.REGISTRY.unregister(collector)


def test_all_but_the_collector_works_without_prometheus() -> None:
    program = """if True:
        import sys
        sys.modules["prometheus_client"] = None
        import shmspace
        from shmspace import metrics
        try:
            metrics.Collector(None)
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "shmspace.metrics.Collector needs prometheus_client: pip install prometheus-client\n"


def test_a_mode_that_is_not_there_is_refused(store: shmspace.Store) -> None:
    with pytest.raises(ValueError, match="mode"):
        metrics.Gauge("level", "", store=store, mode="mean")  # type: ignore[arg-type]


def test_the_last_value_cannot_be_counted_up(store: shmspace.Store) -> None:
    gauge = metrics.Gauge("level", "", store=store, mode="last")
    for call in (gauge.inc, gauge.dec):
        with pytest.raises(RuntimeError, match="set only"):
            call()
    assert samples(store, "level") == {}
