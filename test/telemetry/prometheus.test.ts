import parse from "parse-prometheus-text-format";
import { expect, test } from "vitest";
import { query } from "../../src/castellan.ts";
import { prometheus } from "../../src/telemetry/prometheus.ts";
import { failure, Scene, unique } from "../session-on-fake/scene.ts";

test("prometheus: exports what happened, without session names", async () => {
  const metrics = prometheus();
  const name = unique();
  await using _ = await Scene.open({
    script: async (turn) => (turn.prompt === "die" ? turn.crash({ code: 1 }) : turn.text("done")),
    children: [{ name, onInterruptedTurn: "fail" }],
    options: { name: "shop" },
  });
  for (const prompt of ["one", "two"]) await query(name, prompt);
  await failure(query(name, "die"), "TURN_INTERRUPTED");
  const response = await metrics.handler(new Request("http://localhost/metrics"));
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const text = await response.text();
  const families = parse(text);
  const family = (wanted: string) => families.find((one) => one.name === wanted);
  const mine = (wanted: string) =>
    family(wanted)?.metrics.filter(({ labels }) => labels?.["castellan_supervisor_name"] === "shop");
  expect(mine("castellan_turns_total")).toMatchObject([
    { value: "2", labels: { castellan_turn_state: "completed" } },
    { value: "1", labels: { castellan_turn_state: "interrupted" } },
  ]);
  expect(family("gen_ai_client_operation_duration")?.type).toBe("HISTOGRAM");
  expect(family("castellan_sessions")?.type).toBe("GAUGE");
  expect(text).not.toContain(name);
  await metrics.stop();
});
