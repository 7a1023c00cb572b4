import type { SDKStartupFailureReason } from "@anthropic-ai/claude-agent-sdk";
import type { ExitClass, ExitRecord } from "../errors.ts";
import { own } from "../fields.ts";
import { isTemporaryInWords } from "./passing-fault.ts";

/** What is known of a process that ended, or that failed to start. */
export interface ExitEvidence {
  /** Whether Castellan ended it. */
  readonly expected: boolean;
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
  readonly stderr?: string | undefined;
  /** What the SDK, or Castellan's check of the protocol, reported. */
  readonly error?: string | undefined;
  /** Why Claude Code refused to start, if it said. */
  readonly startupFailure?: SDKStartupFailureReason | undefined;
  /** Whether the kernel killed processes for lack of memory during the process's lifetime. */
  readonly memoryKill?: boolean | undefined;
  /** The system's error code if the process could not be spawned, such as `EMFILE`. */
  readonly spawnError?: string | undefined;
  /** A fault that was found before or instead of an exit. It takes precedence. */
  readonly found?: { readonly class: ExitClass; readonly message: string } | undefined;
}

/**
 * Claude Code's reasons not to start. Reasons that may pass by themselves, such as a network failure, are an overload;
 * those that a person has to fix are one of the other two.
 */
const STARTUP_FAILURES: { readonly [Reason in SDKStartupFailureReason]: ExitClass } = {
  org_pin_api_key_conflict: "bad_config",
  provider_not_allowed: "bad_config",
  managed_settings_invalid: "bad_config",
  proxy_invalid: "bad_config",
  temp_dir_unusable: "bad_config",
  cwd_unavailable: "bad_config",
  shell_tool_missing: "bad_config",
  session_held_by_background: "bad_config",
  worktree_resume_refused: "bad_config",
  cli_version_too_old: "bad_config",
  bypass_root: "bad_config",
  sandbox_required_unavailable: "bad_config",
  initialize_not_first: "bad_config",
  config_file_invalid: "bad_config",
  managed_settings_not_delivered: "bad_config",
  initialize_fields_not_delivered: "bad_config",
  sideload_flags_disabled: "bad_config",
  org_pin_mismatch: "auth",
  gateway_signin_required: "auth",
  gateway_access_denied: "auth",
  org_config_refused: "auth",
  org_verify_failed: "overload",
  remote_settings_required_unavailable: "overload",
  worktree_unverified: "overload",
  org_config_required_unavailable: "overload",
};

/** Error output of failed starts without a structured reason, and its meaning. */
const LAST_WORDS: readonly { readonly words: RegExp; readonly class: ExitClass; readonly message: string }[] = [
  {
    words: /No conversation found with session ID/,
    class: "conversation_missing",
    message:
      'Claude Code has no transcript of this conversation; `clear()` begins an empty one, as `onMissingConversation: "fresh"` always does',
  },
  {
    words: /No message found with message\.uuid/,
    class: "conversation_missing",
    message: "the transcript lacks the message to resume from",
  },
  {
    words: /Session ID \S+ is already in use/,
    class: "conversation_exists",
    message: "Claude Code already has a transcript of this conversation",
  },
  // Printed by commander, Claude Code's command line parser, for an option that this release does not know, and by
  // Claude Code for an invalid value.
  {
    words: /^error: (unknown option|option .* is invalid|option .* argument missing)|^Error: --[a-z-]+ /m,
    class: "bad_config",
    message: "Claude Code does not accept an option that it was given",
  },
];

/** The system's error codes for a lack of resources. */
const SCARCE: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"]);

/**
 * Classifies the end of a process. Pure; supervision, back-off, quarantine and health only use the class.
 *
 * A process that was not asked to end has crashed, even with exit code 0: a session's process ends only when its input
 * does. Structured fields decide; words decide only if the binary offers nothing better.
 */
export function classifyExit(evidence: ExitEvidence): Pick<ExitRecord, "class" | "message"> {
  const { found, expected, startupFailure, spawnError, error, stderr } = evidence;
  if (found !== undefined) return found;
  if (expected) return { class: "done", message: "ended as asked" };
  if (startupFailure !== undefined) {
    const kind = own(STARTUP_FAILURES, startupFailure) ?? "bad_config";
    return {
      class: kind === "bad_config" && isTemporaryInWords(error ?? "") ? "overload" : kind,
      message: `${error ?? "it refused to start"} (${startupFailure})`,
    };
  }
  if (spawnError !== undefined && SCARCE.has(spawnError)) {
    return { class: "overload", message: `this machine cannot run another process (${spawnError})` };
  }
  const words = `${error ?? ""}\n${stderr ?? ""}`;
  const known = LAST_WORDS.find((entry) => entry.words.test(words));
  if (known !== undefined) {
    const { class: kind, message } = known;
    return { class: kind, message: kind === "bad_config" ? `${message}: ${lastLine(stderr) ?? error}` : message };
  }
  if (evidence.signal === "SIGKILL" && evidence.memoryKill === true) {
    return { class: "out_of_memory", message: "the kernel killed the process for lack of memory" };
  }
  return { class: "crash", message: describe(evidence) };
}

function describe({ code, signal, error, stderr }: ExitEvidence): string {
  const how =
    signal !== undefined
      ? `the process was ended by ${signal}`
      : code === 0
        ? "the process exited with code 0 although nobody asked it to"
        : code !== undefined
          ? `the process exited with code ${code}`
          : "the process broke off";
  const why = lastLine(stderr) ?? (signal === undefined && (code ?? 0) === 0 ? error : undefined);
  return why === undefined ? how : `${how}: ${why}`;
}

function lastLine(text: string | undefined): string | undefined {
  return text?.trimEnd().split("\n").at(-1);
}
