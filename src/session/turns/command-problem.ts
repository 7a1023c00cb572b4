import type { SlashCommand } from "@anthropic-ai/claude-agent-sdk";
import { type Activation, REQUEST_MS } from "../../claude/activation.ts";
import { type Clock, pause } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { CastellanError } from "../../errors.ts";
import { didYouMean, nearMisses } from "../../names.ts";

/** How often to check whether an MCP server has connected. */
const LOOK_MS = 100;

/** How long to wait for the exit of a process that did not answer. */
const DYING_MS = 1_000;

/**
 * Returns why a command must not be sent to the process, or undefined: Claude Code would treat an unknown command as a
 * prompt. Returns undefined if the process ends in the meantime.
 */
export async function commandProblem(
  who: string,
  name: string,
  activation: Activation,
  clock: Clock,
): Promise<CastellanError | undefined> {
  try {
    return (await unknown(name, activation, clock)) ? notFound(who, name, await known(activation)) : undefined;
  } catch (error) {
    const gone = await withDeadline(clock, DYING_MS, activation.exited);
    return gone === undefined && CastellanError.is(error) ? error : undefined;
  }
}

async function unknown(name: string, activation: Activation, clock: Clock): Promise<boolean> {
  const commands = await known(activation);
  if (commands.some((command) => command.name === name || command.aliases?.includes(name))) return false;
  return !name.startsWith("mcp__") || !(await isOfServer(name, activation, clock));
}

/**
 * Whether `mcp__<server>__<prompt>` may be a prompt of an MCP server. Claude Code connects servers after its handshake
 * and lists their prompts, as `<server>:<prompt> (MCP)`, only with the first turn; until then every prompt of an
 * existing server may exist.
 */
async function isOfServer(name: string, activation: Activation, clock: Clock): Promise<boolean> {
  const until = clock.monotonic() + REQUEST_MS;
  for (;;) {
    const servers = await activation.request("mcpServerStatus");
    const server = servers.find((one) => name.startsWith(prefixOf(one.name)));
    if (server?.status === "pending" && clock.monotonic() < until) {
      await pause(clock, LOOK_MS);
      continue;
    }
    if (server?.status !== "connected") return false;
    const listed = (await known(activation)).filter((command) => command.name.startsWith(`${server.name}:`));
    const prompt = name.slice(prefixOf(server.name).length);
    return listed.length === 0 || listed.some((command) => command.name === `${server.name}:${prompt} (MCP)`);
  }
}

function prefixOf(server: string): string {
  return `mcp__${server.replaceAll(/[^\w-]/g, "_")}__`;
}

function known(activation: Activation): Promise<SlashCommand[]> {
  return activation.request("supportedCommands");
}

function notFound(who: string, name: string, commands: readonly SlashCommand[]): CastellanError<"COMMAND_NOT_FOUND"> {
  const near = nearMisses(
    name,
    commands.flatMap((command) => [command.name, ...(command.aliases ?? [])]),
  );
  const message = `${who} knows no command or skill ${JSON.stringify(name)}, see \`supportedCommands()\`${didYouMean(near) || "."}`;
  return new CastellanError("COMMAND_NOT_FOUND", message, { details: { command: name, nearMisses: near } });
}
