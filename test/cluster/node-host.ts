import { appendFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { farSpawn } from "../../bench/far-claude.ts";
import {
  CastellanError,
  type ClusterOptions,
  global,
  pool,
  type SessionDefaults,
  Supervisor,
  template,
  type WebhookOptions,
} from "../../src/index.ts";
import { fakeClaude } from "../../src/testing/index.ts";

/*
 * A node of a cluster in a process of its own, for tests that kill, stop and disconnect it. It takes orders over the
 * channel to its parent, and ends with its parent.
 */

export interface NodeStart {
  readonly do: "start";
  readonly cluster: ClusterOptions;
  /** The environment of the real Claude Code. The fake needs none. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** `far`: the address of fakes that all nodes share. */
  readonly claude: "real" | "fake" | { readonly far: string };
  /** Sessions that must always be active on some node. */
  readonly always: readonly string[];
  /** How long turns may take to finish after SIGTERM, in milliseconds. */
  readonly deadlineMs: number;
  readonly webhooks?: readonly WebhookOptions[] | undefined;
}

export type NodeOrder =
  | NodeStart
  /** Runs a turn from this node, and reports its reply. */
  | {
      readonly do: "query";
      readonly id: number;
      readonly name: readonly [string, ...string[]];
      readonly prompt: string;
    }
  /** Gives a pool of this node a job, and reports the id and the text of its turn. */
  | { readonly do: "job"; readonly id: number; readonly pool: string; readonly prompt: string }
  /** Runs that many turns from this node, and reports the duration of each and the number of messages. */
  | {
      readonly do: "measure";
      readonly id: number;
      readonly name: readonly [string, ...string[]];
      readonly prompt: string;
      readonly turns: number;
    }
  /** Reports whether the node is ready. */
  | { readonly do: "look"; readonly id: number };

export type NodeReport =
  | { readonly is: "ready" }
  | { readonly is: "answered"; readonly id: number; readonly text: string }
  | { readonly is: "worked"; readonly id: number; readonly turnId: string; readonly text: string }
  | { readonly is: "measured"; readonly id: number; readonly ms: readonly number[]; readonly messages: number }
  | { readonly is: "failed"; readonly id: number; readonly code: string; readonly message: string }
  | { readonly is: "looked"; readonly id: number; readonly ready: boolean; readonly reasons: readonly string[] }
  | { readonly is: "warning"; readonly message: string };

let starting: Promise<Supervisor> | undefined;

process.on("message", (order: NodeOrder) => {
  void execute(order).catch((error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    const id = "id" in order ? order.id : 0;
    report({ is: "failed", id, code: CastellanError.is(error) ? error.code : "none", message });
  });
});
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));

async function execute(order: NodeOrder): Promise<void> {
  switch (order.do) {
    case "start": {
      starting = start(order);
      const supervisor = await starting;
      supervisor.stopOnSignals({ deadline: order.deadlineMs });
      return report({ is: "ready" });
    }
    case "query": {
      const { id, name, prompt } = order;
      const { text } = await (await started()).query(global(name), prompt);
      return report({ is: "answered", id, text });
    }
    case "job": {
      const { id, pool: name, prompt } = order;
      const own = (await started()).pool(name);
      const turnId = await own.enqueue(prompt);
      const { text = "" } = (await (await own.turn(turnId))?.result()) ?? {};
      return report({ is: "worked", id, turnId, text });
    }
    case "measure": {
      const { id, name, prompt, turns } = order;
      const supervisor = await started();
      const ms: number[] = [];
      let messages = 0;
      for (let n = 0; n < turns; n++) {
        const since = performance.now();
        for await (const _ of supervisor.stream(global(name), prompt)) messages++;
        ms.push(performance.now() - since);
      }
      return report({ is: "measured", id, ms, messages });
    }
    case "look": {
      const { ok, checks } = (await started()).readyz();
      const reasons = checks.flatMap(({ ok: fine, name, reason }) => reason ?? (fine ? [] : [name]));
      return report({ is: "looked", id: order.id, ready: ok, reasons });
    }
  }
}

function started(): Promise<Supervisor> {
  if (starting === undefined) throw new Error("it has not been told to start");
  return starting;
}

async function start({ cluster, env, cwd, claude, always, webhooks = [] }: NodeStart): Promise<Supervisor> {
  return await Supervisor.start(
    [
      ...always.map((name) => ({ name: global(name) })),
      template(global("chat")),
      template(global("asking"), { allowedTools: [], approvals: true }),
      template(global("east", { labels: { zone: "east" } })),
      pool(global("crew"), { size: 2 }),
    ],
    {
      name: "node",
      journal: "memory",
      cluster,
      webhooks,
      defaults: defaultsFor(claude, env, cwd),
      logger: { info: () => {}, warn: (message) => report({ is: "warning", message }) },
    },
  );
}

function defaultsFor(claude: NodeStart["claude"], env: NodeStart["env"], cwd: string): SessionDefaults {
  if (claude === "real") return { env, cwd, allowedTools: ["Bash", "Read"], includePartialMessages: true };
  if (claude !== "fake") return { spawnClaudeCodeProcess: farSpawn(claude.far) };
  // A fake remembers only the conversations of its own process.
  return { spawnClaudeCodeProcess: fake().spawn, onMissingConversation: "fresh" };
}

/**
 * `note file 3` writes itself to the file and then takes a moment. `count 3` answers with three numbers, `hang` begins an answer and never ends, `wait` answers nothing. Any other
 * prompt is repeated, with the node's pid.
 */
function fake(): ReturnType<typeof fakeClaude> {
  return fakeClaude(async (turn) => {
    const [what, number = ""] = turn.prompt.split(" ");
    if (what === "note") {
      appendFileSync(number, `${turn.prompt}\n`);
      await turn.text("begun");
      await setTimeout(20);
    }
    if (what === "hang") {
      await turn.text("begun");
      return await turn.hang();
    }
    if (what === "wait") {
      await turn.hang();
    }
    for (let at = 1; what === "count" && at <= Number(number); at++) await turn.text(String(at));
    if (what !== "count") await turn.text(`${turn.prompt} on ${process.pid}`);
  });
}

function report(what: NodeReport): void {
  process.send?.(what);
}
