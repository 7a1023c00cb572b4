import { randomUUID } from "node:crypto";
import { PlainClaude } from "../../bench/plain-claude.ts";
import { linesOf, run } from "../../bench/plain-process.ts";

/*
 * A fake Claude Code process. For a prompt such as `Flood 1000 small.` it writes that many messages before it answers:
 * small, large (64 kB), deep, and others.
 */

const FLOOD = /Flood (\d+) (small|large|deep|tool|mixed|garbled)\./;
const AT_ONCE = 200;

const claude = new PlainClaude(process.argv, new Map(), () => process.kill(process.pid, "SIGKILL"));
let sessionId = randomUUID() as string;

function piece(text: string): string {
  const delta = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text } };
  return JSON.stringify({
    type: "stream_event",
    event: delta,
    parent_tool_use_id: null,
    uuid: randomUUID(),
    session_id: sessionId,
  });
}

function large(text: string): string {
  const content = [{ type: "tool_result", tool_use_id: "toolu_1", content: text }];
  return JSON.stringify({
    type: "user",
    message: { role: "user", content },
    parent_tool_use_id: null,
    uuid: randomUUID(),
    session_id: sessionId,
  });
}

function deep(depth: number): string {
  const nest = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  return `{"type":"system","subtype":"nobody_knows","x":${nest},"uuid":"${randomUUID()}","session_id":"${sessionId}"}`;
}

function unknown(n: number): string {
  return JSON.stringify({ type: `unknown_${n}`, uuid: randomUUID(), session_id: sessionId });
}

const FILL = "x".repeat(65_536);
/** A tool use with an input nested deeper than JSON.parse or JSON.stringify can go. */
function deepTool(n: number): string {
  const nest = `${'{"a":'.repeat(50_000)}1${"}".repeat(50_000)}`;
  const head = `{"type":"assistant","message":{"id":"msg_${n}","type":"message","role":"assistant","model":"m","content":[{"type":"tool_use","id":"toolu_${n}","name":"Bash","input":`;
  return `${head}${nest}}],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}},"parent_tool_use_id":null,"uuid":"${randomUUID()}","session_id":"${sessionId}"}`;
}

const lineOf: Record<string, (n: number) => string> = {
  small: (n) => piece(`${n} `),
  large: () => large(FILL),
  deep: () => deep(100_000),
  tool: (n) => deepTool(n),
  mixed: (n) =>
    n % 1_000 === 0 ? deep(5_000) : n % 1_000 === 1 ? large(FILL) : n % 10 === 2 ? unknown(n) : piece(`${n} `),
};

const source = {
  *take(line: string): Iterable<string | Buffer> {
    sessionId = /"session_id":"([0-9a-f-]{36})"/.exec(line)?.[1] ?? sessionId;
    const [, count = "0", kind = "small"] = /"type":"user"/.test(line) ? (FLOOD.exec(line) ?? []) : [];
    const chunks = claude.take(line);
    if (count === "0") {
      yield* chunks;
      return;
    }
    const [answer = ""] = chunks;
    const [init = "", ...rest] = answer.split(/(?<=\n)/);
    sessionId = /"session_id":"([0-9a-f-]{36})"/.exec(init)?.[1] ?? sessionId;
    yield init;
    const one = lineOf[kind === "garbled" ? "small" : kind] ?? unknown;
    for (let n = 0; n < Number(count); n += AT_ONCE) {
      const lines = Array.from({ length: Math.min(AT_ONCE, Number(count) - n) }, (_, index) => one(n + index));
      yield `${lines.join("\n")}\n`;
      // Invalid UTF-8 in the middle of the stream.
      if (kind === "garbled" && n >= Number(count) / 2) {
        yield Buffer.concat([
          Buffer.from('{"type":"stream_event","event":"'),
          Buffer.from([0xff, 0xfe, 0xc3]),
          Buffer.from('"}\n'),
        ]);
      }
    }
    yield rest.join("");
  },
};
await run(source, linesOf(process.stdin), process.stdout);
