import type { Meter, MetricOptions } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import parse from "parse-prometheus-text-format";
import { vi } from "vitest";
import { prometheus } from "../../src/telemetry/prometheus.ts";

/**
 * Returns the names of the series that `castellan/prometheus` exports. Each instrument gets a value as soon as it is made, because
 * OpenTelemetry leaves out those without one.
 */
export async function exportedSeries(): Promise<ReadonlySet<string>> {
  const own = MeterProvider.prototype.getMeter;
  const spy = vi.spyOn(MeterProvider.prototype, "getMeter").mockImplementation(function (
    this: MeterProvider,
    ...given
  ) {
    return withValues(own.apply(this, given));
  });
  try {
    const metrics = prometheus();
    const families = parse(await metrics.text());
    await metrics.stop();
    return new Set(
      families.flatMap(({ name, type }) => (type === "HISTOGRAM" ? PARTS.map((part) => name + part) : [name])),
    );
  } finally {
    spy.mockRestore();
  }
}

/** The series of a histogram. */
const PARTS = ["_bucket", "_sum", "_count"];

/** Makes the meter give each new instrument a value. */
function withValues(meter: Meter): Meter {
  const { createCounter, createUpDownCounter, createHistogram, createObservableGauge } = meter;
  return Object.assign(meter, {
    createCounter: (name: string, options?: MetricOptions) => {
      const counter = createCounter.call(meter, name, options);
      counter.add(1);
      return counter;
    },
    createUpDownCounter: (name: string, options?: MetricOptions) => {
      const counter = createUpDownCounter.call(meter, name, options);
      counter.add(1);
      return counter;
    },
    createHistogram: (name: string, options?: MetricOptions) => {
      const histogram = createHistogram.call(meter, name, options);
      histogram.record(1);
      return histogram;
    },
    createObservableGauge: (name: string, options?: MetricOptions) => {
      const gauge = createObservableGauge.call(meter, name, options);
      gauge.addCallback((result) => result.observe(1));
      return gauge;
    },
  });
}
