import type { Attributes, Meter, MetricOptions, ObservableResult } from "@opentelemetry/api";

/** A count, and of what. */
export type Count = readonly [Attributes, number];

/**
 * A gauge of counts that are taken when somebody reads it. What is no longer there is told as 0 from then on: OpenTelemetry goes on
 * telling the last value of whatever has once been observed.
 *
 * @param counts each combination of attributes at most once; there may be a limited number of them
 * @returns what ends that
 */
export function observeCounts(
  meter: Meter,
  name: string,
  options: MetricOptions,
  counts: () => Iterable<Count>,
): () => void {
  const gauge = meter.createObservableGauge(name, options);
  const seen = new Map<string, Attributes>();
  const observe = (result: ObservableResult): void => {
    const gone = new Map(seen);
    for (const [attributes, count] of counts()) {
      const key = JSON.stringify(attributes);
      seen.set(key, attributes);
      gone.delete(key);
      result.observe(count, attributes);
    }
    for (const attributes of gone.values()) result.observe(0, attributes);
  };
  gauge.addCallback(observe);
  return () => gauge.removeCallback(observe);
}
