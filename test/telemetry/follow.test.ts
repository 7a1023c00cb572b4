import { channel } from "node:diagnostics_channel";
import { expect, onTestFinished, test, vi } from "vitest";
import { query, session, use } from "../../src/castellan.ts";
import { type EventLogger, follow, pool } from "../../src/index.ts";
import { stderrLogger } from "../../src/telemetry/follow.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { eventually, failure, Scene, thrown, unique } from "../session-on-fake/scene.ts";
import { collectEvents } from "./published-events.ts";

interface Line {
  readonly level: string;
  readonly fields: object;
  readonly message: string;
}

function lines(): { readonly written: Line[]; readonly logger: EventLogger } {
  const written: Line[] = [];
  const write = (level: string) => (fields: object, message: string) => void written.push({ level, fields, message });
  return { written, logger: { info: write("info"), warn: write("warn") } };
}

const script: FakeScript = async (turn) => {
  if (turn.prompt === "die") await turn.crash({ signal: "SIGKILL", stderr: "ANTHROPIC_API_KEY=sk-secret" });
  if (turn.prompt === "look") await turn.toolUse("Bash", { command: "secret-input" }, { result: "secret-output" });
  await turn.text("an answer");
};

/** Formats a line without the fields that differ between runs. */
const short = ({ fields, message }: Line): string => {
  const words = (["state", "type", "subtype", "tools"] as const).flatMap((field) => {
    const value: unknown = Reflect.get(fields, field);
    return value === undefined ? [] : [String(value)];
  });
  return [message.slice(message.lastIndexOf(" ") + 1), ...words].join(" ");
};

test("follow: logs every event of its session in order, and none of another session or after its end", async () => {
  const [name, other, { written, logger }] = [unique(), unique("other"), lines()];
  const stop = follow(name, { logger });
  await using _ = await Scene.open({ script, children: [{ name, onInterruptedTurn: "fail" }, { name: other }] });
  await Promise.all([query(name, "look"), query(other, "hi")]);
  await failure(query(name, "die"), "TURN_INTERRUPTED");
  await eventually(() => session(name).status().state === "idle");
  const before = written.length;
  stop();
  await query(name, "hi");
  expect(written).toHaveLength(before);
  expect(written.every(({ message, fields }) => message.startsWith(`"${name}" `) && "supervisor" in fields)).toBe(true);
  expect(JSON.stringify(written)).not.toContain(other);
  // `command_lifecycle` messages arrive at varying points, so they are left out.
  const shown = written.map(short).filter((line) => line !== "session:message command_lifecycle");
  expect(shown).toMatchInlineSnapshot(`
    [
      "session:start",
      "activation:start",
      "session:state idle",
      "turn:accept",
      "session:state busy",
      "turn:begin",
      "session:message system session_state_changed",
      "session:message system init",
      "session:message system status",
      "session:message stream_event",
      "session:message stream_event",
      "session:message stream_event",
      "session:message assistant Bash",
      "session:message stream_event",
      "session:message stream_event",
      "session:message stream_event",
      "session:message user",
      "session:message system status",
      "session:message stream_event",
      "session:message stream_event",
      "session:message stream_event",
      "session:message assistant",
      "session:message stream_event",
      "session:message stream_event",
      "session:message stream_event",
      "session:message result success",
      "session:state idle",
      "session:message system session_state_changed",
      "turn:end completed",
      "turn:accept",
      "session:state busy",
      "turn:begin",
      "session:message system session_state_changed",
      "session:message system init",
      "session:message system status",
      "activation:end",
      "session:state restarting",
      "session:restart",
      "turn:end interrupted",
      "session:start",
      "activation:start",
      "session:state idle",
    ]
  `);
  const levels = written.filter(({ level }) => level === "warn").map(short);
  expect(levels).toEqual(["activation:end", "session:restart", "turn:end interrupted"]);
});

test("follow: names the turn of each message", async () => {
  const { written, logger } = lines();
  await using scene = await Scene.open({ script });
  const stop = follow(scene.session, { logger });
  const { turnId } = await scene.session.query("hi");
  const messages = written.filter(({ message }) => message.endsWith("session:message"));
  expect(messages.length).toBeGreaterThan(1);
  expect(messages.filter(({ fields }) => "type" in fields && fields.type === "result")).toMatchObject([
    { fields: { turnId, subtype: "success" } },
  ]);
  stop();
});

test.each([false, true])(
  "follow with content %s: logs prompts and replies accordingly, and never tool data, keys or the environment",
  async (content) => {
    const [name, { written, logger }] = [unique(), lines()];
    const stop = follow(name, { logger, content });
    await using _ = await Scene.open({
      script,
      children: [
        {
          name,
          onInterruptedTurn: "fail",
          apiKey: "sk-secret",
          env: { TOKEN: "secret-token" },
          systemPrompt: "secret",
        },
      ],
    });
    await query(name, "look");
    stop();
    const all = JSON.stringify(written);
    expect(all).not.toContain("secret");
    expect(all.includes('"look"')).toBe(content);
    expect(all.includes("an answer")).toBe(content);
    expect(all).toContain('"promptLength":4');
  },
);

test.each([false, true])(
  "follow with content %s: does not log the standard error output of a process",
  async (content) => {
    const [name, { written, logger }] = [unique(), lines()];
    const stop = follow(name, { logger, content });
    await using _ = await Scene.open({ script, children: [{ name, onInterruptedTurn: "fail" }] });
    await failure(query(name, "die"), "TURN_INTERRUPTED");
    stop();
    expect(JSON.stringify(written)).not.toContain("secret");
    expect(written.map(({ fields }) => fields)).toContainEqual(
      expect.objectContaining({ class: "crash", signal: "SIGKILL" }),
    );
  },
);

test("follow: logs the loans of a pool member", async () => {
  const [name, { written, logger }] = [unique("pool"), lines()];
  const stop = follow([name, 0], { logger });
  await using scene = await Scene.open({ script, children: [pool(name, { size: 2 })] });
  await eventually(() => scene.supervisor.pool(name).status().idle === 2);
  await use(name, (one) => expect(one.name).toEqual([name, 0]));
  stop();
  const shown = written.map(short).filter((line) => line.startsWith("pool:"));
  expect(shown).toEqual(["pool:add", "pool:checkout", "pool:checkin"]);
});

test("stderrLogger: writes time, level, message and fields in one line to standard error", async () => {
  const written: string[] = [];
  stderrLogger((line) => written.push(line)).warn(
    { state: "idle", text: 'two\n"lines"', none: undefined, n: 1 },
    "what",
  );
  expect(written.map((line) => line.replace(/^\S+Z /, ""))).toEqual([
    'warn what state=idle text="two\\n\\"lines\\"" n=1\n',
  ]);
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await using scene = await Scene.open({ script });
  const stop = follow(scene.name);
  await query(scene.name, "hi");
  stop();
  const shown = stderr.mock.calls.map(([text]) => String(text)).join("");
  stderr.mockRestore();
  expect(shown).toContain(`info "${scene.name}" turn:begin`);
});

test("castellan:session:message: is not published without a subscriber", async () => {
  const publish = vi.spyOn(channel("castellan:session:message"), "publish");
  onTestFinished(() => publish.mockRestore());
  await using scene = await Scene.open({ script });
  await query(scene.name, "unheard");
  expect(publish).not.toHaveBeenCalled();
  using _messages = collectEvents("castellan:session:message");
  await query(scene.name, "heard");
  expect(publish).toHaveBeenCalled();
});

test("follow: throws INVALID_OPTIONS for an invalid name", async () => {
  await thrown(() => follow(""), "INVALID_OPTIONS");
});
