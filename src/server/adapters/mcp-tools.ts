import { createRequire } from "node:module";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  type CallToolResult,
  ListToolsRequestSchema,
  type ServerNotification,
  type ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import type { Clock } from "../../clock.ts";
import type { SessionName } from "../../names.ts";
import type { Approval } from "../../wire/approval.ts";
import type { WireName } from "../../wire/name.ts";
import type { SessionInfo } from "../../wire/session.ts";
import type { Turn } from "../../wire/turn.ts";
import { type AwaitedTurn, awaitedTurn } from "./awaited-turn.ts";
import type { McpPort, McpSession } from "./mcp-port.ts";

const { version } = createRequire(import.meta.url)("castellan/package.json") as { readonly version: string };

/** What the tools of an MCP server work with. */
export interface McpToolsOptions {
  readonly port: McpPort;
  /** The caller's scopes, which decide the tools: `read`, `talk`, `approve`. */
  readonly scopes: Iterable<string>;
  /** Ends waits without an error: the server drains. */
  readonly leaving?: AbortSignal;
  readonly clock: Clock;
}

/** What the tools share. */
interface Tools extends Omit<McpToolsOptions, "scopes"> {
  readonly mayApprove: boolean;
}

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

const INSTRUCTIONS =
  "The sessions are Claude Code sessions that Castellan supervises. Each has a name and keeps its conversation. Use `list` for the names, " +
  "and `ask` to give a session a prompt and get its answer.";

/** The default and the longest wait for a turn, in seconds. */
const WAIT_S = 600;
const LONGEST_S = 3_600;

/** How many of the latest turns `status` shows. */
const TURNS = 5;

const name = z.union([z.string().min(1), z.array(z.union([z.string(), z.number()])).min(1)]);

/** The server checks names. Here they are without references, so that every client and model understands the schema. */
const localName = name.transform((given) => given as SessionName);

const session = z
  .union([name, z.strictObject({ global: name })])
  .transform((given) => given as WireName)
  .describe(
    'The name of the session, in the form in which `list` shows it: "reviewer", ["support",42] or {"global":"reviewer"}.',
  );

const waitSeconds = z
  .number()
  .min(0)
  .max(LONGEST_S)
  .optional()
  .describe(`How long to wait for the answer. Default ${WAIT_S}. The turn continues after that; see \`status\`.`);

/** Makes an MCP server with the tools that the caller's scopes allow. It has no transport yet. */
export function mcpServer({ scopes, ...rest }: McpToolsOptions): McpServer {
  const server = new McpServer({ name: "castellan", title: "Castellan", version }, { instructions: INSTRUCTIONS });
  const may = new Set(scopes);
  const tools: Tools = { ...rest, mayApprove: may.has("approve") };
  if (may.has("read") && may.has("talk")) addAsk(server, tools);
  if (may.has("read")) addList(server, tools);
  if (may.has("read")) addStatus(server, tools);
  if (tools.mayApprove) addApprovals(server, tools);
  if (!may.has("read") && !tools.mayApprove) {
    server.server.registerCapabilities({ tools: {} });
    server.server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [] }));
  }
  return server;
}

function addAsk(server: McpServer, tools: Tools): void {
  server.registerTool(
    "ask",
    {
      title: "Ask a session",
      description:
        "Gives a Claude Code session a prompt, waits, and returns the answer. The prompts of a session run one after the other, in one " +
        'conversation. Returns early, with `state` "running", if the session needs a permission that you may give, or if the wait is over: ' +
        "use `approve` or `deny`, then `status` with the turn. Cancelling the call interrupts the turn.",
      inputSchema: { session, prompt: z.string().min(1).describe("The prompt, as text."), waitSeconds },
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
    },
    async ({ session: name, prompt, waitSeconds: seconds = WAIT_S }, extra) =>
      await answered(async () => {
        const asked = tools.port.session(name);
        const id = await asked.enqueue(prompt);
        try {
          return shownTurn(await waited(asked, id, seconds, tools, extra));
        } catch (error) {
          // The caller no longer wants the answer.
          if (extra.signal.aborted) await asked.interruptTurn(id);
          throw error;
        }
      }),
  );
}

function addList(server: McpServer, { port }: Tools): void {
  server.registerTool(
    "list",
    {
      title: "List sessions",
      description:
        "Lists the sessions by name, with their states, and the permission requests that wait for an answer.",
      inputSchema: {
        prefix: localName.optional().describe('Only sessions whose names begin so: "support".'),
        labels: z.record(z.string(), z.string()).optional().describe("Only sessions with all of these labels."),
        after: localName.optional().describe("Only sessions after this name: `next` of the page before."),
        global: z.boolean().optional().describe("Whether to list the global sessions of the cluster instead."),
      },
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async ({ prefix, labels, after, global = false }) =>
      await answered(async () => {
        const approvals = (await port.approvals({ global })).map(shownApproval);
        if (global) return { ...(await port.listGlobalSessions({ prefix, labels, after, limit: 100 })), approvals };
        const { sessions, next } = await port.listSessions({ prefix, labels, after, limit: 100 });
        return { sessions: sessions.map(shownSession), next, approvals };
      }),
  );
}

function addStatus(server: McpServer, tools: Tools): void {
  server.registerTool(
    "status",
    {
      title: "Status of a session or a turn",
      description:
        `Returns the state of a session, its pending permission requests and its latest ${TURNS} turns. With \`turn\`, returns that turn and ` +
        "its answer, and waits for its end if `waitSeconds` says so.",
      inputSchema: {
        session,
        turn: z.string().min(1).optional().describe("The id of a turn, as `ask` returned it."),
        waitSeconds: waitSeconds.describe("How long to wait for the end of the turn. Default 0."),
      },
      annotations: { readOnlyHint: true, openWorldHint: false },
    },
    async ({ session: name, turn, waitSeconds: seconds = 0 }, extra) =>
      await answered(async () => {
        const asked = tools.port.session(name);
        if (turn !== undefined) return shownTurn(await waited(asked, turn, seconds, tools, extra));
        const [info, approvals, { turns }] = await Promise.all([
          asked.get(),
          asked.approvals(),
          asked.turns({ limit: TURNS }),
        ]);
        return {
          ...shownSession(info),
          approvals: approvals.map(shownApproval),
          turns: turns.map(({ id, state, prompt, error }) => ({ turn: id, state, prompt, error })),
        };
      }),
  );
}

function addApprovals(server: McpServer, { port }: Tools): void {
  const approval = z.string().min(1).describe("The id of the permission request.");
  server.registerTool(
    "approve",
    {
      title: "Approve a permission request",
      description: "Lets a tool run that waits for permission, or answers the questions of a session.",
      inputSchema: {
        session,
        approval,
        answers: z.record(z.string(), z.string()).optional().describe("The answers to the questions, by question."),
      },
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
    },
    async ({ session: name, approval: id, answers }) =>
      await answered(async () => await port.session(name).approve(id, { answers })),
  );
  server.registerTool(
    "deny",
    {
      title: "Deny a permission request",
      description: "Denies a tool that waits for permission. The session continues, and is told the reason.",
      inputSchema: { session, approval, reason: z.string().optional().describe("What the session is told.") },
      annotations: { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    },
    async ({ session: name, approval: id, reason }) =>
      await answered(async () => await port.session(name).deny(id, reason)),
  );
}

async function waited(
  asked: McpSession,
  id: string,
  seconds: number,
  { clock, leaving, mayApprove }: Tools,
  extra: Extra,
): Promise<AwaitedTurn> {
  const progressToken = extra._meta?.progressToken;
  let count = 0;
  const progress = (message: string): void => {
    if (progressToken === undefined) return;
    const params = { progressToken, progress: ++count, message };
    // The caller has gone; its request ends by itself.
    extra.sendNotification({ method: "notifications/progress", params }).catch(() => {});
  };
  return await awaitedTurn(asked, id, {
    clock,
    ms: seconds * 1_000,
    untilApproval: mayApprove,
    leaving,
    cancelled: extra.signal,
    progress,
  });
}

/** Returns a tool's result: the answer as JSON, or the error as text for the model. */
async function answered(run: () => Promise<object>): Promise<CallToolResult> {
  try {
    return { content: [{ type: "text", text: JSON.stringify(await run()) }] };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    return { content: [{ type: "text", text: `${code}: ${message}` }], isError: true };
  }
}

function shownTurn({ turn, approvals }: AwaitedTurn): object {
  const { id, state, reply, error }: Turn = turn;
  return {
    turn: id,
    state,
    text: reply?.text,
    structured: reply?.structured,
    error: error && { code: error.code, message: error.message },
    approvals: approvals.length === 0 ? undefined : approvals.map(shownApproval),
  };
}

function shownSession({ name, state, title, labels, status }: SessionInfo): object {
  return { session: name, state, title, labels, waitingFor: status?.waitingFor };
}

function shownApproval({ id, session: name, tool, input, questions, reason, turnId }: Approval): object {
  return { approval: id, session: name, turn: turnId, tool, input, questions, reason };
}
