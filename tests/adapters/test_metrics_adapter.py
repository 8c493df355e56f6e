"""Figures: cheap to change, merged over workers, shown as Prometheus wants them."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from posthouse.adapters.metrics import PlainMetrics, Sample, merge, render


def make_worker(number: int) -> PlainMetrics:
    metrics = PlainMetrics()
    metrics.counter("posthouse_accepted_total", "Messages.", service="smtp").inc(number)
    metrics.gauge("posthouse_sessions", "Open.").set(number)
    metrics.gauge("posthouse_oldest_age_seconds", "Oldest.").set(number)
    metrics.gauge("posthouse_wal_octets_max", "Largest.").set(number)
    histogram = metrics.histogram("posthouse_commit_seconds", "Commits.", [0.01, 0.1])
    histogram.observe(0.01)
    histogram.observe(0.05)
    histogram.observe(number)
    return metrics


def read_figures(text: str) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_whole_server_is_the_sum_of_its_workers_but_ages_are_the_largest() -> None:
    figures = read_figures(render(merge([make_worker(2).snapshot(), make_worker(3).snapshot()])))
    assert figures["posthouse_accepted_total|smtp"] == 5
    assert figures["posthouse_sessions"] == 5
    assert figures["posthouse_oldest_age_seconds"] == 3
    assert figures["posthouse_wal_octets_max"] == 3


def test_a_histogram_has_cumulated_buckets_sum_and_count() -> None:
    figures = read_figures(render(merge([make_worker(2).snapshot(), make_worker(3).snapshot()])))
    assert figures["posthouse_commit_seconds_bucket|0.01"] == 2
    assert figures["posthouse_commit_seconds_bucket|0.1"] == 4
    assert figures["posthouse_commit_seconds_bucket|+Inf"] == 6
    assert figures["posthouse_commit_seconds_count"] == 6
    assert figures["posthouse_commit_seconds_sum"] == pytest.approx(5.12)


def test_the_same_name_and_labels_are_the_same_figure() -> None:
    metrics = PlainMetrics()
    metrics.counter("a_total", "A.", x="1").inc()
    metrics.counter("a_total", "A.", x="1").inc(2)
    metrics.counter("a_total", "A.", x="2").inc()
    assert read_figures(render(metrics.snapshot())) == {"a_total|1": 3, "a_total|2": 1}


def test_one_name_has_one_kind() -> None:
    metrics = PlainMetrics()
    metrics.counter("a_total", "A.")
    with pytest.raises(ValueError, match="already a counter"):
        metrics.gauge("a_total", "A.")


def test_labels_and_help_are_escaped() -> None:
    metrics = PlainMetrics()
    metrics.gauge("odd", 'Say "\\"\nplease.', what='a"b\\c\nd').dec(0.5)
    assert read_figures(render(metrics.snapshot())) == {'odd|a"b\\c\nd': -0.5}


def test_a_snapshot_travels_between_processes() -> None:
    snapshot = make_worker(1).snapshot()
    sent = msgspec.msgpack.encode(snapshot)
    assert msgspec.msgpack.decode(sent, type=list[Sample]) == snapshot


def test_a_worker_of_another_version_does_not_break_the_sum() -> None:
    old, new = PlainMetrics(), PlainMetrics()
    old.histogram("h_seconds", "H.", [1.0]).observe(0.5)
    new.histogram("h_seconds", "H.", [1.0, 2.0]).observe(0.5)
    assert read_figures(render(merge([old.snapshot(), new.snapshot()])))["h_seconds_count"] == 1


def test_no_figures_is_an_empty_page() -> None:
    assert render([]) == ""
