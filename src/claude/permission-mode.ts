import type { PermissionMode, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { PERMISSION_MODES, sdkOptionsShape } from "./sdk-options.ts";

export const permissionModeSchema = sdkOptionsShape.permissionMode as z.ZodType<PermissionMode>;

const MODES: ReadonlySet<unknown> = new Set(PERMISSION_MODES);

/** Without the schema: each turn has several messages to look at, and a mismatch with a schema is slow. */
function isMode(value: unknown): value is PermissionMode {
  return MODES.has(value);
}

/** A permission mode that a process reports. */
export interface ReportedMode {
  readonly now: PermissionMode;
  /** Whether the process just entered the mode. */
  readonly changed: boolean;
}

/** Returns the permission mode that `message` reports, if it reports one. */
export function reportedModeOf(message: SDKMessage): ReportedMode | undefined {
  if (message.type !== "system" || (message.subtype !== "init" && message.subtype !== "status")) return undefined;
  const { permissionMode: now } = message;
  return isMode(now) ? { now, changed: message.subtype === "status" } : undefined;
}
