import type { Shape } from "../../claude/fingerprint.ts";
import { PROCESS_OPTION_NAMES } from "../../claude/process-options.ts";
import { pick } from "../../fields.ts";
import type { SessionSettings } from "../options/session-settings.ts";

/** All that a process of a session with these settings is started with, apart from the conversation. */
export function shapeOf(settings: SessionSettings): Shape {
  const { sdk, approvals, ownDirectory } = settings;
  return { ...pick(settings, PROCESS_OPTION_NAMES), options: sdk, approvals: approvals !== false, ownDirectory };
}
