import { MeterProvider, type MetricData, MetricReader } from "@opentelemetry/sdk-metrics";
import { type InstrumentOptions, instrument } from "../../src/telemetry/otel.ts";

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** What OpenTelemetry's SDK has measured. */
export interface Measured {
  readonly stop: () => void;
  metrics(): Promise<MetricData[]>;
  /** The points of a metric: attributes, and the value, or how many there are of a histogram. */
  points(name: string): Promise<({ readonly value: number } & Readonly<Record<string, unknown>>)[]>;
}

/** Instruments with an SDK of its own, and gives what was measured. */
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
