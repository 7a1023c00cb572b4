import { beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { ATTRIBUTES } from "../../src/telemetry/names.ts";
import { composeFile, deployFile, optionOf } from "./deploy-file.ts";
import { imageConfig } from "./dockerfile.ts";
import { exportedSeries } from "./exported-metrics.ts";
import { parseQuery } from "./promql.ts";

interface Dashboard {
  readonly uid: string;
  readonly templating: { readonly list: readonly { readonly query: { readonly query: string } }[] };
  readonly panels: readonly {
    readonly id: number;
    readonly type: string;
    readonly title: string;
    readonly description?: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

interface AlertRules {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert: string;
      readonly expr: string;
      readonly annotations: { readonly summary: string };
    }[];
  }[];
}

const dashboard = JSON.parse(deployFile("compose/grafana/dashboards/castellan.json")) as Dashboard;
const alerts = (parse(deployFile("compose/prometheus/alerts.yaml")) as AlertRules).groups.flatMap(({ rules }) => rules);
const targets = dashboard.panels.flatMap(({ targets = [] }) => targets);

/** What Prometheus itself adds to a target's series. */
const OF_PROMETHEUS = { metrics: ["up"], labels: ["instance", "job", "le"] };

let series: ReadonlySet<string>;

beforeAll(async () => {
  series = await exportedSeries();
});

/** The names in a query that neither Castellan nor Prometheus exports. */
function unknownIn(query: string): string[] {
  const attributes = Object.values(ATTRIBUTES).map((name) => name.replaceAll(".", "_"));
  const { metrics, labels } = parseQuery(query);
  return [
    ...metrics.filter((name) => !series.has(name) && !OF_PROMETHEUS.metrics.includes(name)),
    ...labels.filter((name) => !attributes.includes(name) && !OF_PROMETHEUS.labels.includes(name)),
  ];
}

/** The labels that a text of Grafana or of an alert shows. */
function shownIn(text: string): string[] {
  return [...text.matchAll(/\{\{\s*(?:\$labels\.)?([a-z]\w*)\s*\}\}/g)].map(([, label = ""]) => label);
}

test("unknownIn: names a metric and a label that nobody exports, and rejects what is no query", () => {
  expect(unknownIn('sum by (none) (castellan_turn_total{castellan_turn_state="x"})')).toEqual([
    "castellan_turn_total",
    "none",
  ]);
  expect(() => unknownIn("sum(castellan_turns_total")).toThrow("no PromQL");
});

test("the dashboard: queries only metrics and labels that castellan/prometheus exports", () => {
  expect(targets.length).toBeGreaterThan(20);
  expect(targets.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
  for (const { expr, legendFormat } of targets) {
    expect(parseQuery(expr).labels).toEqual(expect.arrayContaining(shownIn(legendFormat)));
  }
  for (const { query } of dashboard.templating.list) {
    const [, metric = ""] = /^label_values\((\w+), instance\)$/.exec(query.query) ?? [];
    expect(series).toContain(metric);
  }
});

test("the dashboard: has panels with a description, none of which covers another", () => {
  const { panels } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { type, description } of panels) if (type !== "row") expect(description).toMatch(/\.$/);
  for (const { gridPos: a, title } of panels) {
    expect(a.x + a.w, title).toBeLessThanOrEqual(24);
    const over = panels.filter(({ gridPos: b }) => {
      return a !== b && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
    });
    expect(over, title).toEqual([]);
  }
});

test("the alerts: query only metrics and labels that castellan/prometheus exports", () => {
  expect(alerts.length).toBeGreaterThan(5);
  expect(alerts.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
  for (const { alert, expr, annotations } of alerts) {
    const { labels } = parseQuery(expr);
    const kept = /\bby\b/.test(expr) ? labels : [...labels, "instance"];
    expect(kept, alert).toEqual(expect.arrayContaining(shownIn(annotations.summary)));
  }
});

test("prometheus.yaml: scrapes each node at the port of its metrics", () => {
  const { scrape_configs } = parse(deployFile("compose/prometheus/prometheus.yaml"));
  const metrics = optionOf(imageConfig(deployFile("app/Dockerfile")).cmd, "--metrics") ?? "";
  const nodes = Object.keys(composeFile("cluster.yaml").services).filter((name) => name.startsWith("node-"));
  expect(scrape_configs).toHaveLength(1);
  expect(scrape_configs[0].static_configs).toEqual([
    { targets: nodes.map((name) => `${name}:${metrics.split(":").at(-1)}`) },
  ]);
});
