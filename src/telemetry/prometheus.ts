/**
 * Metrics for Prometheus to read.
 *
 * @module castellan/prometheus
 */

import "../required-node.ts";

import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { measure } from "./metrics.ts";

/** A reader that collects metrics only on request. */
class PullReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** The metrics of this process, for Prometheus. */
export interface Prometheus {
  /** Returns all metrics in the Prometheus text format. */
  text(): Promise<string>;
  /** Handles a scrape, as a handler of Web-standard requests. */
  handler(request?: Request): Promise<Response>;
  /** Stops measuring. */
  stop(): Promise<void>;
}

/**
 * Measures the sessions of this process for Prometheus. Needs `@opentelemetry/sdk-metrics` and
 * `@opentelemetry/exporter-prometheus`.
 *
 * @example
 * import { prometheus } from "castellan/prometheus";
 * const metrics = prometheus();
 * app.get("/metrics", (context) => metrics.handler(context.req.raw));
 */
export function prometheus(): Prometheus {
  const reader = new PullReader();
  const provider = new MeterProvider({ readers: [reader] });
  const end = measure(provider.getMeter("castellan"));
  const serializer = new PrometheusSerializer();
  const text = async (): Promise<string> => serializer.serialize((await reader.collect()).resourceMetrics);
  return {
    text,
    handler: async () => {
      return new Response(await text(), { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
    },
    stop: async () => {
      end();
      await provider.shutdown();
    },
  };
}
