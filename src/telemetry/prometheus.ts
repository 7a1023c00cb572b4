/**
 * Metrics for Prometheus to read.
 *
 * @module castellan/prometheus
 */

import "../required-node.ts";

import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { measure } from "./metrics.ts";

/** Gives what has been measured when it is asked for. */
class PullReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

/** Metrics of this process as Prometheus reads them. */
export interface Prometheus {
  /** All metrics, in the text format. */
  text(): Promise<string>;
  /** Answers a scrape: a handler of Web-standard requests. */
  handler(request?: Request): Promise<Response>;
  /** Measures no longer. */
  stop(): Promise<void>;
}

/**
 * Measures sessions of this process, for Prometheus to read. Needs `@opentelemetry/sdk-metrics` and
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
