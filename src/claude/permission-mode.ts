import type { PermissionMode, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { z } from "zod";
import { sdkOptionsShape } from "./sdk-options.ts";

export const permissionModeSchema = sdkOptionsShape.permissionMode as z.ZodType<PermissionMode>;

/** A permission mode that a process reports. */
export interface ReportedMode {
  readonly now: PermissionMode;
  /** Whether the process just entered the mode. */
  readonly changed: boolean;
}

/** Returns the permission mode that `message` reports, if it reports one. */
export function reportedModeOf(message: SDKMessage): ReportedMode | undefined {
  if (message.type !== "system" || (message.subtype !== "init" && message.subtype !== "status")) return undefined;
  const read = permissionModeSchema.safeParse(message.permissionMode);
  return read.success ? { now: read.data, changed: message.subtype === "status" } : undefined;
}
