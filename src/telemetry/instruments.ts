import type { Attributes, Histogram, Meter } from "@opentelemetry/api";
import { ATTRIBUTES } from "./names.ts";

/** Bounds of histograms of seconds: turns take from milliseconds to an hour. */
export const SECONDS: number[] = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600];

/** A histogram of seconds. */
export function seconds(meter: Meter, name: string, description: string): Histogram {
  return meter.createHistogram(name, { description, unit: "s", advice: { explicitBucketBoundaries: SECONDS } });
}

/** Of whom something is measured. */
export function of({ supervisor }: { readonly supervisor: string }): Attributes {
  return { [ATTRIBUTES.supervisor]: supervisor };
}
