import { describe, expect, test } from "vitest";
import { describeOrigin, type OptionOrigin } from "../../src/application/inspection/effective-options.ts";
import { CastellanApiError } from "../../src/client/index.ts";
import { exportFileName } from "../../src/page/store/export-file.ts";
import type { Name } from "../../src/page/store/name.ts";
import { durationText, optionRows, originText, serverRows, valueText } from "../../src/page/store/option-rows.ts";
import { descriptionChanges } from "../../src/page/store/session-description.ts";
import { SessionDetails } from "../../src/page/store/session-details.ts";
import { typedName } from "../../src/page/store/typed-name.ts";
import type { Json } from "../../src/wire/json.ts";

describe("options", () => {
  test.each<OptionOrigin>([
    { from: "session" },
    { from: "template", name: "support" },
    { from: "pool", name: "jobs" },
    { from: "supervisor", name: "main", configured: { file: "castellan.config.ts", layer: "production" } },
    { from: "supervisor", configured: { file: "castellan.config.ts", variable: "MODEL" } },
    { from: "process" },
    { from: "call" },
    { from: "conversation" },
    { from: "environment", variable: "ANTHROPIC_MODEL" },
    { from: "built_in" },
  ])("the page names the origin %j as the library does", (origin) => {
    expect(originText(origin as object as Json)).toBe(describeOrigin(origin));
  });

  test("those that somebody set come first, and what others wrote is plain", () => {
    const rows = optionRows({
      options: {
        whenBusy: { value: "enqueue", origin: { from: "built_in" } },
        timeout: { value: 120_000, origin: { from: "session" } },
        env: { value: ["TOKEN"], origin: { from: "supervisor" } },
        systemPrompt: { value: "a\u202eb", origin: { from: "template", name: "x\u202e" } },
      },
    });
    expect(rows.map(({ name, value, origin }) => [name, value, origin])).toEqual([
      ["env", "TOKEN", "supervisor"],
      ["systemPrompt", "a\\u202eb", 'template "x\\u202e"'],
      ["timeout", "2 min", "session"],
      ["whenBusy", "enqueue", "built in"],
    ]);
    expect(optionRows({})).toEqual([]);
  });

  test("values read as people write them", () => {
    expect(["tools", "maxTurns", "timeout", "x"].map((name) => valueText(name, 5_000))).toEqual([
      "5000",
      "5000",
      "5 s",
      "5000",
    ]);
    expect([valueText("a", []), valueText("a", ["b", "c"]), valueText("a", { b: [1] }), valueText("a", false)]).toEqual(
      ["none", "b, c", '{"b":[1]}', "false"],
    );
    expect([0, 1, 90_000, 120_000, 5_400_000, 86_400_000, 172_800_000].map(durationText)).toEqual([
      "0 ms",
      "1 ms",
      "90 s",
      "2 min",
      "90 min",
      "1 d",
      "2 d",
    ]);
  });
});

describe("MCP servers", () => {
  const options = { mcpServers: { value: ["good", "bad"], origin: { from: "session" } } };

  test("without a process their state is not known, whatever it was before", () => {
    const unknown = [
      { name: "good", status: "unknown" },
      { name: "bad", status: "unknown" },
    ];
    expect(serverRows({ options }, { mcpServers: [{ name: "good", status: "connected" }] })).toEqual(unknown);
    expect(serverRows({ options }, undefined)).toEqual(unknown);
    expect(serverRows({}, undefined)).toEqual([]);
  });

  test("a process has further ones, and those that it does not tell of connect", () => {
    const mcpServers = [
      { name: "bad", status: "failed", reason: "it exited" },
      { name: "plugin", status: "connected" },
    ];
    expect(serverRows({ options }, { pid: 1, mcpServers })).toEqual([
      { name: "good", status: "pending" },
      ...mcpServers,
    ]);
    expect(serverRows({}, { pid: 1 })).toEqual([]);
  });
});

describe("what people type", () => {
  test.each([
    ["assistant", "assistant"],
    ["  a b ", "a b"],
    ['["support", 42]', ["support", 42]],
    ["{}", "{}"],
  ])("%j is a name", (text, name) => {
    expect(typedName(text)).toEqual({ name });
  });

  test.each(["", "  ", "[", "[]", "[42]", '["a", ""]', "a".repeat(600), '["a", null]'])("%j is none", (text) => {
    expect(typedName(text)).toEqual({ problem: expect.stringMatching(/\.$/) });
  });

  test("a description changes only what was typed", () => {
    const before = { title: "Bills", labels: { team: "blue", plan: "free" } };
    const labels = Object.entries(before.labels);
    expect(descriptionChanges(before, { title: " Bills ", labels })).toEqual({});
    expect(
      descriptionChanges(before, {
        title: "",
        labels: [
          ["team", "red"],
          ["", "x"],
          ["new", " y "],
        ],
      }),
    ).toEqual({
      title: null,
      labels: { team: "red", new: "y", plan: null },
    });
    expect(descriptionChanges({}, { title: "", labels: [] })).toEqual({});
    expect(
      descriptionChanges(
        {},
        {
          title: "T",
          labels: [
            ["a", "1"],
            ["a", "2"],
          ],
        },
      ),
    ).toEqual({ title: "T", labels: { a: "2" } });
    // An empty value is the server's to refuse, not a removal.
    expect(
      descriptionChanges(before, {
        title: "Bills",
        labels: [
          ["team", ""],
          ["plan", "free"],
        ],
      }),
    ).toEqual({
      labels: { team: "" },
    });
  });
});

test.each<[Name, string]>([
  ["assistant", "assistant"],
  [["support", 42], "support-42"],
  [{ global: ["user", "ä/ö"] }, "user-ä-ö"],
  ["../../etc/passwd", "etc-passwd"],
  ['a\u0000\u202eb\n<>:"|?*', "a-b"],
  ["CON", "session"],
  ["...", "session"],
  ["x".repeat(300), "x".repeat(80)],
])("the export of %j has a name that every system accepts", (name, safe) => {
  expect(exportFileName(name, "2026-11-30")).toBe(`${safe}-2026-11-30.jsonl`);
});

describe("the details of a session", () => {
  /** Details whose inspections are answered by hand, in order. */
  function detailsOf(): {
    readonly details: SessionDetails;
    readonly asked: PromiseWithResolvers<{ readonly restarts: number; readonly lastExits: [] }>[];
  } {
    const asked: PromiseWithResolvers<{ readonly restarts: number; readonly lastExits: [] }>[] = [];
    const others = () => Promise.reject(new Error("not asked"));
    const inspect = () => {
      const answer = Promise.withResolvers<{ readonly restarts: number; readonly lastExits: [] }>();
      asked.push(answer);
      return answer.promise;
    };
    const session = { inspect, usage: others, schedules: others, health: others };
    return { details: new SessionDetails({ client: { session: () => session } }, "a"), asked };
  }

  test("are shown although an answer takes longer than the pause between two questions", async () => {
    const { details, asked } = detailsOf();
    const first = details.inspect();
    for (let tick = 0; tick < 5; tick++) await details.inspectAgain();
    expect(asked).toHaveLength(1);
    asked[0]?.resolve({ restarts: 1, lastExits: [] });
    await first;
    expect(details.inspection.value).toMatchObject({ restarts: 1 });
    const second = details.inspectAgain();
    expect(asked).toHaveLength(2);
    asked[1]?.resolve({ restarts: 2, lastExits: [] });
    await second;
    expect(details.inspection.value).toMatchObject({ restarts: 2 });
  });

  test("are those after somebody's action, whichever answer comes last", async () => {
    const { details, asked } = detailsOf();
    const both = [details.inspectAgain(), details.inspect()];
    asked[1]?.resolve({ restarts: 2, lastExits: [] });
    asked[0]?.resolve({ restarts: 1, lastExits: [] });
    await Promise.all(both);
    expect(details.inspection.value).toMatchObject({ restarts: 2 });
  });

  test("are not asked for again by themselves once the server has refused", async () => {
    const { details, asked } = detailsOf();
    const first = details.inspect();
    asked[0]?.reject(new CastellanApiError("FORBIDDEN", "no", { status: 403 }));
    await first;
    await details.inspectAgain();
    expect(details.inspection.value).toBe("refused");
    expect(asked).toHaveLength(1);
  });
});
