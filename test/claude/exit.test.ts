import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classifyExit, type ExitEvidence } from "../../src/claude/exit.ts";
import type { ExitClass } from "../../src/errors.ts";

const NO_CONVERSATION = "No conversation found with session ID: 8c0a4d0e-0000-4000-8000-000000000000";
const NO_MESSAGE = "No message found with message.uuid of: 8c0a4d0e-0000-4000-8000-000000000000";
const IN_USE = "Error: Session ID 8c0a4d0e-0000-4000-8000-000000000000 is already in use.";

const table: [string, ExitEvidence, ExitClass, RegExp][] = [
  ["stopped by us, code 0", { expected: true, code: 0 }, "done", /asked/],
  ["stopped by us, with SIGKILL", { expected: true, signal: "SIGKILL" }, "done", /asked/],
  ["stopped by us, code 143", { expected: true, code: 143, stderr: "Terminated" }, "done", /asked/],
  ["stopped by us, whatever it said", { expected: true, code: 1, stderr: NO_CONVERSATION }, "done", /asked/],
  ["killed", { expected: false, signal: "SIGKILL" }, "crash", /ended by SIGKILL/],
  ["segmentation fault", { expected: false, signal: "SIGSEGV" }, "crash", /ended by SIGSEGV/],
  ["code 1", { expected: false, code: 1 }, "crash", /code 1$/],
  ["code 0, unasked", { expected: false, code: 0 }, "crash", /code 0 although nobody asked/],
  ["last words", { expected: false, code: 1, stderr: "at foo\nTypeError: x" }, "crash", /code 1: TypeError: x$/],
  ["signal and last words", { expected: false, signal: "SIGABRT", stderr: "heap" }, "crash", /SIGABRT: heap$/],
  ["no more than an error", { expected: false, error: "read ECONNRESET" }, "crash", /broke off: read ECONNRESET$/],
  ["a code says more than the SDK does", { expected: false, code: 3, error: "exited with code 3" }, "crash", /code 3$/],
  ["nothing known", { expected: false }, "crash", /broke off$/],
  [
    "no transcript (stderr)",
    { expected: false, code: 1, stderr: NO_CONVERSATION },
    "conversation_missing",
    /transcript/,
  ],
  ["no transcript (SDK)", { expected: false, error: NO_CONVERSATION }, "conversation_missing", /transcript/],
  ["no such message", { expected: false, code: 1, stderr: NO_MESSAGE }, "conversation_missing", /message up to which/],
  ["conversation exists", { expected: false, code: 1, stderr: IN_USE }, "conversation_exists", /already has/],
  [
    "a refusal to start that a person has to mend",
    { expected: false, code: 1, startupFailure: "cwd_unavailable" },
    "bad_config",
    /cwd_unavailable/,
  ],
  [
    "a refusal to start for want of a login",
    { expected: false, code: 1, startupFailure: "gateway_signin_required" },
    "auth",
    /signin/,
  ],
  [
    "a refusal to start that may pass",
    { expected: false, code: 1, startupFailure: "org_verify_failed" },
    "overload",
    /org_verify/,
  ],
  [
    "a refusal to start for what a person has to mend, where the system lacks room for it",
    {
      expected: false,
      code: 1,
      startupFailure: "temp_dir_unusable",
      error: "Claude Code's temporary directory /t could not be created: the volume holding /t is full (ENOSPC).",
    },
    "overload",
    /ENOSPC/,
  ],
  [
    "the same, where it lacks leave",
    { expected: false, code: 1, startupFailure: "temp_dir_unusable", error: "EACCES: permission denied, mkdir '/t'" },
    "bad_config",
    /EACCES/,
  ],
  [
    "the reason it gives says more than its words",
    { expected: false, code: 1, startupFailure: "proxy_invalid", error: "bad proxy", stderr: NO_CONVERSATION },
    "bad_config",
    /^bad proxy/,
  ],
  [
    "an option it does not know",
    { expected: false, code: 1, stderr: "error: unknown option '--nope'" },
    "bad_config",
    /--nope/,
  ],
  [
    "killed while the kernel lacked memory",
    { expected: false, signal: "SIGKILL", memoryKill: true },
    "out_of_memory",
    /memory/,
  ],
  [
    "ended otherwise while the kernel lacked memory",
    { expected: false, signal: "SIGTERM", memoryKill: true },
    "crash",
    /SIGTERM/,
  ],
  [
    "killed by us while the kernel lacked memory",
    { expected: true, signal: "SIGKILL", memoryKill: true },
    "done",
    /asked/,
  ],
  [
    "an unreadable output was found",
    { expected: false, signal: "SIGKILL", found: { class: "crash", message: "the output broke" } },
    "crash",
    /^the output broke$/,
  ],
  [
    "a stall was found, and the process killed for it",
    { expected: false, signal: "SIGKILL", found: { class: "stalled", message: "silent" } },
    "stalled",
    /^silent$/,
  ],
  [
    "a fault was found before the end that was asked for",
    { expected: true, code: 0, found: { class: "auth", message: "no key" } },
    "auth",
    /^no key$/,
  ],
];

describe("classifyExit", () => {
  it.each(table)("%s", (_, evidence, expected, message) => {
    const verdict = classifyExit(evidence);
    expect(verdict.class).toBe(expected);
    expect(verdict.message).toMatch(message);
  });

  const text = fc.option(fc.string(), { nil: undefined });
  const anything: fc.Arbitrary<ExitEvidence> = fc.record({
    expected: fc.boolean(),
    code: fc.option(fc.nat({ max: 255 }), { nil: undefined }),
    signal: fc.constantFrom(undefined, "SIGTERM", "SIGKILL"),
    stderr: text,
    error: text,
  });

  it("takes any end that nobody asked for and that says nothing of conversations for a crash", () => {
    fc.assert(
      fc.property(anything, (evidence) => {
        const verdict = classifyExit(evidence);
        expect(verdict.class).toBe(evidence.expected ? "done" : "crash");
        expect(verdict.message).not.toBe("");
      }),
    );
  });
});
