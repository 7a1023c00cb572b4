import { MeterProvider, type MetricData, MetricReader } from "@opentelemetry/sdk-metrics";
import { type InstrumentOptions, instrument } from "../../src/telemetry/otel.ts";

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** The metrics that OpenTelemetry's SDK has collected. */
export interface Measured {
  readonly stop: () => void;
  metrics(): Promise<MetricData[]>;
  /** Returns the points of a metric: attributes, and the value, or the count of a histogram. */
  points(name: string): Promise<({ readonly value: number } & Readonly<Record<string, unknown>>)[]>;
}

/** Instruments with an SDK of its own, and returns the metrics. */
export function measured(options: Omit<InstrumentOptions, "meter"> = {}): Measured {
  const reader = new Reader();
  const meters = new MeterProvider({ readers: [reader] });
  const stop = instrument({ ...options, meter: meters.getMeter("castellan") });
  const metrics = async (): Promise<MetricData[]> => {
    const { resourceMetrics } = await reader.collect();
    return resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
  };
  const points: Measured["points"] = async (name) => {
    const found = (await metrics()).find((metric) => metric.descriptor.name === name);
    return (found?.dataPoints ?? []).map(({ attributes, value }) => ({
      ...attributes,
      value: typeof value === "number" ? value : value.count,
    }));
  };
  return { stop, metrics, points };
}
