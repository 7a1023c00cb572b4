import { createInterface } from "node:readline";
import { CastellanError, type Session, Supervisor, session } from "../../src/index.ts";

/*
 * An application with a journal and sessions of the real Claude Code, in a process of its own, for tests that kill it
 * at random moments. Each line of its input is an order. Each line of its output is a report.
 */

export type Order =
  | {
      readonly do: "start";
      readonly journal: string;
      readonly sessions: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string;
      /**
       * The arguments of Node.js for an MCP server of each session. If they are given, any process may die at any time.
       */
      readonly mcpServer?: readonly string[];
    }
  /** Accepts a turn for later. */
  | { readonly do: "enqueue"; readonly session: string; readonly key: string; readonly prompt: string }
  /** Asks, and waits for the reply. */
  | { readonly do: "query"; readonly session: string; readonly key: string; readonly prompt: string }
  /** Finds an accepted turn, and reports its end. */
  | { readonly do: "watch"; readonly session: string; readonly key: string; readonly id: string }
  /** Ends all turns, then the application. */
  | { readonly do: "drain" }
  | { readonly do: "stop" };

export type Report =
  /** All sessions have started, except those listed. */
  | { readonly is: "ready"; readonly notStarted: readonly string[] }
  | { readonly is: "accepted"; readonly key: string; readonly id: string }
  | ({ readonly is: "ended"; readonly key: string; readonly id: string } & End)
  /** An accepted turn was not found. */
  | { readonly is: "lost"; readonly key: string; readonly id: string }
  /** A call failed that must not fail. */
  | { readonly is: "failed"; readonly what: string; readonly code: string; readonly message: string }
  | { readonly is: "warning"; readonly message: string }
  /** The application ended in order, with the total that its sessions spent. */
  | { readonly is: "stopped"; readonly costUsd: number; readonly inputTokens: number };

/** The end of a turn: a text, or the code of an error. */
export type End =
  | { readonly state: string; readonly text: string; readonly costUsd: number }
  | { readonly state: string; readonly code: string };

const input = createInterface(process.stdin);
let starting: Promise<Supervisor> | undefined;

process.on("unhandledRejection", (reason) => fail("an unhandled rejection", reason));

for await (const line of input) {
  const order = JSON.parse(line) as Order;
  void execute(order).catch((error: unknown) => fail(order.do, error));
}

async function execute(order: Order): Promise<void> {
  switch (order.do) {
    case "start": {
      const { journal, sessions, env, cwd, mcpServer } = order;
      const servers = mcpServer && { local: { command: process.execPath, args: [...mcpServer] } };
      starting = Supervisor.start(
        sessions.map((name) => ({ name })),
        {
          name: "application",
          journal: { sqlite: journal },
          defaults: { env, cwd, allowedTools: ["Bash"], ...(servers && { mcpServers: servers }) },
          ...(servers && { maxRestarts: 1_000_000 }),
          logger: { info: () => {}, warn: (message) => report({ is: "warning", message }) },
        },
      );
      const { notStarted } = await starting;
      return report({ is: "ready", notStarted: notStarted.map(({ error }) => error.message) });
    }
    case "enqueue": {
      const { key, prompt } = order;
      const id = await session(order.session).enqueue(prompt, { idempotencyKey: key });
      report({ is: "accepted", key, id });
      return await watch(session(order.session), key, id);
    }
    case "query": {
      const turn = session(order.session).stream(order.prompt);
      return await reportEnd(order.key, turn);
    }
    case "watch":
      await starting;
      return await watch(session(order.session), order.key, order.id);
    case "drain":
    case "stop": {
      const supervisor = await starting;
      const [spent] = (await supervisor?.usage()) ?? [];
      await (order.do === "drain" ? supervisor?.drain({ deadline: "60s" }) : supervisor?.stop());
      report({ is: "stopped", costUsd: spent?.costUsd ?? 0, inputTokens: spent?.usage.inputTokens ?? 0 });
      input.close();
    }
  }
}

async function watch(where: Session, key: string, id: string): Promise<void> {
  const turn = await where.turn(id);
  if (turn === undefined) report({ is: "lost", key, id });
  else await reportEnd(key, turn);
}

async function reportEnd(key: string, turn: NonNullable<Awaited<ReturnType<Session["turn"]>>>): Promise<void> {
  const { id } = turn;
  const end = await turn.result().then(
    ({ text, costUsd }) => ({ text, costUsd }),
    (error: unknown) => ({ code: CastellanError.is(error) ? error.code : String(error) }),
  );
  report({ is: "ended", key, id, state: turn.state, ...end });
}

function fail(what: string, error: unknown): void {
  const code = CastellanError.is(error) ? error.code : "none";
  report({ is: "failed", what, code, message: error instanceof Error ? error.message : String(error) });
}

/** Writes to a pipe synchronously. */
function report(what: Report): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
