/**
 * Traces and metrics with OpenTelemetry.
 *
 * @module castellan/otel
 */

import "../required-node.ts";

import { type Meter, metrics, type Tracer, trace } from "@opentelemetry/api";
import { measure } from "./metrics.ts";
import { traceTurns } from "./tracing.ts";

export { ATTRIBUTES, METRICS } from "./names.ts";

/** The instrumentation scope of Castellan's spans and metrics. */
const SCOPE = "castellan";

/** Options of {@link instrument}. */
export interface InstrumentOptions {
  /** The tracer. Default: from the global provider. */
  tracer?: Tracer;
  /** The meter. Default: from the global provider. */
  meter?: Meter;
  /** Whether spans include the text of prompts. Default `false`. */
  prompts?: boolean;
}

/**
 * Traces the turns and measures the sessions of this process with OpenTelemetry, by the GenAI semantic conventions. Set up the
 * OpenTelemetry SDK first; without it nothing is recorded.
 *
 * @returns a function that stops tracing and measuring
 * @example
 * import { instrument } from "castellan/otel";
 * const stop = instrument();
 */
export function instrument(options: InstrumentOptions = {}): () => void {
  const { tracer = trace.getTracer(SCOPE), meter = metrics.getMeter(SCOPE), prompts = false } = options;
  const unsubscribes = [traceTurns(tracer, { prompts }), measure(meter)];
  return () => {
    for (const unsubscribe of unsubscribes) unsubscribe();
  };
}
