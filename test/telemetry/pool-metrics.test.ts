import parse from "parse-prometheus-text-format";
import { expect, test } from "vitest";
import { checkout, query } from "../../src/castellan.ts";
import { pool } from "../../src/index.ts";
import { METRICS } from "../../src/telemetry/otel.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { loadPool } from "../session-on-fake/pool-load.ts";
import { eventually, failure, Scene, unique } from "../session-on-fake/scene.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { measured } from "./measured.ts";

const script: FakeScript = (turn) => turn.text("done");

test("pool metrics: measure loans, waits, their durations and refusals, by supervisor and pool", async () => {
  const [name, clock, { stop, points, metrics }] = [unique("pool"), new SimulatedClock(), measured()];
  await using scene = await Scene.open({
    clock,
    script,
    children: [pool(name, { size: 2 })],
    options: { name: "shop" },
  });
  const mine = { "castellan.supervisor.name": "shop", "castellan.pool.name": name };
  const loans = [await checkout(name), await checkout(name)];
  const late = failure(checkout(name, { timeout: "5s" }), "POOL_EXHAUSTED");
  const turn = query(name, "hi");
  expect(await points(METRICS.poolLent)).toEqual([{ ...mine, value: 2 }]);
  expect(await points(METRICS.poolWaiting)).toEqual([{ ...mine, value: 2 }]);
  await clock.advance(5_000);
  await late;
  await loans[0]?.checkin();
  await turn;
  expect(await points(METRICS.poolLent)).toEqual([{ ...mine, value: 1 }]);
  expect(await points(METRICS.poolWaiting)).toEqual([{ ...mine, value: 0 }]);
  expect(await points(METRICS.poolExhausted)).toEqual([{ ...mine, value: 1 }]);
  expect(await points(METRICS.poolWaitDuration)).toEqual([
    { ...mine, "castellan.pool.granted": true, value: 3 },
    { ...mine, "castellan.pool.granted": false, value: 1 },
  ]);
  const waits = (await metrics()).find(({ descriptor }) => descriptor.name === METRICS.poolWaitDuration);
  expect(waits?.descriptor.unit).toBe("s");
  expect(waits?.dataPoints.map(({ value }) => (typeof value === "number" ? value : value.sum))).toEqual([5, 5]);
  await scene.supervisor.stop();
  expect(await points(METRICS.poolLent)).toEqual([{ ...mine, value: 0 }]);
  stop();
});

test("prometheus: exports the pool metrics", async () => {
  const [name, metrics] = [unique("pool"), prometheus()];
  await using _ = await Scene.open({ script, children: [pool(name, { size: 1 })], options: { name: "shop" } });
  await using _loan = await checkout(name);
  await failure(checkout(name, { timeout: 0 }), "POOL_EXHAUSTED");
  const families = parse(await metrics.text());
  const of = (wanted: string) =>
    families
      .find((family) => family.name === wanted)
      ?.metrics.filter(
        ({ labels }) => labels?.["castellan_pool_name"] === name && labels["castellan_supervisor_name"] === "shop",
      );
  expect(of("castellan_pool_lent")).toMatchObject([{ value: "1" }]);
  expect(of("castellan_pool_exhausted_total")).toMatchObject([{ value: "1" }]);
  expect(families.find((family) => family.name === "castellan_pool_wait_duration")?.type).toBe("HISTOGRAM");
  await metrics.stop();
});

test("pool metrics: return to 0 after random crashes, and ignore loans from before instrumentation", async () => {
  const name = unique("pool");
  await using scene = await Scene.open({ script, children: [pool(name, { size: 1 })] });
  const loan = await checkout(name);
  const waits = query(name, "hi");
  await eventually(() => scene.supervisor.pool(name).status().waiting === 1);
  const { stop, points } = measured();
  await loan.checkin();
  await waits;
  await loadPool(300, 7);
  await scene.supervisor.stop();
  for (const metric of [METRICS.poolLent, METRICS.poolWaiting]) {
    const values = await points(metric);
    expect(values.length).toBeGreaterThan(0);
    expect(values.filter(({ value }) => value !== 0)).toEqual([]);
  }
  stop();
});
