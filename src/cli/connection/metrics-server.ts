import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { invalidOptions } from "../../session/options/validation.ts";

/** A server of metrics that listens. */
export interface MetricsServer {
  /** `http://127.0.0.1:9464/metrics` */
  readonly url: string;
  /** Stops listening and measuring. Idempotent. */
  close(): Promise<void>;
}

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
  readonly reusePort?: boolean;
}

const PATH = "/metrics";

/** The packages that the metrics need, which are optional. */
const PACKAGES = "@opentelemetry/api @opentelemetry/sdk-metrics @opentelemetry/exporter-prometheus";

/**
 * Measures the sessions of this process, and serves the metrics for Prometheus. At an address of its own, because Prometheus has no token
 * of Castellan, and nobody else should reach it.
 *
 * @throws CastellanError `INVALID_OPTIONS` if the address cannot be listened on, or a package is missing
 */
export async function listenMetrics({ host, port, reusePort = false }: MetricsAddress): Promise<MetricsServer> {
  const metrics = (await load()).prometheus();
  const server = createServer(
    getRequestListener(
      async ({ url }) =>
        new URL(url).pathname === PATH
          ? await metrics.handler()
          : new Response(`The metrics are at ${PATH}.\n`, { status: 404 }),
      { overrideGlobalObjects: false },
    ),
  );
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host, port, reusePort }, resolve);
  try {
    await promise;
  } catch (error) {
    await metrics.stop();
    const { message } = error as Error;
    throw invalidOptions("serve", [{ field: "metrics", message }], error);
  }
  const address = server.address();
  const own = typeof address === "object" && address !== null ? address.port : port;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    server.closeAllConnections();
    await Promise.all([closed.promise, metrics.stop()]);
  };
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${own}${PATH}`,
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

async function load(): Promise<typeof import("../../telemetry/prometheus.ts")> {
  try {
    return await import("../../telemetry/prometheus.ts");
  } catch (error) {
    const { message } = error as Error;
    const missing = `needs the packages ${PACKAGES}; install them with npm (${message})`;
    throw invalidOptions("serve", [{ field: "metrics", message: missing }], error);
  }
}
