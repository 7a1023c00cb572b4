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

/** The scope under which Castellan's spans and metrics are known. */
const SCOPE = "castellan";

/** Where to, and how much. */
export interface InstrumentOptions {
  /** Default: that of the global provider. */
  tracer?: Tracer;
  /** Default: that of the global provider. */
  meter?: Meter;
  /** Whether spans have the text of prompts. Default `false`. */
  prompts?: boolean;
}

/**
 * Traces turns and measures sessions of this process with OpenTelemetry, by the GenAI semantic conventions. Set up the SDK of
 * OpenTelemetry first; without one nothing is recorded.
 *
 * @returns ends that
 * @example
 * import { instrument } from "castellan/otel";
 * const stop = instrument();
 */
export function instrument(options: InstrumentOptions = {}): () => void {
  const { tracer = trace.getTracer(SCOPE), meter = metrics.getMeter(SCOPE), prompts = false } = options;
  const ends = [traceTurns(tracer, { prompts }), measure(meter)];
  return () => {
    for (const end of ends) end();
  };
}
