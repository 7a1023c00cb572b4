import { randomUUID } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "../../scripts/guide.ts";
import { Supervisor } from "../../src/application/supervisor.ts";
import { query, session } from "../../src/castellan.ts";
import { systemClock } from "../../src/clock.ts";
import { eventually } from "../session-on-fake/scene.ts";
import { OtherAgent } from "./other-agent.ts";

async function sessionOf(agent: OtherAgent, name: string): Promise<Supervisor> {
  const deps = { clock: systemClock, newId: randomUUID, random: () => 0.5, startActivation: agent.start };
  return await Supervisor.startWith([{ name }], { journal: "memory" }, deps);
}

describe("Session on an agent other than Claude Code", () => {
  it("runs turns, and keeps its conversation over a crash, hibernation and restart", async () => {
    const agent = new OtherAgent();
    const name = randomUUID();
    await using _ = await sessionOf(agent, name);
    expect((await query(name, "one")).text).toBe("one");

    await agent.activations[0]?.exit({ class: "crash", message: "it fell over" });
    await eventually(() => agent.activations.length === 2);
    expect((await query(name, "two")).text).toBe("one, two");
    expect(session(name).status().lastExit).toMatchObject({ class: "crash", message: "it fell over" });

    await session(name).hibernate();
    expect(session(name).status().state).toBe("hibernated");
    expect((await query(name, "three")).text).toBe("one, two, three");

    await session(name).restart();
    expect((await query(name, "four")).text).toBe("one, two, three, four");
    await session(name).clear();
    expect((await query(name, "five")).text).toBe("five");
    const [first, ...later] = agent.conversations;
    expect(first?.kind).toBe("new");
    expect(later.map(({ kind }) => kind)).toEqual(["resume", "resume", "resume", "new"]);
  });

  it("passes controls to the agent by name", async () => {
    const agent = new OtherAgent();
    const name = randomUUID();
    await using _ = await sessionOf(agent, name);
    await session(name).setModel("other-model");
    await session(name).stopTask("task-1");
    expect(agent.requests).toEqual([
      ["setModel", "other-model"],
      ["stopTask", "task-1"],
    ]);
  });
});

describe("Code above claude/", () => {
  /** Types of messages, and the handle of a query. `SDKMessage` itself is passed through to callers. */
  const SHAPES =
    /\b(?:Query|SDK(?:Assistant|User|Result|System|PartialAssistant|Status|Compact|Background)\w*|query)\b(?=[^;]*from "@anthropic-ai\/claude-agent-sdk")/;
  /** Fields and types that only the SDK's messages have, also destructured or looked for with `in`. */
  const FIELDS =
    /\b(?:subtype|parent_tool_use_id|tool_use_id|stop_reason|is_error|total_cost_usd|modelUsage|content_block|terminal_reason|structured_output|user_message_uuid|command_uuid)\b|\.session_id\b|\.type [!=]== "(?:assistant|user|result|system|stream_event)"/;

  it("neither holds the SDK's query nor reads the shapes of its messages", () => {
    const above = globSync(
      "src/{application,capacity,cli,cluster,config,pool,registry,session,supervision,telemetry}/**/*.ts",
      {
        cwd: ROOT,
      },
    );
    expect(above.length).toBeGreaterThan(150);
    const found = above.filter((file) => {
      const text = readFileSync(join(ROOT, file), "utf8");
      return FIELDS.test(text) || text.split(/(?<=;)\n/).some((statement) => SHAPES.test(statement));
    });
    expect(found).toEqual([]);
  });
});
