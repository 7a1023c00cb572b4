import type { FakeArguments } from "./fake-arguments.ts";
import { sdkServers, sdkTools } from "./fake-control.ts";
import { initMessage } from "./fake-messages.ts";
import { FakePermissions } from "./fake-permissions.ts";
import type { WireObject } from "./fake-wire.ts";

/** How a Claude Code is set: by its command line, by the handshake, and by what a session may change while it lives. */
export class FakeSettings {
  readonly cwd: string;
  readonly partialMessages: boolean;
  /** Whether the host has asked to be told when it works and when it rests. */
  readonly tellsState: boolean;
  /** Whether the session has a `canUseTool`. */
  readonly asksHost: boolean;
  model: string;
  readonly permissions: FakePermissions;
  /** The payload of the handshake; `undefined` before it. */
  initialize: WireObject | undefined;

  /** `tellMode` is called when the permission mode has changed. */
  constructor(
    args: FakeArguments,
    cwd: string,
    env: Readonly<Record<string, string | undefined>>,
    tellMode: (mode: string) => void,
  ) {
    this.cwd = cwd;
    this.tellsState = env["CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS"] === "1";
    this.partialMessages = args.partialMessages;
    this.asksHost = args.askHost;
    this.model = args.model;
    this.permissions = new FakePermissions(args, cwd, tellMode);
  }

  get permissionMode(): string {
    return this.permissions.mode;
  }

  /** The message that a turn begins with. */
  init(promptUuids: readonly string[]): WireObject {
    const mcpServers = sdkServers(this.initialize ?? {});
    const tools = mcpServers.flatMap((server) =>
      sdkTools(server, this.initialize ?? {}).map((tool) => `mcp__${server}__${tool}`),
    );
    const { cwd, model, permissionMode } = this;
    return initMessage({
      cwd,
      model,
      permissionMode,
      tools: ["Task", "Bash", "Edit", "Read", "Write", ...tools],
      mcpServers,
      directories: this.permissions.directories,
      promptUuids,
    });
  }
}
