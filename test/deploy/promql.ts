import { parser } from "@prometheus-io/lezer-promql";

/** What a query of Prometheus names. */
export interface PromQuery {
  readonly metrics: readonly string[];
  readonly labels: readonly string[];
}

/** The variables that Grafana replaces before Prometheus sees a query. */
const GRAFANA_VARIABLES: Readonly<Record<string, string>> = { $__rate_interval: "5m", $instance: ".*" };

/** Reads a query. @throws Error if Prometheus would not parse it */
export function parseQuery(query: string): PromQuery {
  const text = Object.entries(GRAFANA_VARIABLES).reduce((known, [name, value]) => known.replaceAll(name, value), query);
  const [metrics, labels]: string[][] = [[], []];
  parser.parse(text).iterate({
    enter: ({ name, type, from, to }) => {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${query}`);
      if (name === "Identifier") metrics?.push(text.slice(from, to));
      if (name === "LabelName") labels?.push(text.slice(from, to));
    },
  });
  return { metrics: metrics ?? [], labels: labels ?? [] };
}
